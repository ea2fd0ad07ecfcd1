"""smelu_tf/transitions.py: gSmeLU's lines, joints and ends."""

import numpy as np
import pytest
import tensorflow as tf
from activation_family import ref_gsmelu
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf import gsmelu

pytestmark = pytest.mark.usefixtures("ops_and_compiled")

numbers = st.floats(-1e3, 1e3)
slopes = st.floats(-5, 5)
widths = st.floats(0.01, 100)


def test_gsmelu_s_limits_at_infinity():
    x = tf.constant([-np.inf, np.inf])
    for g_minus, g_plus in ((0.0, 0.0), (0.1, 0.0), (-0.1, 2.0)):
        limits = [
            -np.inf * g_minus if g_minus else -0.3,
            np.inf * g_plus if g_plus else -0.3 + g_minus,
        ]
        got = gsmelu(x, 1.0, 1.0, g_minus, g_plus, -0.3)
        np.testing.assert_allclose(got, np.array(limits, np.float32), rtol=1e-6)


@pytest.mark.parametrize("kind", [float, tf.constant])
def test_gsmelu_of_width_0_is_two_lines(kind):
    x = tf.constant([-3.0, -1e-20, 1e-20, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = gsmelu(x, kind(0.0), kind(0.0), 0.1, 2.0)
    np.testing.assert_allclose(y, [-0.3, -1e-21, 2e-20, 6.0], rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(y, x), [0.1, 0.1, 2, 2], rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(numbers, widths, widths, slopes, slopes, slopes)
def test_gsmelu_is_the_oracle_s_for_any_parameters(x, alpha, beta, g_minus, g_plus, t):
    parameters = alpha, beta, g_minus, g_plus, t
    got = gsmelu(tf.constant(x, tf.float64), *parameters)
    expected = ref_gsmelu(np.float64(x), *parameters)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-10)


@settings(deadline=None, max_examples=60)
@given(widths, widths, slopes, slopes, slopes)
def test_gsmelu_joins_its_pieces_in_value_and_slope(alpha, beta, g_minus, g_plus, t):
    eps = 1e-9 * (alpha + beta)
    joints = np.array([-alpha, beta])
    x = tf.constant(np.concatenate([joints - eps, joints, joints + eps]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = gsmelu(x, alpha, beta, g_minus, g_plus, t)
    slope = tape.gradient(y, x).numpy().reshape(3, 2)
    np.testing.assert_allclose(slope, np.tile([g_minus, g_plus], (3, 1)), atol=1e-7)
    np.testing.assert_allclose(np.diff(y.numpy().reshape(3, 2), axis=0), 0, atol=1e-5)
