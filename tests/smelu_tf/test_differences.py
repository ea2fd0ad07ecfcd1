"""smelu_tf/differences.py against nested loops over models, examples and labels."""

import itertools
import math

import numpy as np
import pytest
from difference_samples import ALL, each_kind, sample, some_labels
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf import DifferenceKind, differences
from smelu_tf.differences import (
    differences_from_mean,
    example_differences,
    mean_to_pairs_ratio,
    pair_means,
    pair_sums,
)


def _ref_compared(value, kind):
    if kind.name == "logit":
        if kind.from_logits:
            return value
        value = min(max(value, 1e-7), 1 - 1e-7)
        return math.log(value / (1 - value))
    return 1 / (1 + math.exp(-value)) if kind.from_logits else value


def _ref_labels(x, kind):
    """What is predicted: the likeliest label, or each label or not."""
    if kind.threshold is None and len(x) > 1:
        return [x.index(max(x))]
    return [value > (kind.threshold or 0.5) for value in x]


def _ref_difference(p, q, kind):
    """The difference of one example's predictions, each a list of labels."""
    x, y = ([_ref_compared(value, kind) for value in values] for values in (p, q))
    gaps = [abs(a - b) for a, b in zip(x, y, strict=True)]
    if kind.name == "relative":
        each = [
            2 * gap / (a + b) if a + b else 0.0
            for gap, a, b in zip(gaps, x, y, strict=True)
        ]
        return sum(each) / len(each)
    if kind.name == "absolute":
        return sum(gaps)
    if kind.name == "squared":
        return sum(gap**2 for gap in gaps)
    if kind.name == "euclidean":
        return math.sqrt(sum(gap**2 for gap in gaps))
    if kind.name == "logit":
        return sum(gaps) / len(gaps)
    pairs = list(zip(_ref_labels(x, kind), _ref_labels(y, kind), strict=True))
    return sum(a != b for a, b in pairs) / len(pairs)


def _ref_from_mean(models, kind):
    """The mean difference of one example's predictions from their mean."""
    x = [[_ref_compared(value, kind) for value in labels] for labels in models]
    mean = [sum(values) / len(values) for values in zip(*x, strict=True)]
    plain = DifferenceKind(kind.name, threshold=kind.threshold)
    total = 0.0
    for values in x:
        if kind.name == "relative":
            each = [abs(a - m) / m if m else 0.0 for a, m in zip(values, mean)]  # noqa: B905
            total += sum(each) / len(each)
        elif kind.name == "logit":
            total += sum(abs(a - m) for a, m in zip(values, mean)) / len(mean)  # noqa: B905
        else:
            total += _ref_difference(values, mean, plain)
    return total / len(x)


def as_lists(p):
    """Predictions as lists [model][example][label]."""
    return (p if p.ndim == 3 else p[:, :, None]).tolist()


@each_kind
@some_labels
def test_an_example_s_difference_is_the_mean_over_pairs(kind, num_labels):
    p = sample(kind, 4, 30, num_labels)
    models = as_lists(p)
    pairs = list(itertools.combinations(range(4), 2))
    expected = [
        sum(_ref_difference(models[i][n], models[j][n], kind) for i, j in pairs) / 6
        for n in range(30)
    ]
    np.testing.assert_allclose(example_differences(p, kind), expected, rtol=1e-9)


@each_kind
@some_labels
def test_the_mean_of_a_pair_is_the_weighted_one_over_examples(kind, num_labels):
    p = sample(kind, 3, 30, num_labels)
    w = np.random.default_rng(1).choice([0.0, 0.5, 2.0], 30)
    models = as_lists(p)
    got = pair_means(p, w, kind)
    for i, j in itertools.product(range(3), repeat=2):
        total = sum(
            w[n] * _ref_difference(models[i][n], models[j][n], kind) for n in range(30)
        )
        assert got[i, j] == pytest.approx(total / sum(w), rel=1e-9)


@each_kind
@some_labels
def test_the_difference_from_the_mean_is_that_of_every_model(kind, num_labels):
    p = sample(kind, 4, 30, num_labels)
    models = as_lists(p)
    expected = [_ref_from_mean([m[n] for m in models], kind) for n in range(30)]
    np.testing.assert_allclose(
        differences_from_mean(p, kind), expected, rtol=1e-9, atol=1e-14
    )


shapes = st.tuples(
    st.sampled_from(ALL),
    st.integers(2, 6),
    st.integers(1, 12),
    st.sampled_from([None, 1, 2, 5]),
    st.integers(0, 2**32 - 1),
)


@settings(deadline=None, max_examples=100)
@given(shapes, st.randoms())
def test_the_order_of_models_and_examples_changes_nothing(shape, shuffle):
    kind, num_models, num_examples, *_ = shape
    p = sample(*shape)
    models, examples = list(range(num_models)), list(range(num_examples))
    shuffle.shuffle(models)
    shuffle.shuffle(examples)
    other = p[models][:, examples]
    for function in (example_differences, differences_from_mean):
        np.testing.assert_allclose(
            function(other, kind), function(p, kind)[examples], rtol=1e-9, atol=1e-14
        )
    np.testing.assert_allclose(
        pair_means(other, kind=kind),
        pair_means(p, kind=kind)[np.ix_(models, models)],
        rtol=1e-9,
    )


@settings(deadline=None, max_examples=100)
@given(shapes, st.sampled_from([np.float32, np.float64]))
def test_equal_models_have_exactly_0(shape, dtype):
    kind, num_models, *_ = shape
    p = np.repeat(sample(*shape)[:1].astype(dtype), num_models, axis=0)
    assert not example_differences(p, kind).any()
    assert not differences_from_mean(p, kind).any()
    assert not pair_means(p, kind=kind).any()


@settings(deadline=None, max_examples=100)
@given(shapes, st.floats(0, 1))
def test_differences_lie_within_their_bounds(shape, share_of_zeros):
    kind = shape[0]
    p = sample(*shape)
    if not kind.from_logits:
        p[np.random.default_rng(0).random(p.shape) < share_of_zeros] = 0.0
    found = example_differences(p, kind)
    highest = {"relative": 2.0, "hamming": 1.0}.get(kind.name, math.inf)
    assert np.all((found >= 0) & (found <= highest))


def test_opposite_and_absent_predictions():
    assert example_differences([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]]).tolist() == [2, 0, 0]


@settings(deadline=None, max_examples=50)
@given(shapes)
def test_the_mean_of_squares_over_pairs_is_twice_the_variance(shape):
    kind = DifferenceKind("squared")
    p = sample(kind, *shape[1:])
    variance = p.var(axis=0, ddof=1)
    expected = 2 * (variance if p.ndim == 2 else variance.sum(axis=-1))
    np.testing.assert_allclose(example_differences(p, kind), expected, rtol=1e-9)


@settings(deadline=None, max_examples=50)
@given(shapes)
def test_squares_from_the_mean_rescaled_are_those_over_pairs(shape):
    kind = DifferenceKind("squared")
    p = sample(kind, *shape[1:])
    np.testing.assert_allclose(
        differences_from_mean(p, kind, rescale=True),
        example_differences(p, kind),
        rtol=1e-9,
    )


@each_kind
def test_of_two_models_the_mean_lies_half_way(kind):
    if kind.name in ("squared", "hamming"):
        return
    p = sample(kind, 2, 50, 3)
    np.testing.assert_allclose(
        differences_from_mean(p, kind), example_differences(p, kind) / 2, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("num_models", "ratio"), [(2, 0.5), (3, 0.577), (5, 0.632), (10, 0.671)]
)
def test_of_gaussian_models_the_ratio_is_the_formula_s(num_models, ratio):
    assert mean_to_pairs_ratio(num_models) == pytest.approx(ratio, abs=1e-3)
    p = np.random.default_rng(0).normal(0.5, 0.01, (num_models, 200_000))
    means = [differences_from_mean(p).mean(), example_differences(p).mean()]
    assert means[0] / means[1] == pytest.approx(ratio, rel=5e-3)
    rescaled = differences_from_mean(p, rescale=True).mean()
    assert rescaled == pytest.approx(means[1], rel=5e-3)


@each_kind
@some_labels
def test_small_chunks_change_nothing(kind, num_labels, monkeypatch):
    p = sample(kind, 3, 40, num_labels)
    before = [example_differences(p, kind), differences_from_mean(p, kind)]
    means = pair_means(p, kind=kind)
    monkeypatch.setattr(differences, "_CHUNK_VALUES", 64)
    np.testing.assert_array_equal(example_differences(p, kind), before[0])
    np.testing.assert_array_equal(differences_from_mean(p, kind), before[1])
    np.testing.assert_allclose(pair_means(p, kind=kind), means, rtol=1e-12)


@pytest.mark.parametrize("chunk", [8, 1 << 17])
def test_sums_in_sets_are_those_of_each_set_s_examples(chunk, monkeypatch):
    monkeypatch.setattr(differences, "_CHUNK_VALUES", chunk)
    kind = DifferenceKind()
    p = sample(kind, 3, 50)
    random = np.random.default_rng(2)
    w, sets = random.random(50), random.choice([0, 1, 3], 50)
    got = pair_sums(p, w, kind, sets, 4)
    for i in range(4):
        chosen = sets == i
        expected = pair_sums(p[:, chosen], w[chosen], kind)[0] if any(chosen) else 0
        np.testing.assert_allclose(got[i], expected, rtol=1e-12)


def test_what_cannot_be_rescaled_is_refused():
    with pytest.raises(
        ValueError, match="rescale: expected False for the kind hamming"
    ):
        differences_from_mean([[0.1], [0.2]], "hamming", rescale=True)
    with pytest.raises(ValueError, match="num_models: expected 2 or more, received 1"):
        mean_to_pairs_ratio(1)
