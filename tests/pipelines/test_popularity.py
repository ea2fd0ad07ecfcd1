"""pipelines/popularity.py against Criteo's published figures."""

import numpy as np
import pytest
from criteo_rows import CATEGORICALS, STATISTICS, column, present


@pytest.mark.parametrize("name", CATEGORICALS)
def test_shares_of_the_most_popular_values(rows, name):
    counts = np.sort(np.unique(present(rows, name), return_counts=True)[1])[::-1]
    shares = np.cumsum(counts) / counts.sum()
    for top in (1, 10, 100, 1000):
        expected = STATISTICS["categorical"][name][f"top{top}"]
        # Correlation with missingness (C22) and the smooth curve between the known
        # ranks (C11) cost up to 0.03.
        assert shares[min(top, len(shares)) - 1] == pytest.approx(expected, abs=0.035)


@pytest.mark.parametrize("name", CATEGORICALS)
def test_number_of_distinct_values(rows, name):
    figures = STATISTICS["categorical"][name]
    values, missing = column(rows, name)
    values = values[:100_000][~missing[:100_000]]
    # Criteo's neighbouring rows repeat values more than independent rows do.
    ratio = len(np.unique(values)) / figures["distinct_per_100k"]
    assert 0.6 < ratio < 2.1
    newcomers = 1.1  # a tenth of the ranks changes hands
    assert len(np.unique(values)) <= newcomers * figures["vocabulary_size"]
