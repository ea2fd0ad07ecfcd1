"""smelu_tf/prediction_difference.py against nested loops."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf import (
    prediction_difference,
    summarize_by_label,
    summarize_prediction_difference,
    true_label_predictions,
)


def _ref_pd(predictions, weights):
    total, weight = 0.0, 0.0
    for i in range(len(predictions)):
        for j in range(i + 1, len(predictions)):
            for n, w in enumerate(weights):
                p, q = predictions[i][n], predictions[j][n]
                total += w * (2 * abs(p - q) / (p + q) if p + q else 0.0)
                weight += w
    return total / weight


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 5), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_all_pairs_and_examples(num_models, num_examples, seed):
    random = np.random.default_rng(seed)
    p = random.random((num_models, num_examples)) * random.integers(0, 2, num_examples)
    w = random.random(num_examples) + 0.01
    assert prediction_difference(p, w) == pytest.approx(_ref_pd(p, w), abs=1e-14)
    ones = np.ones(num_examples)
    assert prediction_difference(p) == pytest.approx(_ref_pd(p, ones), abs=1e-14)
    assert 0 <= prediction_difference(p) <= 2


def test_equal_models_have_exactly_0_and_opposite_ones_2():
    p = np.random.default_rng(0).random(1000).astype(np.float32)
    assert prediction_difference([p, p, p]) == 0.0
    assert prediction_difference([[0.0, 1.0], [1.0, 0.0]]) == 2.0


def test_it_does_not_depend_on_scale_or_order():
    p = np.random.default_rng(0).random((4, 50))
    expected = prediction_difference(p)
    assert prediction_difference(p * 1e-3) == pytest.approx(expected)
    assert prediction_difference(p[::-1, ::-1]) == pytest.approx(expected)


def test_labels_are_averaged_and_tensors_taken():
    p = np.random.default_rng(0).random((3, 20, 4))
    expected = np.mean([prediction_difference(p[:, :, i]) for i in range(4)])
    assert prediction_difference(tf.constant(p)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predictions", "weights", "message"),
    [
        ([[0.1]], None, r"predictions: expected shape .* received \(1, 1\)"),
        ([0.1, 0.2], None, r"predictions: expected shape"),
        ([[], []], None, r"predictions: expected shape"),
        ([[0.1], [-0.1]], None, "received -0.1"),
        ([[0.1], [np.nan]], None, "received nan"),
        ([[0.1], [np.inf]], None, "received inf"),
        ([[0.1], [0.1]], [1.0, 2.0], r"weights: expected shape \(1,\)"),
        ([[0.1], [0.1]], [-1.0], "weights: expected finite values of 0 or more"),
        ([[0.1], [0.1]], [0.0], "not all 0"),
    ],
)
def test_what_cannot_be_is_refused(predictions, weights, message):
    with pytest.raises(ValueError, match=message):
        prediction_difference(predictions, weights)


def test_each_label_has_the_summary_of_its_own_predictions():
    random = np.random.default_rng(0)
    p, w = random.random((3, 20, 4)), random.random(20)
    summaries = summarize_by_label(p, w, "absolute")
    assert len(summaries) == 4
    for i, summary in enumerate(summaries):
        own = summarize_prediction_difference(p[:, :, i], w, "absolute")
        assert summary.figures() == own.figures()


def test_the_predictions_of_the_true_labels_are_picked():
    p = np.random.default_rng(0).random((3, 20, 4))
    y = np.random.default_rng(1).integers(4, size=20)
    got = true_label_predictions(p, y)
    for n in range(20):
        np.testing.assert_array_equal(got[:, n], p[:, n, y[n]])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0], r"labels: expected integers of shape \(2,\), received int64 of shape"),
        ([0.0, 1.0], r"labels: expected integers of shape \(2,\), received float64"),
        ([0, 3], "labels: expected integers from 0 to 2, received 3"),
        ([-1, 0], "labels: expected integers from 0 to 2, received -1"),
    ],
)
def test_labels_that_cannot_be_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        true_label_predictions(np.full((2, 2, 3), 0.5), labels)


@pytest.mark.parametrize(
    "function", [summarize_by_label, lambda p: true_label_predictions(p, [0, 0])]
)
def test_predictions_without_labels_are_refused(function):
    message = r"expected shape \(num_models, num_examples, num_labels\), received \(2, "
    with pytest.raises(ValueError, match=message):
        function(np.full((2, 2), 0.5))
