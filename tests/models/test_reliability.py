"""models/reliability.py against NumPy on the predictions, and SciPy's interval."""

import dataclasses
import json

import numpy as np
import pytest

from smelu_tf.models import BinaryMetrics
from smelu_tf.models.metrics import BinaryCounts
from smelu_tf.models.reliability import ReliabilityBin, calibration_error, reliability


def sample(n=30_000, too_high=0.0):
    """Labels drawn with the probabilities of logits, then shifted; and weights."""
    random = np.random.default_rng(5)
    logit = random.normal(-2, 1.5, n)
    label = (random.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    return label, logit + too_high, random.choice([0.5, 1.0, 2.0], n)


def counts_of(label, logit, weight=None):
    metrics = BinaryMetrics()
    metrics.update_state(label, logit, weight)
    return metrics.counts()


def test_bins_are_those_of_sorted_predictions():
    label, logit, weight = sample()
    bins = reliability(counts_of(label, logit, weight), num_bins=10)
    order = np.argsort(logit)
    prediction = 1 / (1 + np.exp(-logit[order]))
    ends = np.searchsorted(
        np.cumsum(weight[order]), weight.sum() * np.arange(1, 10) / 10
    )
    pieces = [np.split(v, ends) for v in (prediction, label[order], weight[order])]
    assert len(bins) == 10
    for row, p, y, w in zip(bins, *pieces, strict=True):
        assert row.weight == pytest.approx(w.sum(), rel=0.02)
        assert row.prediction == pytest.approx(np.average(p, weights=w), rel=0.005)
        assert row.label == pytest.approx(np.average(y, weights=w), rel=0.05)


def test_totals_are_kept():
    label, logit, weight = sample()
    bins = reliability(counts_of(label, logit, weight))
    assert sum(row.weight for row in bins) == weight.sum()
    positives = sum(row.weight * row.label for row in bins)
    assert positives == pytest.approx(np.sum(weight * label), rel=1e-12)
    predictions = sum(row.weight * row.prediction for row in bins)
    expected = np.sum(weight / (1 + np.exp(-logit)))
    assert predictions == pytest.approx(expected, rel=1 / 512)


def test_a_mean_prediction_is_as_exact_as_said():
    for logit in np.random.default_rng(0).uniform(-15, 15, 50):
        (row,) = reliability(counts_of([1.0], [logit]))
        p = 1 / (1 + np.exp(-logit))
        assert abs(row.prediction - p) <= p * (1 - p) / 512 * 1.002


def test_the_interval_is_scipy_s():
    stats = pytest.importorskip("scipy.stats")
    for rows, clicks in ((50, 3), (1000, 0), (10, 10), (7, 1)):
        row = ReliabilityBin.of(rows, 2.0 * rows, 1.0, 2.0 * clicks)
        expected = stats.binomtest(clicks, rows).proportion_ci(method="wilson")
        got = (row.label_low, row.label_high)
        assert got == pytest.approx(tuple(expected), abs=1e-12)


def test_the_error_is_that_of_predictions_in_the_same_bins():
    label, logit, _ = sample(too_high=0.7)
    error = calibration_error(reliability(counts_of(label, logit)))
    prediction = 1 / (1 + np.exp(-logit))
    order = np.argsort(prediction)
    pieces = np.array_split(order, 20)
    gaps = [len(i) * abs(prediction[i].mean() - label[i].mean()) for i in pieces]
    assert error == pytest.approx(sum(gaps) / len(order), rel=0.01)


def test_the_error_of_true_probabilities_is_that_of_chance():
    label, logit, _ = sample()
    error = calibration_error(reliability(counts_of(label, logit)))
    rates = np.array([piece.mean() for piece in np.array_split(np.sort(logit), 20)])
    rates = 1 / (1 + np.exp(-rates))
    chance = np.mean(0.8 * np.sqrt(rates * (1 - rates) / (len(label) / 20)))
    assert chance / 2 < error < 2 * chance


def test_one_prediction_is_one_bin():
    (row,) = reliability(counts_of([0.0, 1.0, 0.0, 0.0], [-1.0] * 4), num_bins=20)
    assert (row.weight, row.label) == (4.0, 0.25)


def test_no_rows_are_no_bins_and_no_error():
    assert reliability(BinaryCounts.zero()) == []
    assert calibration_error([]) is None
    with pytest.raises(ValueError, match="num_bins: expected 1 or more, received 0"):
        reliability(BinaryCounts.zero(), num_bins=0)


def test_bins_are_ready_for_json():
    label, logit, weight = sample(500)
    bins = reliability(counts_of(label, logit, weight))
    assert json.dumps([dataclasses.asdict(row) for row in bins])
