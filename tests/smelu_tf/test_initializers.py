"""SignalPreserving: what it promises, on a deep network, in both Kerases."""

import numpy as np
import pytest
import tensorflow as tf

import smelu_tf
from smelu_tf.initializers import gain

NAMES = ("relu", "smelu:0.5", "smelu", "smelu:2", "smelu:4", "rescu:1:normal", "swish")


def pre_activations(k, name, initializer, depth=10, width=512):
    """Those of every layer of a network of normal inputs."""
    first = k.layers.Dense(width, kernel_initializer=initializer("linear"))
    x = tf.random.stateless_normal([width, width], seed=[1, 2])
    values = [first(x)]
    for _ in range(depth - 1):
        dense = k.layers.Dense(width, kernel_initializer=initializer(name))
        values.append(dense(smelu_tf.get(name)(values[-1])))
    return [np.asarray(value) for value in values]


@pytest.mark.parametrize("name", NAMES)
def test_ten_layers_keep_the_variance_over_units_and_over_examples(flavour, name):
    k, ours = flavour
    k.utils.set_random_seed(0)
    values = pre_activations(k, name, ours.SignalPreserving)
    for value in values:
        assert 0.85 < value.var() < 1.2
        assert 0.85 < value.var(axis=0).mean() < 1.2


def test_glorot_s_and_he_s_lose_the_signal_behind_a_wide_transition(flavour):
    k, _ = flavour
    k.utils.set_random_seed(0)
    for initializer in (k.initializers.GlorotNormal, k.initializers.HeNormal):
        values = pre_activations(k, "smelu:2", lambda _, i=initializer: i())
        assert values[-1].var(axis=0).mean() < 0.1


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("name", NAMES)
def test_gain_is_that_of_random_numbers(name, scale):
    z = scale * np.random.default_rng(0).normal(size=1_000_000)
    y = np.asarray(smelu_tf.get(name)(tf.constant(z)))
    assert gain(name, scale) == pytest.approx(scale / y.std(), rel=5e-3)


def test_gain_is_a_number_inside_a_traced_function_too():
    @tf.function
    def traced():
        return tf.constant(gain("smelu"))

    assert float(traced()) == pytest.approx(gain("smelu"))


def test_kernels_have_zero_sum_columns_of_the_promised_size(flavour):
    k, ours = flavour
    for shape in ((300, 200), (3, 3, 40, 64)):
        kernel = np.asarray(ours.SignalPreserving("smelu", scale=2.0)(shape))
        columns = kernel.reshape(-1, shape[-1])
        np.testing.assert_allclose(columns.sum(axis=0), 0, atol=1e-4)
        std = gain("smelu", 2.0) / np.sqrt(len(columns))
        assert columns.std() == pytest.approx(std, rel=0.02)


def test_dtypes_seeds_and_configs(flavour):
    k, ours = flavour
    for dtype in ("float64", "float32", "bfloat16"):
        kernel = ours.SignalPreserving("relu")((4, 3), dtype=dtype)
        assert tf.as_dtype(kernel.dtype) == dtype
    seeded = ours.SignalPreserving("smelu:0.5", 2.0, seed=3)
    again = k.initializers.deserialize(k.initializers.serialize(seeded))
    assert type(again) is ours.SignalPreserving
    np.testing.assert_array_equal(again((4, 3)), seeded((4, 3)))
    free = ours.SignalPreserving("smelu:0.5")
    assert not np.array_equal(free((4, 3)), free((4, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o: o.SignalPreserving("rleu"), "activation: expected one of"),
        (lambda o: o.SignalPreserving(tf.nn.relu), "activation: expected a name, rec"),
        (lambda o: o.SignalPreserving("relu", 0), "scale: expected a number above 0"),
        (lambda o: o.SignalPreserving("relu")((3,)), r"kernel with two .* \(3,\)"),
        (lambda o: o.SignalPreserving("relu")((1, 3)), r"kernel with two .* \(1, 3\)"),
        (lambda o: gain("relu", np.inf), "scale: expected a number above 0"),
        (lambda o: gain(tf.zeros_like), "expected one whose output varies"),
    ],
)
def test_what_it_does_not_take_is_refused(flavour, call, message):
    with pytest.raises(ValueError, match=message):
        call(flavour[1])
