"""smelu: values and derivatives against a float64 oracle."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import smelu_tf
from smelu_tf import smelu

BETAS = (0.01, 0.5, 1.0, 2.0, 30.0)
finite = st.floats(-1e6, 1e6, allow_nan=False)
widths = st.floats(1e-3, 1e3)


@pytest.fixture(autouse=True, params=["ops", "xla", "tpu"])
def policy(request):
    """Every test runs with all ways of running the passes."""
    smelu_tf.set_kernel(request.param)
    yield request.param
    smelu_tf.set_kernel("auto")


def _ref_smelu(x, beta):
    """The three pieces as the paper states them, in float64."""
    x = np.asarray(x, np.float64)
    if beta == 0:
        return np.maximum(x, 0)
    middle = (x + beta) ** 2 / (4 * beta)
    return np.where(x <= -beta, 0.0, np.where(x >= beta, x, middle))


def grid(beta, dtype=np.float32):
    """Tails, joints and their neighbours, tiny and huge values, both signs."""
    near = np.array([-beta, beta, 0.0], dtype)
    steps = [np.nextafter(near, dtype(s)) for s in (-np.inf, np.inf)]
    powers = np.logspace(-30, 30, 200, dtype=dtype)
    inside = np.linspace(-1.2 * beta, 1.2 * beta, 4001, dtype=dtype)
    return np.concatenate([near, *steps, powers, -powers, inside])


@pytest.mark.parametrize("beta", BETAS)
def test_value_is_within_4_ulp_of_the_oracle(beta):
    x = grid(beta)
    got = smelu(tf.constant(x), beta).numpy()
    beta32 = np.float64(np.float32(beta))
    expected = _ref_smelu(x, beta32)
    ulp = np.spacing(np.maximum(expected, np.finfo(np.float32).tiny).astype(np.float32))
    assert got.dtype == np.float32
    assert np.max(np.abs(got - expected) / ulp) <= 4


@pytest.mark.parametrize("beta", BETAS)
def test_right_tail_is_x_and_left_tail_0_exactly(beta):
    x = np.float32(beta) * np.array([1, 1.5, 1e3, -1, -1.5, -1e3], np.float32)
    got = smelu(tf.constant(x), beta).numpy()
    np.testing.assert_array_equal(got, [*x[:3], 0, 0, 0])


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_infinities_and_nan(dtype, beta):
    x = tf.constant([-np.inf, np.inf, np.nan, 0.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = smelu(x, beta)
    values = tf.cast(y, tf.float64).numpy()
    np.testing.assert_array_equal(values, [0.0, np.inf, np.nan, beta / 4])
    slopes = tf.cast(tape.gradient(y, x), tf.float64).numpy()
    np.testing.assert_array_equal(slopes, [0.0, 1.0, np.nan, 0.5 if beta else 0.0])
    assert y.dtype == dtype


def test_beta_0_is_relu_in_value_and_gradient():
    x = tf.constant(np.append(np.linspace(-3, 3, 101), 0.0), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours, relu = smelu(x, 0.0), tf.nn.relu(x)
    np.testing.assert_array_equal(ours, relu)
    np.testing.assert_array_equal(tape.gradient(ours, x), tape.gradient(relu, x))


def test_keras_s_sparse_plus_agrees_at_beta_1():
    keras = pytest.importorskip("keras")
    x = np.linspace(-3, 3, 1001).astype(np.float32)
    expected = np.asarray(keras.ops.sparse_plus(x))
    np.testing.assert_allclose(smelu(x, 1.0), expected, rtol=3e-6, atol=1e-7)


dtypes = st.sampled_from([tf.float64, tf.float32, tf.bfloat16, tf.float16])


EPS = {
    tf.float64: 2.0**-52,
    tf.float32: 2.0**-23,
    tf.bfloat16: 2.0**-7,
    tf.float16: 2.0**-10,
}


@settings(deadline=None, max_examples=100)
@given(st.lists(finite, min_size=1, max_size=30), widths)
def test_float32_is_within_4_ulp_of_the_oracle_everywhere(values, beta):
    x, beta = np.float32(values), np.float32(beta)
    expected = _ref_smelu(x, np.float64(beta))
    ulp = np.spacing(np.maximum(expected, np.finfo(np.float32).tiny).astype(np.float32))
    got = smelu(tf.constant(x), float(beta)).numpy()
    assert np.all(np.abs(got - expected) <= 4 * ulp)


@settings(deadline=None, max_examples=100)
@given(widths, dtypes)
def test_value_and_slope_are_continuous_at_both_joints(beta, dtype):
    x = tf.constant(
        [np.float64(s * beta * f) for s in (-1, 1) for f in near(dtype)], dtype
    )
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = smelu(x, beta)
    eps = EPS[dtype]
    expected = np.repeat([0.0, beta], 3)
    np.testing.assert_allclose(
        tf.cast(y, tf.float64), expected, rtol=0, atol=4 * eps * beta
    )
    # Taken from y: a rounding of y near β is one of the slope.
    slope = tf.cast(tape.gradient(y, x), tf.float64)
    np.testing.assert_allclose(slope, np.repeat([0.0, 1.0], 3), rtol=0, atol=4 * eps)


def near(dtype):
    """Factors to the left of, on and to the right of a joint."""
    return 1 - 2 * EPS[dtype], 1, 1 + 2 * EPS[dtype]


@settings(deadline=None, max_examples=100)
@given(finite, widths, dtypes)
def test_f_of_x_minus_f_of_minus_x_is_x(x, beta, dtype):
    scale = min(1.0, 6e4 / 1e6) if dtype == tf.float16 else 1.0
    x = tf.constant([x * scale, -x * scale], dtype)
    pair = tf.cast(smelu(x, beta), tf.float64).numpy()
    x = tf.cast(x, tf.float64).numpy()
    eps = EPS[dtype]
    assert pair[0] - pair[1] == pytest.approx(x[0], abs=3 * eps * max(abs(x[0]), beta))


@settings(deadline=None, max_examples=100)
@given(st.lists(finite, min_size=2, max_size=30), widths, dtypes)
def test_monotone_and_between_relu_and_relu_plus_a_quarter_beta(values, beta, dtype):
    scale = 6e4 / 1e6 if dtype == tf.float16 else 1.0
    x = tf.sort(tf.constant(np.array(values) * scale, dtype))
    y = tf.cast(smelu(x, beta), tf.float64).numpy()
    x = tf.cast(x, tf.float64).numpy()
    slack = 4 * EPS[dtype] * np.maximum(np.abs(x), beta)
    assert np.all(np.diff(y) >= -slack[1:])
    assert np.all(y >= np.maximum(x, 0) - slack)
    assert np.all(y <= np.maximum(x, 0) + beta / 4 + slack)


def gradients(x, beta, transform=lambda f: f):
    """dy/dx, dΣy/dβ, and the derivatives of Σ c·dy/dx and of dΣ(c·y)/dβ in x and β."""
    weights = tf.constant(np.linspace(1, 2, x.shape[0]), x.dtype)

    @transform
    def compute():
        with tf.GradientTape(persistent=True) as outer:
            outer.watch([x, beta])
            with tf.GradientTape() as inner:
                inner.watch([x, beta])
                y = weights * smelu(x, beta)
            in_x, in_beta = inner.gradient(y, [x, beta])
        return (
            in_x / weights,
            in_beta,
            outer.gradient(in_x, x),
            outer.gradient(in_x, beta),
            outer.gradient(in_beta, x),
            outer.gradient(in_beta, beta),
        )

    return [value.numpy() for value in compute()], weights.numpy()


TRANSFORMS = {
    "eager": lambda f: f,
    "graph": tf.function,
    "jit": lambda f: tf.function(f, jit_compile=True),
}


@pytest.mark.parametrize("mode", TRANSFORMS)
@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_first_and_second_derivatives_are_finite_differences(mode, beta):
    # Away from the joints, where the second derivative jumps; both tails are there.
    x = np.concatenate([[-9, -4.5], np.linspace(-0.97, 0.97, 21) * beta, [4.5, 9]])
    h = 1e-6 * beta
    got, weights = gradients(
        tf.constant(x), tf.constant(beta, tf.float64), TRANSFORMS[mode]
    )

    def f(x, beta):
        return _ref_smelu(x, beta)

    def slope(x, beta):
        return (f(x + h, beta) - f(x - h, beta)) / (2 * h)

    def beta_slope(x, beta):
        return (f(x, beta + h) - f(x, beta - h)) / (2 * h)

    def check(value, expected, tolerance):
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)

    big = 1e-3 * beta
    check(got[0], slope(x, beta), 1e-8)
    check(got[1], np.sum(weights * beta_slope(x, beta)), 1e-7)
    in_x = (slope(x + big, beta) - slope(x - big, beta)) / (2 * big)
    check(got[2], weights * in_x, 1e-5 / beta)
    mixed = (slope(x, beta + big) - slope(x, beta - big)) / (2 * big)
    check(got[3], np.sum(weights * mixed), 1e-4 / beta)
    check(got[4], weights * mixed, 1e-4 / beta)
    twice = (beta_slope(x, beta + big) - beta_slope(x, beta - big)) / (2 * big)
    check(got[5], np.sum(weights * twice), 1e-3 / beta)


def test_second_derivative_is_0_and_finite_in_the_left_tail():
    x = tf.constant([-5.0, -1.0, -1.0 + 1e-7, 0.0, 1.0, 5.0])
    got, _ = gradients(x, tf.constant(1.0))
    assert np.all(np.isfinite(got[2]))
    assert got[2][0] == got[2][1] == got[2][5] == 0
    assert got[2][3] > 0.5


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (4, 1, 1)])
def test_beta_broadcasts_and_its_gradient_has_its_shape(shape):
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(4, 2, 3)))
    beta = tf.constant(random.uniform(0.5, 2, shape))
    with tf.GradientTape() as tape:
        tape.watch(beta)
        total = tf.reduce_sum(smelu(x, beta))
    gradient = tape.gradient(total, beta).numpy()
    assert gradient.shape == shape
    h = 1e-6
    for index in np.ndindex(*shape):
        step = np.zeros(shape)
        step[index] = h
        upper, lower = (np.asarray(beta) + s * step for s in (1, -1))
        expected = np.sum(_ref_broadcast(x, upper) - _ref_broadcast(x, lower)) / (2 * h)
        assert gradient[index] == pytest.approx(expected, rel=1e-6)


def _ref_broadcast(x, beta):
    x, beta = np.broadcast_arrays(np.asarray(x), beta)
    return np.where(x <= -beta, 0, np.where(x >= beta, x, (x + beta) ** 2 / (4 * beta)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_float32_rounded(dtype):
    x = tf.cast(tf.constant(np.linspace(-3, 3, 501), tf.float32), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = smelu(x, 0.7)
    expected = tf.cast(smelu(tf.cast(x, tf.float32), 0.7), dtype)
    np.testing.assert_array_equal(tf.cast(y, tf.float32), tf.cast(expected, tf.float32))
    slope = np.clip((tf.cast(x, tf.float64).numpy() + 0.7) / 1.4, 0, 1)
    got = tf.cast(tape.gradient(y, x), tf.float64)
    np.testing.assert_allclose(got, slope, atol=2e-2 if dtype == "bfloat16" else 2e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_has_second_derivatives_and_an_exact_sum_in_beta(dtype):
    x = tf.cast(tf.constant(np.linspace(-0.5, 0.5, 1001)), dtype)
    beta = tf.constant(1.0, dtype)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch([x, beta])
            y = smelu(x, beta)
        in_x, in_beta = inner.gradient(y, [x, beta])
    r = (tf.cast(x, tf.float64).numpy() + 1) / 2
    assert float(in_beta) == pytest.approx(np.sum(r * (1 - r)), rel=5e-3)
    second = tf.cast(outer.gradient(in_x, x), tf.float64)
    np.testing.assert_allclose(second, 0.5, rtol=1e-2)


@pytest.mark.parametrize("mode", TRANSFORMS)
def test_every_mode_gives_the_same(mode):
    x = tf.constant(np.linspace(-2, 2, 1000), tf.float32)
    got = TRANSFORMS[mode](lambda: smelu(x, 0.7))()
    np.testing.assert_allclose(got, smelu(x, 0.7), rtol=3e-7, atol=1e-9)


def test_vectorized_map_and_unknown_shapes_and_empty_tensors():
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 7)))
    mapped = tf.vectorized_map(lambda row: smelu(row, 0.5), x)
    np.testing.assert_allclose(mapped, smelu(x, 0.5), rtol=1e-12)

    @tf.function(input_signature=[tf.TensorSpec(None)])
    def unknown(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = smelu(x)
        return y, tape.gradient(y, x)

    for shape in ((3,), (2, 2), (), (0, 4)):
        y, slope = unknown(tf.zeros(shape))
        assert y.shape == slope.shape == shape


@pytest.mark.parametrize(
    "beta", [-1, -0.5, float("nan"), float("inf"), 2e38, "1", True, None]
)
def test_a_beta_that_is_none_is_refused(beta):
    with pytest.raises(ValueError, match="beta: expected a finite number of 0 or more"):
        smelu(tf.zeros([1]), beta)


def test_integers_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected a floating-point tensor, received"):
        smelu(tf.constant([1, 2]))
    with pytest.raises(ValueError, match="beta: expected a shape that broadcasts to"):
        smelu(tf.zeros([2, 3]), tf.ones([2]))
    with pytest.raises(ValueError, match="beta: expected a shape that broadcasts to"):
        smelu(tf.zeros([3]), tf.ones([2, 3]))


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_a_function_traced_without_a_tape_has_right_gradients_too(beta):
    smelu_tf.set_kernel("auto")
    traced = tf.function(smelu)
    x = tf.constant([-np.inf, -2.0, -0.5, -0.25, 0.25, 0.5, 2.0, np.inf])
    width = tf.fill(x.shape, beta)
    traced(x, width)
    with tf.GradientTape() as tape:
        tape.watch([x, width])
        y = traced(x, width)
    slope = [0, 0, 0, 0.25, 0.75, 1, 1, 1] if beta else [0, 0, 0, 0, 1, 1, 1, 1]
    in_x, in_width = tape.gradient(y, [x, width])
    np.testing.assert_array_equal(in_x, np.array(slope, np.float32))
    np.testing.assert_array_equal(in_width, np.multiply(slope, np.subtract(1, slope)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0, 3.0])
def test_plain_ops_differentiated_as_they_stand_are_right_at_the_joints(dtype, beta):
    smelu_tf.set_kernel("auto")

    @tf.function
    def slope(x):  # symbolic gradients: no tape, so no custom gradient
        return tf.gradients(smelu(x, beta), x)[0]

    x = tf.constant([-beta - 1, -beta, beta, beta + 1], dtype)
    expected = [0, 0, 1, 1] if beta else [0, 0, 0, 1]
    np.testing.assert_array_equal(tf.cast(slope(x), tf.float32), expected)


def test_the_widest_transition_stays_finite():
    x = tf.constant([-3e38, -1e38, 0.0, 1e38, 3e38])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = smelu(x, 1e38)
    expected = _ref_smelu(x.numpy(), np.float64(np.float32(1e38)))
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(y, x), [0, 0, 0.5, 1, 1], rtol=1e-6)
