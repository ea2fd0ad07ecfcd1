"""smelu_tf/elementwise.py: one ladder for all functions, against oracles."""

import numpy as np
import pytest
import tensorflow as tf
from activation_family import CASES, X, each_case

import smelu_tf
from smelu_tf import gsmelu, rescu, smelu

pytestmark = pytest.mark.usefixtures("ops_and_compiled")


@each_case
def test_value_is_the_oracle_s(case):
    expected = case.reference(X, *case.parameters)
    got = case(tf.constant(X), *case.parameters)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)
    got32 = case(tf.constant(X, tf.float32), *case.parameters)
    assert got32.dtype == tf.float32
    np.testing.assert_allclose(got32, expected, rtol=1e-6, atol=3e-7)


def derivatives(case, x, parameters, transform):
    """The gradient of Σ w·y in x and in each parameter, and its Jacobian's columns."""
    w = tf.constant(np.linspace(1, 2, x.shape[0]))

    @transform
    def compute():
        with tf.GradientTape(persistent=True) as outer:
            outer.watch([x, *parameters])
            with tf.GradientTape() as inner:
                inner.watch([x, *parameters])
                y = tf.reduce_sum(w * case(x, *parameters))
            first = inner.gradient(y, [x, *parameters])
            sums = [tf.reduce_sum(first[0]), *first[1:]]
        second = [
            outer.gradient(s, [x, *parameters], unconnected_gradients="zero")
            for s in sums
        ]
        return first, second

    return tf.nest.map_structure(lambda t: t.numpy(), compute()), w.numpy()


TRANSFORMS = {
    "eager": lambda f: f,
    "graph": tf.function,
    "jit": lambda f: tf.function(f, jit_compile=True),
}


each_mode = pytest.mark.parametrize(
    "mode", ["eager", "graph", pytest.param("jit", marks=pytest.mark.slow)]
)


@each_case
@each_mode
def test_first_derivatives_in_x_and_every_parameter_are_differences(case, mode):
    x, p = X, np.array(case.parameters)
    constants = tf.constant(x), [tf.constant(v, tf.float64) for v in p]
    (first, _), w = derivatives(case, *constants, TRANSFORMS[mode])
    h = 1e-5

    def f(x, p):
        return w * case.reference(x, *p)

    in_x = (f(x + h, p) - f(x - h, p)) / (2 * h)
    np.testing.assert_allclose(first[0], in_x, rtol=1e-7, atol=1e-8)
    for i, step in enumerate(h * np.eye(len(p))):
        expected = np.sum(f(x, p + step) - f(x, p - step)) / (2 * h)
        np.testing.assert_allclose(first[1 + i], expected, rtol=1e-7, atol=1e-7)


@each_case
@each_mode
def test_second_derivatives_of_every_pair_are_differences_of_the_first(case, mode):
    # The first are known to be right by the test above.
    x, p = X, np.array(case.parameters)

    def first(x, p):
        tensors = tf.constant(x), [tf.constant(v, tf.float64) for v in p]
        (gradient, _), _ = derivatives(case, *tensors, TRANSFORMS["eager"])
        return gradient

    tensors = tf.constant(x), [tf.constant(v, tf.float64) for v in p]
    (_, second), _ = derivatives(case, *tensors, TRANSFORMS[mode])
    h = 1e-6
    plus, minus = first(x + h, p), first(x - h, p)
    in_x = (plus[0] - minus[0]) / (2 * h)
    np.testing.assert_allclose(second[0][0], in_x, rtol=1e-6, atol=3e-6)
    for i, step in enumerate(h * np.eye(len(p))):
        plus, minus = first(x, p + step), first(x, p - step)
        for j in range(1 + len(p)):
            expected = np.sum(plus[j] - minus[j]) / (2 * h)
            np.testing.assert_allclose(second[j][1 + i], expected, rtol=1e-6, atol=3e-6)


@each_case
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_infinities_and_nan(case, dtype):
    x = tf.constant([-np.inf, np.inf, np.nan], dtype)
    width = 1.0
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        if case.function is gsmelu:
            y = gsmelu(x, width, width)
        else:
            y = case(x, width)
    np.testing.assert_array_equal(tf.cast(y, tf.float64), [0, np.inf, np.nan])
    slope = tf.cast(tape.gradient(y, x), tf.float64)
    np.testing.assert_array_equal(slope, [0, 1, np.nan])
    assert y.dtype == dtype


@pytest.mark.parametrize(
    "beta",
    [
        [np.float32(0.5)] * 3,
        np.full(3, 0.5, np.float16),
        np.full(3, 0.5, tf.bfloat16.as_numpy_dtype),
        np.float32(0.5),
        [0.5, 0.5, 0.5],
    ],
)
def test_numbers_of_any_kind_are_parameters(beta):
    x = tf.constant(np.linspace(-1, 1, 6).reshape(2, 3))
    np.testing.assert_array_equal(smelu(x, beta), smelu(x, 0.5))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@each_case
def test_half_precision_is_float32_rounded_and_sums_in_float32(case, dtype):
    x = tf.cast(tf.constant(np.linspace(-3, 3, 501), tf.float32), dtype)
    wide = tf.cast(x, tf.float32)

    def run(x):
        p = [tf.constant(v, tf.float32) for v in case.parameters]
        with tf.GradientTape() as tape:
            tape.watch([x, *p])
            y = case(x, *p)
        in_x, *rest = tape.gradient(y, [x, *p])
        return [tf.cast(v, tf.float32).numpy() for v in (y, in_x)], rest

    (y, in_x), in_parameters = run(x)
    (wide_y, wide_in_x), wide_in_parameters = run(wide)
    rounded = tf.cast(tf.cast(wide_y, dtype), tf.float32)
    np.testing.assert_array_equal(y, rounded)
    tolerance = 2e-2 if dtype == "bfloat16" else 2e-3
    np.testing.assert_allclose(in_x, wide_in_x, atol=tolerance)
    # SmeLU's come from the rounded output; no rounding of single terms adds up.
    for got, expected in zip(in_parameters, wide_in_parameters, strict=True):
        assert got.dtype == tf.float32
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=0.05)


@each_case
@pytest.mark.parametrize("shape", [(3,), (4, 1, 1), (2, 3)])
def test_parameters_broadcast_and_their_gradients_have_their_shapes(case, shape):
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(4, 2, 3)))
    parameters = [
        tf.constant(v + random.uniform(0, 0.2, shape)) for v in case.parameters
    ]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        total = tf.reduce_sum(case(x, *parameters))
    gradients = tape.gradient(total, parameters)
    for i, gradient in enumerate(gradients):
        # One by one: with the others' gradients, summed where they are scalars.
        full = [np.broadcast_to(p, x.shape) for p in parameters]
        flat = [tf.constant(f.reshape(-1)) for f in full]
        with tf.GradientTape() as tape:
            tape.watch(flat)
            total = tf.reduce_sum(case(tf.reshape(x, [-1]), *flat))
        each = tape.gradient(total, flat[i]).numpy().reshape(x.shape)
        axes = tuple(a for a in range(3) if (1, 1, 1, *shape)[-3:][a] == 1)
        expected = each.sum(axis=axes).reshape(shape)
        assert gradient.shape == shape
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-13)


@each_case
def test_unknown_shapes_empty_tensors_and_vectorized_map(case):
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 7)))
    mapped = tf.vectorized_map(lambda row: case(row, *case.parameters), x)
    np.testing.assert_allclose(mapped, case(x, *case.parameters), rtol=1e-12)

    @tf.function(input_signature=[tf.TensorSpec(None)])
    def unknown(x):
        parameters = [tf.constant(p) for p in case.parameters]
        with tf.GradientTape() as tape:
            tape.watch([x, *parameters])
            y = case(x, *parameters)
        return y, tape.gradient(y, [x, *parameters])

    for shape in ((3,), (2, 2), (), (0, 4)):
        y, (slope, *rest) = unknown(tf.zeros(shape))
        assert y.shape == slope.shape == shape
        assert all(gradient.shape == () for gradient in rest)
        if 0 in shape:
            np.testing.assert_array_equal(rest, np.zeros(len(rest)))


@each_case
def test_plain_ops_differentiated_as_they_stand_are_right(case):
    """Traced without a tape there is no custom gradient; joints and 0 are among x."""
    smelu_tf.set_kernel("auto")
    joints = np.array([-1.3, 1.3, -0.9, 1.4, 0.5, 0.0])
    x = tf.constant(np.concatenate([X, joints]))
    p = [tf.constant(v, tf.float64) for v in case.parameters]

    @tf.function
    def plain(x, *p):
        return tf.gradients(tf.reduce_sum(case(x, *p)), [x, *p])

    with tf.GradientTape() as tape:
        tape.watch([x, *p])
        y = case(x, *p)
    for got, expected in zip(plain(x, *p), tape.gradient(y, [x, *p]), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def branch(f, x):
    return tf.cond(tf.size(x) > 0, lambda: f(x), lambda: x)


def loop(f, x):
    return tf.while_loop(lambda i, y: i < 1, lambda i, y: (i + 1, f(x)), (0, x))[1]


# What rewrites a function's graph, or runs it in one of its own.
AROUND = {
    "cond": branch,
    "while": loop,
    "map_fn": tf.map_fn,
    "vectorized_map": tf.vectorized_map,
    "recompute_grad": lambda f, x: tf.recompute_grad(f)(x),
}


@each_case
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(
    "parameters", ["numbers", pytest.param("variables", marks=pytest.mark.slow)]
)
def test_gradients_are_right_inside_what_rewrites_graphs(case, around, parameters):
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 3)))
    values = [float(p) for p in case.parameters]
    if parameters == "variables":
        if around == "recompute_grad":
            pytest.skip("tf.recompute_grad has rules of its own for variables")
        values = [tf.Variable(p, dtype=tf.float64) for p in values]
    sources = [x, *values] if parameters == "variables" else [x]

    def gradients(transform):
        def compute(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = transform(lambda x: case(x, *values), x)
                z = y * y
            gradients = tape.gradient(z, [x, *sources[1:]])
            return [tf.convert_to_tensor(gradient) for gradient in gradients]

        return compute

    spec = tf.TensorSpec((5 if around == "map_fn" else None, 3), tf.float64)
    got = tf.function(gradients(AROUND[around]), input_signature=[spec])(x)
    expected = gradients(lambda f, x: f(x))(x)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    if around in ("map_fn", "vectorized_map"):  # eager calls of these, too
        for a, b in zip(gradients(AROUND[around])(x), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=name,
            marks=() if name in ("smelu", "gsmelu") else pytest.mark.slow,
        )
        for name, case in CASES.items()
    ],
)
def test_forward_mode_is_right_in_eager_mode_and_in_a_graph(case):
    x = tf.constant(X)

    def forward(x):
        with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as accumulator:
            y = case(x, *case.parameters)
        return accumulator.jvp(y)

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = case(x, *case.parameters)
    expected = tape.gradient(y, x)
    np.testing.assert_allclose(forward(x), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(tf.function(forward)(x), expected, 1e-12, 1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: gsmelu(x, [1.0, 2.0, 3.0], [1.0, 2.0]), "alpha, beta: expected sh"),
        (lambda x: smelu(x, [[1.0], [1.0, 2.0]]), "beta: expected a finite number"),
        (lambda x: smelu(x, tf.constant("a")), "beta: expected numbers, received str"),
        (lambda x: smelu(x, tf.constant(1j)), "beta: expected numbers, received comp"),
        (lambda x: smelu(x, {"a": 1.0}), "beta: expected a finite number"),
        (lambda x: smelu(tf.ragged.constant([[1.0]])), "expected a dense tensor, rec"),
        (lambda x: gsmelu(x, -1.0, 0.5), r"alpha \+ beta: expected 0 or more, .*-1.0"),
        (lambda x: gsmelu(x, np.nan), "alpha: expected a finite number, received nan"),
        (lambda x: gsmelu(x, g_plus="1"), "g_plus: expected a finite number"),
        (lambda x: gsmelu(x, t=tf.ones([2])), "t: expected a shape that broadcasts to"),
        (
            lambda x: gsmelu(x, [1.0, -2.0, 0], 1.0),
            r"alpha \+ beta: expected 0 or more",
        ),
        (lambda x: rescu(x, -1.0), "beta: expected a finite number of 0 or more"),
        (lambda x: rescu(x, 1.0, "gauss"), "density: expected one of .*'gauss'"),
        (lambda x: rescu(x, 1.0, None), "density: expected one of uniform"),
        (lambda x: gsmelu(tf.cast(x, tf.int32)), "gsmelu: expected a floating-point"),
        (lambda x: rescu(tf.cast(x, tf.int32)), "rescu: expected a floating-point"),
    ],
)
def test_what_they_do_not_take_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(tf.zeros([4, 3]))
