"""pipelines/generator_ids.py: distinct values, some of them new on a later day."""

import numpy as np
import pytest
from criteo_rows import CATEGORICALS, NUM_ROWS, STATISTICS, column, present


def test_no_two_columns_share_a_value(rows):
    distinct = [np.unique(present(rows, name)) for name in CATEGORICALS]
    assert len(np.unique(np.concatenate(distinct))) == sum(map(len, distinct))


@pytest.mark.parametrize("name", CATEGORICALS)
def test_share_of_values_unseen_before_the_last_day(rows, name):
    values, missing = column(rows, name)
    cut = NUM_ROWS * 6 // 7
    before, last = values[:cut][~missing[:cut]], values[cut:][~missing[cut:]]
    expected = STATISTICS["unseen_on_last_day"].get(name, 0)
    # The slack: the drift moves the last day towards rarer values.
    assert np.mean(~np.isin(last, before)) == pytest.approx(expected, abs=0.03)


def test_some_popular_values_appear_only_from_a_later_day(rows):
    cut = NUM_ROWS * 6 // 7
    values = rows.categorical[:, CATEGORICALS.index("C10")]
    last, counts = np.unique(values[cut:], return_counts=True)
    new = ~np.isin(last, values[:cut])
    assert counts[new].max() > 20  # chance alone leaves values of one or two rows
