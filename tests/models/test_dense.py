"""models/dense.py: an affine function, and gradients of its own."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from smelu_tf.models.dense import Dense, affine


def numbers(*shapes, dtype=tf.float32, seed=0):
    random = np.random.default_rng(seed)
    return [tf.constant(random.normal(size=shape), dtype) for shape in shapes]


def float64(tensor):
    return tf.cast(tensor, tf.float64).numpy()


def _ref_gradients(parts, kernel, dy):
    """Of sum(dy · ([parts] kernel + bias)) in NumPy: parts', kernel's, bias's."""
    x = np.concatenate(parts, axis=1)
    in_x = np.einsum("bu,nu->bn", dy, kernel)
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    in_kernel = np.einsum("bn,bu->nu", x, dy)
    return [*np.split(in_x, ends, axis=1), in_kernel, np.einsum("bu->u", dy)]


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_the_output_is_the_formula_s(rank, dtype):
    parts = numbers((7, 3), (7, 9))
    layer = Dense(8, rank=rank, dtype=dtype)
    y = layer(parts)
    assert y.dtype == layer.compute_dtype
    layer.bias.assign(np.arange(8))
    kernel = layer.kernel.numpy() @ (layer.expansion.numpy() if rank else np.eye(8))
    expected = np.concatenate(parts, axis=1) @ kernel + np.arange(8)
    tolerance = 1e-5 if dtype == "float32" else 0.1
    np.testing.assert_allclose(float64(layer(parts)), expected, atol=tolerance)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("num_parts", [1, 2])
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_gradients_are_the_formulas(mode, num_parts, dtype):
    *parts, kernel, bias, dy = numbers(
        *[(6, 4), (6, 3)][:num_parts], (4 + 3 * (num_parts - 1), 5), (5,), (6, 5)
    )
    wanted = [tf.cast(each, dtype) for each in (*parts, kernel, bias)]

    def gradients(dy, *wanted):
        with tf.GradientTape() as tape:
            tape.watch(wanted)
            y = affine(wanted[:-2], wanted[-2], wanted[-1])
        return tape.gradient(y, wanted, output_gradients=dy)

    if mode != "eager":
        gradients = tf.function(gradients, jit_compile=mode == "xla")
    got = gradients(tf.cast(dy, dtype), *wanted)
    expected = _ref_gradients(
        [float64(each) for each in wanted[:-2]],
        float64(wanted[-2]),
        float64(tf.cast(dy, dtype)),
    )
    for value, reference in zip(got, expected, strict=True):
        assert value.dtype == dtype
        tolerance = 1e-5 if dtype == tf.float32 else 0.03
        np.testing.assert_allclose(
            float64(value), reference, rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("num_parts", [1, 2])
def test_second_derivatives_are_those_of_plain_operations(mode, num_parts):
    wanted = numbers(*[(6, 4), (6, 3)][:num_parts], (4 + 3 * (num_parts - 1), 5), (5,))

    def second(function, wanted):
        with tf.GradientTape() as outer:
            outer.watch(wanted)
            with tf.GradientTape() as inner:
                inner.watch(wanted)
                loss = tf.reduce_sum(tf.sin(function(*wanted)))
            first = inner.gradient(loss, wanted)
            total = tf.add_n([tf.reduce_sum(each**3) for each in first])
        return outer.gradient(total, wanted)

    def ours(*wanted):
        return affine(wanted[:-2], *wanted[-2:])

    def plain(*wanted):
        return tf.concat(wanted[:-2], axis=1) @ wanted[-2] + wanted[-1]

    run = tf.function(second, jit_compile=mode == "xla") if mode != "eager" else second
    for got, expected in zip(run(ours, wanted), second(plain, wanted), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_gradients_flow_out_of_a_loop():
    x, kernel, bias = numbers((4, 3), (3, 3), (3,))

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.while_loop(
                lambda i, y: i < 3,
                lambda i, y: (i + 1, affine([y], kernel, bias)),
                (0, x),
            )[1]
        return tape.gradient(y, x)

    expected = np.ones((4, 3)) @ np.linalg.matrix_power(kernel.numpy().T, 3)
    np.testing.assert_allclose(gradient(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_the_bias_s_gradient_adds_up_a_large_batch_in_float32(dtype):
    # In bfloat16 a sum of ones would stop at 256.
    x, kernel, bias = tf.ones([20_000, 2], dtype), *numbers((2, 3), (3,), dtype=dtype)
    with tf.GradientTape() as tape:
        tape.watch([kernel, bias])
        y = affine([x], kernel, bias)
    for gradient in tape.gradient(y, [kernel, bias]):
        np.testing.assert_allclose(float64(gradient), 20_000, rtol=0.004)


def test_weights_and_their_gradients_are_float32_under_mixed_precision():
    layer = Dense(4, rank=1, dtype="mixed_bfloat16")
    with tf.GradientTape() as tape:
        y = layer(numbers((3, 5), (3, 6)))
    gradients = tape.gradient(y, layer.trainable_variables)
    assert y.dtype == tf.bfloat16
    assert {g.dtype for g in (*gradients, *layer.weights)} == {tf.float32}


def test_no_wide_gradient_is_cut_into_those_of_the_inputs():
    layer = Dense(4)
    first, second = numbers((3, 5), (3, 6))
    layer([first, second])

    @tf.function
    def gradient(second):
        with tf.GradientTape() as tape:
            tape.watch(second)
            y = layer([first, second])
        return tape.gradient(y, second)

    graph = gradient.get_concrete_function(second).graph
    assert "ConcatOffset" not in {op.type for op in graph.get_operations()}


def test_without_a_tape_the_graph_holds_plain_operations_that_fuse():
    layer = Dense(4)
    layer(tf.ones([3, 5]))
    graph = tf.function(layer).get_concrete_function(tf.ones([3, 5])).graph
    assert "IdentityN" not in {op.type for op in graph.get_operations()}
    (biased,) = [op for op in graph.get_operations() if op.type == "BiasAdd"]
    assert biased.inputs[0].op.type == "MatMul"


def test_an_empty_batch_has_an_output_and_gradients_of_zero():
    layer = Dense(4)
    with tf.GradientTape() as tape:
        y = layer([tf.zeros([0, 2]), tf.zeros([0, 3])])
    assert y.shape == (0, 4)
    for gradient in tape.gradient(y, layer.trainable_variables):
        assert not np.any(gradient)


@pytest.mark.parametrize(("rank", "is_factored"), [(3, True), (4, False), (0, False)])
def test_a_kernel_is_factored_only_where_that_saves_weights(rank, is_factored):
    layer = Dense(8, rank=rank)
    layer(tf.ones([1, 8]))
    assert (layer.expansion is not None) == is_factored
    assert layer.kernel.shape == ((8, rank) if is_factored else (8, 8))


def test_a_layer_without_bias_adds_none():
    (x,) = numbers((3, 5))
    layer = Dense(4, use_bias=False)
    np.testing.assert_allclose(layer(x), x.numpy() @ layer.kernel.numpy(), rtol=1e-5)
    assert len(layer.weights) == 1


def test_a_tape_may_want_the_weights_alone():
    (x,) = numbers((3, 5))
    layer = Dense(1)
    with tf.GradientTape() as tape:
        y = layer(x)
    got = tape.gradient(y, layer.trainable_variables)
    np.testing.assert_allclose(got[0][:, 0], x.numpy().sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(got[1], [3.0])


def test_config_round_trip():
    layer = Dense(
        4, rank=1, kernel_initializer=tf_keras.initializers.HeNormal(seed=3), name="top"
    )
    again = Dense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    x = tf.ones([2, 5])
    layer(x), again(x)
    np.testing.assert_array_equal(layer.kernel, again.kernel)


def test_it_is_kept_in_keras_s_own_format(tmp_path):
    inputs = [tf_keras.Input((2,)), tf_keras.Input((3,))]
    model = tf_keras.Model(inputs, Dense(4)(inputs))
    model.save(tmp_path / "model.keras")
    again = tf_keras.models.load_model(tmp_path / "model.keras")
    parts = numbers((5, 2), (5, 3))
    np.testing.assert_array_equal(model(parts), again(parts))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units: expected 1 or more, received 0"),
        ({"units": 1, "rank": -1}, "rank: expected 0 or more, received -1"),
    ],
)
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Dense(**arguments)


def test_inputs_of_other_than_two_axes_are_refused():
    with pytest.raises(ValueError, match=r"expected inputs \(B, n\) of a known width"):
        Dense(3)(tf.ones([2, 3, 4]))
