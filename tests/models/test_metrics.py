"""models/metrics.py against NumPy, and against itself in parts."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf.models import BinaryMetrics
from smelu_tf.models.metrics import BinaryCounts, SlidingWindow, probability


def _ref_figures(label, logit, weight):
    label, logit, weight = (np.asarray(v, np.float64) for v in (label, logit, weight))
    p = 1 / (1 + np.exp(-logit))
    loss = -(label * np.log(p) + (1 - label) * np.log1p(-p))
    rate = np.average(label, weights=weight)
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    positive, negative = label == 1, label == 0
    pairs = weight[positive][:, None] * weight[negative][None, :]
    greater = logit[positive][:, None] - logit[negative][None, :]
    auc = np.sum(pairs * ((greater > 0) + (greater == 0) / 2)) / np.sum(pairs)
    log_loss = np.average(loss, weights=weight)
    return {
        "num_examples": len(label),
        "weight": weight.sum(),
        "log_loss": log_loss,
        "normalized_entropy": log_loss / entropy,
        "auc": auc,
        "calibration": np.average(p, weights=weight) / rate,
    }


def sample(n=2000, seed=0):
    random = np.random.default_rng(seed)
    logit = random.normal(-1, 1.5, n).astype(np.float32)
    label = (random.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    return label, logit, random.choice([0.0, 0.5, 1.0, 3.0], n).astype(np.float32)


def test_figures_are_those_of_numpy():
    label, logit, weight = sample()
    metrics = BinaryMetrics()
    metrics.update_state(label, logit[:, None], weight)
    got = metrics.figures()
    for name, value in _ref_figures(label, logit, weight).items():
        tolerance = 1e-4 if name == "auc" else 1e-12  # bins of 1/256 tie
        assert got[name] == pytest.approx(value, rel=tolerance), name


def test_pr_auc_is_scikit_learn_s_average_precision():
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    label, logit, _ = sample(20_000)
    metrics = BinaryMetrics()
    metrics.update_state(label, logit)
    expected = sklearn_metrics.average_precision_score(label, logit)
    assert metrics.figures()["pr_auc"] == pytest.approx(expected, rel=2e-3)
    auc = sklearn_metrics.roc_auc_score(label, logit)
    assert metrics.figures()["auc"] == pytest.approx(auc, rel=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=8), st.randoms())
def test_parts_merge_to_the_whole(sizes, shuffle):
    label, logit, weight = sample(sum(sizes))
    whole = BinaryMetrics()
    whole.update_state(label, logit, weight)
    parts = []
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        part = BinaryMetrics()
        rows = slice(end - size, end)
        part.update_state(label[rows], logit[rows], weight[rows])
        parts.append(part)
    shuffle.shuffle(parts)
    merged = BinaryMetrics()
    merged.merge_state(parts)
    for name, value in whole.result().items():
        got = merged.result()[name].numpy()
        assert got == pytest.approx(value.numpy(), rel=1e-12, nan_ok=True), name


def counts_of(label, logit, weight=None):
    metrics = BinaryMetrics()
    metrics.update_state(label, logit, weight)
    return metrics.counts()


def test_counts_add_and_subtract_to_those_of_the_rows():
    label, logit, weight = sample()
    first, rest = slice(0, 700), slice(700, None)
    parts = [counts_of(label[r], logit[r], weight[r]) for r in (first, rest)]
    whole = counts_of(label, logit, weight)
    for got, expected in (
        (parts[0] + parts[1], whole),
        (whole - parts[0], parts[1]),
        (whole + BinaryCounts.zero(), whole),
    ):
        np.testing.assert_array_equal(got.histogram, expected.histogram)
        np.testing.assert_array_equal(got.sums[[0, 1, 4]], expected.sums[[0, 1, 4]])
        np.testing.assert_allclose(got.sums, expected.sums, rtol=1e-12)
        for name, value in expected.figures().items():
            assert got.figures()[name] == pytest.approx(value, rel=1e-12), name


def test_figures_of_counts_are_those_that_keras_is_given():
    label, logit, weight = sample()
    metrics = BinaryMetrics()
    metrics.update_state(label, logit, weight)
    in_graph = tf.function(metrics.result)()
    for name, value in metrics.figures().items():
        assert in_graph[name].numpy() == pytest.approx(value, rel=1e-12), name


def test_counts_read_earlier_do_not_change_later():
    metrics = BinaryMetrics()
    metrics.update_state([1.0], [0.0])
    counts = metrics.counts()
    metrics.update_state([0.0], [0.0])
    metrics.reset_state()
    assert counts.num_examples == 1


def test_replicas_of_a_mirrored_strategy_count_together():
    label, logit, weight = (v[:600] for v in sample())
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        metrics = BinaryMetrics()

    @tf.function
    def add(*rows):
        strategy.run(metrics.update_state, args=rows)

    for part in np.split(np.arange(600), 3):
        add(*(tf.constant(v[part]) for v in (label, logit, weight)))
    expected = counts_of(label, logit, weight).figures()
    for name, value in metrics.figures().items():
        assert value == pytest.approx(expected[name], rel=1e-12), name


@pytest.mark.parametrize("step", [1, 37, 400])
def test_a_window_holds_the_latest_rows_and_few_more(step):
    label, logit, weight = sample(3000)
    window, metrics = SlidingWindow(500), BinaryMetrics()
    for end in range(step, 3001, step):
        rows = slice(end - step, end)
        if step == 1:  # as quick as it can be
            counts = BinaryCounts(np.full(5, float(end)), np.ones((2, 1)) * end)
        else:
            metrics.update_state(label[rows], logit[rows], weight[rows])
            counts = metrics.counts()
        figures = window.update(counts)
        num_rows = figures["num_examples"]
        assert min(500, end) <= num_rows <= 500 + 500 // 16 + 2 * step
        assert len(window._snapshots) <= 20
    if step > 1:
        latest = slice(end - num_rows, end)
        expected = _ref_figures(label[latest], logit[latest], weight[latest])
        assert figures["log_loss"] == pytest.approx(expected["log_loss"], rel=1e-12)
        assert figures["calibration"] == pytest.approx(expected["calibration"])


def test_a_window_of_a_run_that_goes_on_looks_no_further_back():
    label, logit, weight = sample(1000)
    before = counts_of(label[:900], logit[:900])
    window = SlidingWindow(500, start=before)
    figures = window.update(before + counts_of(label[900:], logit[900:]))
    assert figures["num_examples"] == 100


def test_a_window_without_rows_is_refused():
    with pytest.raises(ValueError, match="num_rows: expected 1 or more, received 0"):
        SlidingWindow(0)


def test_counts_beyond_float32_stay_exact():
    metrics = BinaryMetrics()
    metrics.sums.assign([2.0**24, 2.0**24, 1.0, 1.0, 1.0])
    metrics.update_state([1.0], [0.0])
    assert metrics.figures()["num_examples"] == 2**24 + 1


def test_extreme_logits_stay_finite_and_one_class_gives_none():
    metrics = BinaryMetrics()
    metrics.update_state([1.0, 1.0], [1e9, -1e4])
    figures = metrics.figures()
    assert figures["log_loss"] == pytest.approx(5000.0)
    assert figures["auc"] is None
    assert json.dumps(figures)


def test_it_works_inside_a_keras_model():
    label, logit, _ = sample(500)
    model = tf_keras.Sequential([tf_keras.layers.Layer(input_shape=(1,))])
    model.compile(loss="mse", metrics=[BinaryMetrics()])
    got = model.evaluate(logit[:, None], label, verbose=0, return_dict=True)
    expected = _ref_figures(label, logit, np.ones(500))
    assert got["log_loss"] == pytest.approx(expected["log_loss"], rel=1e-6)


def test_only_float64_is_kept():
    with pytest.raises(ValueError, match="expected float64, received float32"):
        BinaryMetrics(dtype="float32")


def test_probability_is_the_same_at_every_place_of_a_tensor():
    values = np.random.default_rng(0).normal(0, 5, 1001).astype(np.float32)
    whole = probability(tf.constant(values)).numpy()
    alone = [
        probability(tf.constant(values[i : i + 1])).numpy()[0] for i in range(1001)
    ]
    np.testing.assert_array_equal(whole, alone)
    assert whole.dtype == np.float32
