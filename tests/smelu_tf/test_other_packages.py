"""What docs/activations.md says of other implementations, and this one beside them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from smelu_tf import smelu

tf_smelu = pytest.importorskip("tf_smelu")

EDGES = tf.constant([-np.inf, np.inf, np.nan])


def value_and_slope(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y.numpy(), tape.gradient(y, x).numpy()


@pytest.mark.parametrize("function", [tf_smelu.smelu, keras.ops.sparse_plus])
def test_they_agree_at_beta_1_between_the_infinities(function):
    x = tf.constant(np.linspace(-3, 3, 301), tf.float32)
    for got, ours in zip(
        value_and_slope(function, x), value_and_slope(smelu, x), strict=True
    ):
        np.testing.assert_allclose(got, ours, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("function", [tf_smelu.smelu, keras.ops.sparse_plus])
def test_their_slopes_at_the_infinities_are_nan_and_ours_are_not(function):
    assert np.all(np.isnan(value_and_slope(function, EDGES)[1]))
    np.testing.assert_array_equal(value_and_slope(smelu, EDGES)[1], [0, 1, np.nan])


def test_tf_smelu_at_width_0_is_nan_and_ours_is_relu():
    x = tf.constant([-1.0, 0.0, 1.0])
    value, slope = value_and_slope(lambda x: tf_smelu.smelu(x, beta=0.0), x)
    assert np.isnan(value[1])
    assert np.all(np.isnan(slope))
    value, slope = value_and_slope(lambda x: smelu(x, 0.0), x)
    np.testing.assert_array_equal(value, [0, 0, 1])
    np.testing.assert_array_equal(slope, [0, 0, 1])


def test_tf_smelu_takes_a_negative_width_and_we_refuse_it():
    assert tf_smelu.smelu(tf.constant([1.0]), beta=-1.0).shape == 1
    with pytest.raises(ValueError, match="beta: expected"):
        smelu(tf.constant([1.0]), -1.0)
