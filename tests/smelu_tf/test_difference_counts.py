"""smelu_tf/difference_counts.py: counts of parts merge to those of the whole."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf import (
    DifferenceKind,
    PredictionDifferenceCounts,
    prediction_difference,
    summarize_prediction_difference,
)
from smelu_tf.bootstrap import bootstrap_interval, interval_over_models
from smelu_tf.difference_kinds import KINDS
from smelu_tf.differences import pair_means


def sample(num_models=3, num_examples=100, num_labels=None, seed=0):
    random = np.random.default_rng(seed)
    labels = () if num_labels is None else (num_labels,)
    p = random.random((num_models, num_examples, *labels))
    return p, random.choice([0.0, 0.5, 3.0], num_examples)


def _ref_pair_sum(p, q, w):
    """Of the relative difference."""
    return sum(w[n] * 2 * abs(p[n] - q[n]) / (p[n] + q[n]) for n in range(len(w)))


def test_sums_are_those_of_each_pair():
    p, w = sample(4)
    counts = PredictionDifferenceCounts.of(p, w)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    expected = [_ref_pair_sum(p[i], p[j], w) for i, j in pairs]
    np.testing.assert_allclose(counts.pair_sums, expected, rtol=1e-12)
    assert counts.weight == w.sum()
    assert counts.num_examples == 100


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(KINDS),
    st.integers(2, 5),
    st.lists(st.integers(1, 20), min_size=1, max_size=8),
    st.sampled_from([None, 3]),
    st.randoms(),
)
def test_shards_merge_in_any_order_to_the_whole(
    kind, num_models, sizes, num_labels, shuffle
):
    p, w = sample(num_models, sum(sizes), num_labels)
    whole = PredictionDifferenceCounts.of(p, w, kind)
    ends = np.cumsum(sizes)[:-1]
    shards = [
        PredictionDifferenceCounts.of(p[:, rows], w[rows], kind)
        for rows in np.split(np.arange(len(w)), ends)
    ]
    shuffle.shuffle(shards)
    merged = PredictionDifferenceCounts.merge(shards)
    np.testing.assert_allclose(merged.pair_sums, whole.pair_sums, rtol=1e-12)
    assert (merged.weight, merged.num_examples) == (whole.weight, whole.num_examples)
    assert merged.result() == pytest.approx(whole.result(), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_add_up_to_the_prediction_difference(kind):
    p, w = sample()
    counts = PredictionDifferenceCounts.zero(3, kind)
    for rows in np.split(np.arange(100), [7, 8, 60]):
        counts = counts.update(p[:, rows], w[rows])
    summary = summarize_prediction_difference(p, w, kind)
    assert counts.result() == pytest.approx(summary.mean, rel=1e-12)
    expected = pair_means(p, w, kind)
    np.testing.assert_allclose(counts.pair_means(), expected, rtol=1e-12)


def test_an_update_leaves_the_counts_before_it_as_they_were():
    before = PredictionDifferenceCounts.zero(3)
    before.update(sample()[0])
    assert before.num_examples == 0
    assert not before.pair_sums.any()


def test_an_interval_over_models_needs_no_more():
    p, w = sample(5)
    counts = PredictionDifferenceCounts.of(p, w)
    got, expected = interval_over_models(counts.pair_means()), bootstrap_interval(p, w)
    assert got.low == pytest.approx(expected.low, rel=1e-12)
    assert got.high == pytest.approx(expected.high, rel=1e-12)


@pytest.mark.parametrize(
    "kind", [DifferenceKind(), DifferenceKind("hamming", True, threshold=0.02)]
)
def test_json_keeps_every_bit(kind):
    p, w = sample()
    counts = PredictionDifferenceCounts.of(p, w / 3, kind)
    text = json.dumps(counts.to_dict())
    again = PredictionDifferenceCounts.from_dict(json.loads(text))
    assert again.kind == kind
    assert again.pair_sums.tolist() == counts.pair_sums.tolist()
    assert again.to_dict() == counts.to_dict()
    assert (again + counts).result() == pytest.approx(counts.result())


def test_equal_models_have_exactly_0():
    p = np.repeat(sample(1)[0], 3, axis=0).astype(np.float32)
    counts = PredictionDifferenceCounts.of(p)
    assert (counts + counts).result() == 0.0


def test_a_part_may_be_without_weight_and_nothing_is_nan():
    p, w = sample()
    nothing = PredictionDifferenceCounts.of(p, np.zeros(100))
    assert math.isnan(nothing.result())
    means = nothing.pair_means()
    assert np.isnan(means[0, 1]) and means[0, 0] == 0
    counts = nothing + PredictionDifferenceCounts.of(p, w)
    assert counts.result() == pytest.approx(prediction_difference(p, w), rel=1e-12)
    assert counts.num_examples == 200


VALUES = PredictionDifferenceCounts.of([[0.1], [0.2]]).to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": None}, "counts: expected what to_dict gives"),
        ({"weight": -1.0}, "counts: expected finite values of 0 or more"),
        ({"pair_sums": [math.nan]}, "counts: expected finite values of 0 or more"),
        ({"num_models": 3}, r"pair_sums: expected shape \(3,\), .* received \(1,\)"),
        ({"num_models": 1}, "num_models: expected 2 or more, received 1"),
        ({"kind": {"name": "no"}}, "kind: expected one of relative"),
        ({"kind": {"nam": "no"}}, "counts: expected what to_dict gives"),
        ({"more": 1}, "counts: expected the keys kind, num_examples, .* more"),
    ],
)
def test_values_that_are_none_of_counts_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        PredictionDifferenceCounts.from_dict({**VALUES, **change})


def test_counts_that_do_not_fit_are_not_added():
    p, _ = sample()
    counts = PredictionDifferenceCounts.of(p)
    with pytest.raises(ValueError, match="expected those of 3 models .* received 2"):
        counts.update(p[:2])
    with pytest.raises(ValueError, match="kind .*relative.*, received 3 and .*logit"):
        counts + PredictionDifferenceCounts.of(p, kind="logit")
    with pytest.raises(ValueError, match="expected 1 or more to merge, received none"):
        PredictionDifferenceCounts.merge([])
