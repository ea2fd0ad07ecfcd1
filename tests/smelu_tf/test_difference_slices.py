"""smelu_tf/difference_slices.py against loops over the examples of each slice."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smelu_tf import Bootstrap, DifferenceKind, prediction_difference
from smelu_tf.difference_slices import (
    Slicing,
    measure_slices,
    slice_by_click_rate,
    slice_by_prediction,
    slice_by_value,
)


def sample(num_models=3, num_examples=200, seed=0):
    random = np.random.default_rng(seed)
    rate = random.uniform(0.01, 0.3, num_examples)
    return rate * np.exp(random.normal(0, 0.2, (num_models, num_examples)))


def test_values_are_slices_in_their_order():
    slicing = slice_by_value(["b", "a", "b", "c"])
    assert slicing.names == ("a", "b", "c")
    assert slicing.codes.tolist() == [1, 0, 1, 2]
    assert slice_by_value([10, 9, 10]).names == ("9", "10")
    assert slice_by_value([b"\xc3\xa9", b"\xff"]).names == ("é", "�")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=60), st.integers())
def test_a_slice_has_the_figures_of_its_examples(keys, seed):
    n = len(keys)
    random = np.random.default_rng(abs(seed))
    p, w = sample(num_examples=n, seed=abs(seed)), random.random(n) + 0.1
    slices = measure_slices(p, slice_by_value(keys), w)
    assert [s.name for s in slices] == sorted(set(keys))
    for found in slices:
        rows = [i for i in range(n) if keys[i] == found.name]
        weight = sum(w[i] for i in rows)
        assert found.num_examples == len(rows)
        assert found.weight == pytest.approx(weight)
        assert found.mean == pytest.approx(prediction_difference(p[:, rows], w[rows]))
        mean = sum(w[i] * sum(p[:, i]) / 3 for i in rows) / weight
        assert found.mean_prediction == pytest.approx(mean)
        assert found.interval is None
    total = sum(s.weight * s.mean for s in slices) / sum(s.weight for s in slices)
    assert total == pytest.approx(prediction_difference(p, w), rel=1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 12), st.integers(1, 100), st.integers(0, 2**32 - 1))
@example(11, 77, 0)
def test_bins_by_prediction_are_in_order_and_of_equal_size(num_slices, n, seed):
    p = sample(num_examples=n, seed=seed)
    slicing = slice_by_prediction(p, num_slices)
    mean = p.mean(axis=0)
    sizes = np.bincount(slicing.codes)
    assert len(sizes) == len(slicing.names) == min(num_slices, n)
    assert sizes.max() - sizes.min() <= 1
    for code in range(len(sizes) - 1):
        lower, upper = mean[slicing.codes == code], mean[slicing.codes == code + 1]
        assert lower.max() < upper.min()


def test_equal_predictions_are_in_one_bin():
    p = [[0.1] * 90 + [0.2] * 10] * 2
    slicing = slice_by_prediction(p, 10)
    assert slicing.names == ("0.1", "0.2")
    assert np.bincount(slicing.codes).tolist() == [90, 10]


def test_bins_of_logits_are_named_by_probabilities():
    logits = np.log([[0.1, 0.2], [0.1, 0.2]]) - np.log1p([[-0.1, -0.2], [-0.1, -0.2]])
    kind = DifferenceKind("logit", from_logits=True)
    slicing = slice_by_prediction(logits, 2, kind)
    assert slicing.names == ("0.1", "0.2")
    (first, _) = measure_slices(logits, slicing, kind=kind)
    assert first.mean_prediction == pytest.approx(0.1)


def _ref_rates(keys, labels, weights, prior):
    mean = sum(y * w for y, w in zip(labels, weights, strict=True)) / sum(weights)
    rates = []
    for key in keys:
        rows = [i for i, other in enumerate(keys) if other == key]
        clicks = sum(labels[i] * weights[i] for i in rows)
        total = sum(weights[i] for i in rows)
        rates.append((clicks + prior * mean) / (total + prior))
    return np.array(rates)


@pytest.mark.parametrize("prior", [0.0, 5.0])
def test_bins_by_click_rate_hold_values_of_like_rates(prior):
    random = np.random.default_rng(0)
    keys = random.integers(0, 30, 500)
    labels = (random.random(500) < keys / 30).astype(float)
    weights = random.random(500) + 0.5
    slicing = slice_by_click_rate(keys, labels, weights, 4, prior)
    rates = _ref_rates(keys.tolist(), labels, weights, prior)
    assert len(slicing.names) == 4
    for code in range(3):
        lower, upper = (rates[slicing.codes == c] for c in (code, code + 1))
        assert lower.max() < upper.min()
    low, high = slicing.names[0].split(" to ")
    assert float(low) == pytest.approx(rates.min(), rel=5e-3, abs=1e-12)
    assert float(high) < float(slicing.names[1].split(" to ")[0])


def test_a_value_without_weight_has_the_mean_rate():
    slicing = slice_by_click_rate(["a", "b", "c"], [0, 1, 1], [1.0, 1.0, 0.0])
    assert slicing.names == ("0", "0.5", "1")
    assert slicing.codes.tolist() == [0, 2, 1]


def test_slices_beyond_the_limit_are_one():
    keys = np.repeat(np.arange(6), [1, 5, 2, 9, 1, 3])
    p = sample(num_examples=len(keys))
    slices = measure_slices(p, slice_by_value(keys), max_slices=2)
    assert [(s.name, s.num_examples) for s in slices] == [
        ("1", 5),
        ("3", 9),
        ("other", 7),
    ]
    rest = ~np.isin(keys, [1, 3])
    assert slices[2].mean == pytest.approx(prediction_difference(p[:, rest]))


def test_slices_without_weight_are_left_out():
    slices = measure_slices(
        sample(num_examples=3), slice_by_value(["a", "b", "b"]), [0.0, 1.0, 0.0]
    )
    assert [s.name for s in slices] == ["b"]


def test_intervals_are_made_where_they_can_be():
    p, slicing = sample(4, 41), slice_by_value(["a"] * 40 + ["b"])
    for over in ("models", "examples"):
        first, alone = measure_slices(p, slicing, bootstrap=Bootstrap(over))
        assert first.interval.low < first.mean < first.interval.high
        assert (alone.interval is None) == (over == "examples")
    assert json.dumps(first.figures())


def test_predictions_of_labels_are_sliced_by_value():
    p = np.random.default_rng(0).random((2, 30, 3))
    keys = np.arange(30) % 2
    for found in measure_slices(p, slice_by_value(keys)):
        chosen = p[:, keys == int(found.name)]
        assert found.mean == pytest.approx(prediction_difference(chosen))
        assert found.mean_prediction == pytest.approx(chosen.mean())


P = sample(num_examples=4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: slice_by_value([]), r"keys: expected shape .* received \(0,\)"),
        (lambda: slice_by_value([["a"]]), r"keys: expected shape .* \(1, 1\)"),
        (
            lambda: slice_by_value(np.array([1, "a"], object)),
            "keys: expected values that sort",
        ),
        (lambda: slice_by_prediction(P, 0), "num_slices: expected 1 or more"),
        (
            lambda: slice_by_prediction([[[0.1]], [[0.1]]]),
            r"predictions: expected shape .* received \(2, 1, 1\)",
        ),
        (
            lambda: slice_by_click_rate(["a"], [0.5]),
            "labels: expected 0 or 1",
        ),
        (
            lambda: slice_by_click_rate(["a"], [0], prior_weight=-1),
            "prior_weight: expected a number of 0 or more, received -1",
        ),
        (
            lambda: measure_slices(P, slice_by_value(["a"])),
            "slicing: expected 4 examples, received 1",
        ),
        (
            lambda: measure_slices(P, slice_by_value(list("abcd")), max_slices=0),
            "max_slices: expected 1 or more, received 0",
        ),
        (lambda: Slicing(np.array([0.5]), ("a",)), "codes: expected integers"),
        (lambda: Slicing(np.array([1]), ("a",)), "places among 1 names, received 1"),
    ],
)
def test_what_cannot_be_sliced_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
