"""smelu_tf/densities.py: ReLU convolved with any density, and its known members."""

import numpy as np
import pytest
import tensorflow as tf
from activation_family import X
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf import gsmelu, rescu, smelu
from smelu_tf.functional import DENSITIES

pytestmark = pytest.mark.usefixtures("ops_and_compiled")


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("kind", [float, tf.constant])
def test_width_0_is_relu_in_value_and_gradient(density, kind):
    x = tf.constant([-3.0, -1e-20, 0.0, 1e-20, 0.5, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours, relu = rescu(x, kind(0.0), density), tf.nn.relu(x)
    np.testing.assert_array_equal(ours, relu)
    np.testing.assert_array_equal(tape.gradient(ours, x), tape.gradient(relu, x))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(DENSITIES),
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20),
    st.floats(0.01, 100),
)
def test_rescu_is_monotone_above_relu_and_odd_but_for_its_half(density, values, beta):
    x = np.sort(np.array(values))
    y, mirrored = (rescu(tf.constant(s * x), beta, density).numpy() for s in (1, -1))
    slack = 1e-12 * np.maximum(np.abs(x), beta)
    assert np.all(np.diff(y) >= -slack[1:])
    assert np.all(y >= np.maximum(x, 0) - slack)
    np.testing.assert_allclose(y - mirrored, x, atol=1e-12 * max(np.abs(x).max(), beta))


def test_rescu_s_known_members():
    x = tf.constant(X, tf.float32)
    np.testing.assert_array_equal(rescu(x, 0.7), smelu(x, 0.7))
    softplus = tf.math.softplus(x / 0.7) * 0.7
    np.testing.assert_allclose(rescu(x, 0.7, "logistic"), softplus, 1e-6, 1e-7)
    squareplus = (X + np.sqrt(X * X + 0.7)) / 2
    np.testing.assert_allclose(rescu(x, 0.7, "squareplus"), squareplus, 2e-6, 1e-7)
    np.testing.assert_array_equal(gsmelu(tf.constant([-2.0, 0.5])), smelu([-2.0, 0.5]))


def test_squareplus_is_exact_far_out():
    x = tf.constant([-1e25, -1e4, 1e25])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = rescu(x, 2.0, "squareplus")
    np.testing.assert_allclose(y, [0.5e-25, 0.5e-4, 1e25], rtol=1e-6)
    slope = tape.gradient(y, x)
    np.testing.assert_allclose(slope, [0, 0.5e-8, 1], rtol=1e-6)
