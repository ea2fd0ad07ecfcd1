"""models/promotion.py: which bounds a new version breaks, and in what words."""

import dataclasses
import math

import numpy as np
import pytest

from smelu_tf.models import (
    PromotionBounds,
    PromotionError,
    PromotionReport,
    broken_bounds,
    check_promotion,
)

REPORT = PromotionReport(
    num_examples=1000,
    weight=1000.0,
    candidate={"log_loss": 0.1405},
    previous={"log_loss": 0.14},
    prediction_difference=0.08123,
    absolute_prediction_difference=0.0021,
    log_loss_increase=0.0005,
    log_loss_increase_error=0.00021,
)


def test_a_bound_that_is_met_exactly_is_kept():
    assert broken_bounds(REPORT, PromotionBounds(0.08123, 0.0005)) == []
    assert broken_bounds(REPORT, PromotionBounds(1.0, 1.0)) == []
    assert broken_bounds(REPORT, PromotionBounds()) == []
    check_promotion(REPORT, PromotionBounds(0.08123))


def test_a_broken_bound_is_a_sentence_with_the_numbers():
    difference, increase = broken_bounds(REPORT, PromotionBounds(0.05, 0.0001))
    assert difference == (
        "expected a prediction difference of at most 0.05 from the previous version, "
        "received 0.08123 (absolute 0.0021)."
    )
    assert increase == (
        "expected a log loss of at most 0.0001 above the previous version's, received "
        "0.0005 (standard error 0.00021; 0.1405, previously 0.14)."
    )
    assert broken_bounds(REPORT, PromotionBounds(0.05)) == [difference]
    assert broken_bounds(REPORT, PromotionBounds(None, 0.0001)) == [increase]
    (better,) = broken_bounds(REPORT, PromotionBounds(None, -0.001))
    assert "at most -0.001 above" in better


@pytest.mark.parametrize(
    ("value", "bound", "text"),
    [
        (0.0500001, 0.05, "0.0500001"),
        (0.123442, 0.12344, "0.123442"),
        (0.12344115, 0.1234411, "0.12344115"),
        (np.nextafter(0.05, 1), 0.05, "0.05000000000000001"),
        (0.2, 0.05, "0.2"),
    ],
)
def test_a_value_just_above_its_bound_reads_above_it(value, bound, text):
    report = dataclasses.replace(REPORT, prediction_difference=value)
    (sentence,) = broken_bounds(report, PromotionBounds(bound))
    assert f"at most {bound:g} from the previous version, received {text} " in sentence


def test_the_error_holds_every_sentence_and_is_no_error_of_arguments():
    bounds = PromotionBounds(0.05, 0.0001)
    with pytest.raises(PromotionError) as error:
        check_promotion(REPORT, bounds)
    assert str(error.value) == " ".join(broken_bounds(REPORT, bounds))
    # Those end a script with exit code 2.
    assert not isinstance(error.value, ValueError | OSError | ArithmeticError)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((-0.1, None), "max_pd: expected a finite number from 0 on, received -0.1"),
        ((math.nan, None), "max_pd: expected .*, received nan"),
        ((math.inf, None), "max_pd: expected .*, received inf"),
        ((None, math.nan), "max_log_loss_increase: expected a finite .* received nan"),
    ],
)
def test_bounds_that_are_none_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        PromotionBounds(*bounds)
