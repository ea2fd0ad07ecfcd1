"""models/interactions.py: what goes before the MLP."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow_recommenders.layers.feature_interaction import DotInteraction

from smelu_tf.models import WideDeepConfig
from smelu_tf.models.interactions import DCN, DLRM, INTERACTIONS, NoInteraction


def inputs(num_numeric=3, num_columns=(2, 1), dim=4, batch=5, dtype=tf.float32):
    random = np.random.default_rng(0)
    numeric = tf.constant(random.normal(size=(batch, 2 * num_numeric)), dtype)
    tables = [random.normal(size=(batch, c, dim)) for c in num_columns]
    return numeric, [tf.constant(table, dtype) for table in tables]


def _ref_side_by_side(numeric, tables):
    flat = [np.reshape(table, [len(table), -1]) for table in tables]
    return np.concatenate([numeric, *flat], axis=1)


def float64(tensor):
    return tf.cast(tensor, tf.float64).numpy()


def test_without_interaction_all_is_put_side_by_side():
    numeric, tables = inputs()
    got = np.concatenate(NoInteraction()(numeric, tables), axis=1)
    np.testing.assert_array_equal(got, _ref_side_by_side(numeric, tables))


def test_what_is_not_there_is_no_input():
    numeric, tables = inputs(num_numeric=0)
    assert len(NoInteraction()(numeric, tables)) == 2
    numeric, tables = inputs(num_columns=())
    assert len(NoInteraction()(numeric, tables)) == 1


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_cross_layers_are_the_formula_s(rank, dtype):
    layer = DCN(num_layers=3, rank=rank, dtype=dtype)
    numeric, tables = inputs(dtype=layer.compute_dtype)
    layer(numeric, tables)
    x0 = x = _ref_side_by_side(float64(numeric), [float64(t) for t in tables])
    for i, cross in enumerate(layer.crosses):
        kernel, *expansion, bias = cross.weights
        bias.assign(tf.fill(bias.shape, 0.1 * i))
        kernel = kernel.numpy()
        if rank:
            kernel = kernel @ expansion[0].numpy()
        x = x0 * (x @ kernel + 0.1 * i) + x
    (got,) = layer(numeric, tables)
    assert got.dtype == layer.compute_dtype
    tolerance = 1e-4 if dtype == "float32" else 0.05 * np.abs(x).max()
    np.testing.assert_allclose(float64(got), x, atol=tolerance)


def test_cross_layers_multiply_in_bfloat16_under_mixed_precision():
    layer = DCN(num_layers=1, dtype="mixed_bfloat16")
    numeric, tables = inputs(dtype=tf.bfloat16)
    layer(numeric, tables)
    graph = tf.function(layer).get_concrete_function(numeric, tables).graph
    products = [op for op in graph.get_operations() if op.type == "MatMul"]
    assert [op.outputs[0].dtype for op in products] == [tf.bfloat16]
    assert {w.dtype for w in layer.weights} == {tf.float32}


def test_the_factors_of_a_cross_kernel_are_drawn_apart():
    layer = DCN(num_layers=2, rank=3)
    layer(*inputs())
    kernels = [w.numpy().ravel() for w in layer.weights if len(w.shape) == 2]
    for i, first in enumerate(kernels):
        for second in kernels[:i]:
            size = min(len(first), len(second))
            assert abs(np.corrcoef(first[:size], second[:size])[0, 1]) < 0.7


@pytest.mark.parametrize("num_numeric", [0, 3])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_dlrm_multiplies_all_pairs(num_numeric, dtype):
    layer = DLRM(4, (6,), "relu", dtype=dtype)
    numeric, tables = inputs(num_numeric, dtype=layer.compute_dtype)
    *bottom, products = layer(numeric, tables)
    vectors = [float64(each) for each in bottom]
    vectors += [float64(t[:, c]) for t in tables for c in range(t.shape[1])]
    expected = [
        np.einsum("bd,bd->b", vectors[i], vectors[j])
        for i in range(len(vectors))
        for j in range(i)
    ]
    tolerance = 1e-5 if dtype == "float32" else 0.05
    np.testing.assert_allclose(
        float64(products), np.transpose(expected), atol=tolerance
    )
    assert {x.dtype for x in (*bottom, products)} == {tf.as_dtype(layer.compute_dtype)}
    assert len(bottom) == (num_numeric > 0)


def test_dlrm_s_numbers_go_through_an_mlp_of_their_own():
    layer = DLRM(4, (6,), "relu")
    numeric, tables = inputs()
    got, _ = layer(numeric, tables)
    x = numeric.numpy()
    for dense in layer.bottom.hidden:
        x = np.maximum(x @ dense.kernel.numpy() + dense.bias.numpy(), 0)
    np.testing.assert_allclose(got, x, rtol=1e-4, atol=1e-5)


def test_the_products_are_in_the_order_of_tensorflow_recommenders():
    numeric, tables = inputs(num_numeric=0, num_columns=(5,))
    (products,) = DLRM(4)(numeric, tables)
    expected = DotInteraction()(tf.unstack(tables[0], axis=1))
    np.testing.assert_allclose(products, expected, rtol=1e-5)


@pytest.mark.parametrize("name", INTERACTIONS)
@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_reach_all_inputs_in_graphs_of_any_batch_size(name, compiled):
    layer = INTERACTIONS[name].of(WideDeepConfig(embedding_dim=4), 3, [4, 4, 4])

    @tf.function(
        jit_compile=compiled,
        input_signature=[
            tf.TensorSpec([None, 6]),
            [tf.TensorSpec([None, 2, 4]), tf.TensorSpec([None, 1, 4])],
        ],
    )
    def gradients(numeric, tables):
        with tf.GradientTape() as tape:
            tape.watch([numeric, tables])
            parts = layer(numeric, tables)
            loss = tf.add_n([tf.reduce_sum(part * part) for part in parts])
        return tape.gradient(loss, [numeric, *tables])

    layer(*inputs())
    for batch in (5, 2):
        for gradient in gradients(*inputs(batch=batch)):
            assert np.all(np.isfinite(gradient)) and np.any(gradient)


@pytest.mark.parametrize("name", INTERACTIONS)
def test_one_seed_decides_all_weights(name):
    def weights(seed):
        config = WideDeepConfig(embedding_dim=4, cross_rank=2)
        layer = INTERACTIONS[name].of(config, 3, [4, 4, 4], seed)
        layer(*inputs())
        return [w for w in layer.get_weights() if w.ndim == 2]

    for same, again, other in zip(weights(0), weights(0), weights(1), strict=True):
        np.testing.assert_array_equal(same, again)
        assert np.all(same != other)


@pytest.mark.parametrize(
    "layer",
    [
        NoInteraction(name="none"),
        DCN(3, rank=2, seed=5),
        DLRM(4, (6, 5), "smelu:2", normalization="layer", seed=5),
        DLRM(4, (6,), tf_keras.layers.PReLU()),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_round_trip(layer):
    again = type(layer).from_config(layer.get_config())
    numeric, tables = inputs()
    pairs = zip(layer(numeric, tables), again(numeric, tables), strict=True)
    for expected, got in pairs:
        np.testing.assert_array_equal(got, expected)
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]


def test_dlrm_takes_its_shape_from_the_configuration():
    config = WideDeepConfig(
        embedding_dim=4, bottom_units=(7,), activation="smelu:2,relu,relu"
    )
    layer = DLRM.of(config, 3, [4, 4])
    assert layer.bottom.units == (7, 4)
    assert layer.get_config()["activation"] == "smelu:2"


def test_dlrm_refuses_embeddings_of_several_widths():
    message = "model.column_dims: expected the width of model.embedding_dim, 8, .* 32"
    with pytest.raises(ValueError, match=message):
        DLRM.of(WideDeepConfig(), 3, [8, 32])


@pytest.mark.parametrize(("num_numeric", "dims"), [(5, []), (0, [8])])
def test_dlrm_refuses_fewer_than_two_vectors(num_numeric, dims):
    with pytest.raises(ValueError, match="model.interaction: expected none or dcn"):
        DLRM.of(WideDeepConfig(), num_numeric, dims)


def test_a_dcn_without_layers_is_refused():
    with pytest.raises(ValueError, match="num_layers: expected 1 or more, received 0"):
        DCN(0)
