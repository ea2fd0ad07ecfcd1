"""pipelines/generator_columns.py against Criteo's published figures.

Tolerances: a rate over n rows gets five binomial standard deviations beside the
stated slack for what the generator approximates on purpose.
"""

import numpy as np
import pytest
from criteo_rows import (
    CATEGORICALS,
    INTEGERS,
    NUM_ROWS,
    STATISTICS,
    column,
    five_sigma,
    present,
)


@pytest.mark.parametrize("name", INTEGERS + CATEGORICALS)
def test_missing_rate(rows, name):
    expected = {**STATISTICS["integer"], **STATISTICS["categorical"]}[name]["missing"]
    # The slack: the latents behind some groups drift, and the columns of a group
    # take the rate of its first.
    slack = 0.003 if expected else 0
    rate = column(rows, name)[1].mean()
    assert rate == pytest.approx(expected, abs=slack + five_sigma(expected, NUM_ROWS))


@pytest.mark.parametrize("group", STATISTICS["missing_together"], ids="-".join)
def test_columns_are_missing_together(rows, group):
    first = column(rows, group[0])[1]
    for name in group[1:]:
        np.testing.assert_array_equal(column(rows, name)[1], first)


@pytest.mark.parametrize("name", INTEGERS)
def test_quantiles_of_integers(rows, name):
    values, figures = present(rows, name), STATISTICS["integer"][name]
    # The slack is in probability: rounding to integers moves it, and missingness
    # depends a little on the same latents.
    for p in (25, 50, 75, 95):
        quantile = figures[f"q{p}"]
        assert np.mean(values < quantile) - 0.02 <= p / 100
        assert np.mean(values <= quantile) + 0.02 >= p / 100
    assert values.min() >= figures["min"]
    assert 3 * figures["q95"] <= values.max() <= figures["max"]  # a heavy tail


def test_only_the_second_integer_is_ever_negative(rows):
    negative = (rows.numeric < 0).any(axis=0)
    assert [name for name, n in zip(INTEGERS, negative, strict=True) if n] == ["I2"]


def test_popularity_drifts_moderately(rows):
    values, missing = column(rows, "C3")
    top = np.bincount(np.unique(values[~missing], return_inverse=True)[1]).argmax()
    top = np.unique(values[~missing])[top]
    day = NUM_ROWS // 7
    first, last = np.mean(values[:day] == top), np.mean(values[-day:] == top)
    assert 1.1 < first / last < 2


def test_columns_of_one_latent_depend_on_each_other(rows):
    fine, coarse = present(rows, "C12"), present(rows, "C24")
    value, count = np.unique(fine, return_counts=True)
    popular = fine == value[count.argmax()]
    among = np.unique(coarse[popular], return_counts=True)[1].max() / popular.sum()
    overall = np.unique(coarse, return_counts=True)[1].max() / len(coarse)
    assert among > 5 * overall
