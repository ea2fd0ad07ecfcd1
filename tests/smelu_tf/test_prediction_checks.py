"""smelu_tf/prediction_checks.py: what is taken for predictions, and what is not."""

import math

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.differences import example_differences
from smelu_tf.prediction_checks import check_predictions, check_weights


def test_predictions_may_be_lists_integers_or_tensors():
    expected = example_differences(np.array([[0.0, 1.0], [1.0, 1.0]]))
    for p in ([[0, 1], [1, 1]], tf.constant([[0.0, 1.0], [1.0, 1.0]])):
        np.testing.assert_array_equal(example_differences(p), expected)


def test_finite_values_are_taken_whose_sum_is_not():
    huge = [[1e308], [1e308]]
    np.testing.assert_array_equal(check_predictions(huge, "absolute"), huge)


def test_weights_may_all_be_0_only_where_that_is_said():
    assert check_weights([0.0, 0.0], 2, may_be_zero=True).tolist() == [0, 0]
    with pytest.raises(ValueError, match="weights: expected values that are not all 0"):
        check_weights([0.0, 0.0], 2)


@pytest.mark.parametrize(
    ("predictions", "kind", "message"),
    [
        ([[0.1], [1.1]], "logit", "expected probabilities from 0 to 1, received 1.1"),
        ([[0.1], [-0.1]], "hamming", "expected probabilities .* received -0.1"),
        ([[0.1], [-0.1]], "relative", "expected finite values of 0 or more"),
        ([[0.1], [math.nan]], "absolute", "expected finite values, received nan"),
        ([[[[0.1]]], [[[0.1]]]], "absolute", r"received \(2, 1, 1, 1\)"),
    ],
)
def test_predictions_that_cannot_be_are_refused(predictions, kind, message):
    with pytest.raises(ValueError, match=f"predictions: .*{message}"):
        example_differences(predictions, kind)
