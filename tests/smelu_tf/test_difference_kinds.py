"""smelu_tf/difference_kinds.py: names, ends, and one formula for two libraries."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
from difference_samples import each_kind, sample, some_labels

from smelu_tf import DifferenceKind
from smelu_tf.difference_kinds import KINDS, comparable, distance, over_labels
from smelu_tf.differences import example_differences


def test_logits_of_certain_predictions_end():
    end = math.log((1 - 1e-7) / 1e-7)
    got = example_differences([[0.0, 1e-9], [1.0, 1e-8]], "logit")
    np.testing.assert_allclose(got, [2 * end, 0], rtol=1e-9)
    kind = DifferenceKind("logit", from_logits=True)
    assert example_differences([[30.0], [50.0]], kind) == 20


def test_the_widest_logits_have_finite_differences():
    p = [[-1e4, 800.0], [1e4, -800.0]]
    for name in KINDS:
        found = example_differences(p, DifferenceKind(name, from_logits=True))
        assert np.all(np.isfinite(found)), name


@each_kind
@some_labels
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensorflow_has_the_same_formula_in_its_own_dtype(kind, num_labels, dtype):
    p = sample(kind, 2, 30, num_labels)
    values = comparable(tf.constant(p, dtype), kind, tnp)
    by_label = values.shape.rank == 3
    each = tf.cast(distance(values[0], values[1], kind, tnp), dtype)
    got = over_labels(each, kind, by_label, tnp)
    assert got.dtype == dtype
    expected = example_differences(p, kind)
    tolerance = 1e-12 if dtype == "float64" else 2e-3
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance / 100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relativ",), "kind: expected one of relative, absolute, .*'relativ'"),
        (("relative", False, 0.5), "threshold: expected None for the kind relative"),
        (("hamming", False, 1.5), "threshold: expected a probability .* received 1.5"),
        (("hamming", False, math.nan), "threshold: expected a probability .* nan"),
    ],
)
def test_a_kind_that_is_none_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DifferenceKind(*arguments)
