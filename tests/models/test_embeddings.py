"""models/embeddings.py: one table stands for a table a column."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from smelu_tf.models import embeddings
from smelu_tf.models.embeddings import StackedEmbedding


def test_rows_are_those_of_one_table_a_column():
    layer = StackedEmbedding((3, 5, 2), dim=4, initializer="normal")
    ids = np.array([[2, 4, 0], [0, 0, 1]], np.int32)
    got = layer(ids).numpy()
    tables = np.split(layer.table.numpy(), [3, 8])
    expected = [[tables[c][row[c]] for c in range(3)] for row in ids]
    np.testing.assert_array_equal(got, expected)


def test_the_gradient_holds_the_looked_up_rows_only():
    layer = StackedEmbedding((100, 100), dim=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant([[3, 7]])))
    gradient = tape.gradient(loss, layer.table)
    assert isinstance(gradient, tf.IndexedSlices)
    assert sorted(gradient.indices.numpy().ravel().tolist()) == [3, 107]


def test_a_column_of_several_values_is_the_sum_of_its_rows():
    layer = StackedEmbedding((3, 5), 4, "normal", num_values=(1, 3))
    got = layer(np.array([[2, 4, 0, -1], [0, 1, -1, -1]], np.int32)).numpy()
    table = layer.table.numpy()
    expected = [[table[2], table[3 + 4] + table[3]], [table[0], table[3 + 1]]]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_on_an_accelerator_the_gradient_is_a_sum_by_segments(monkeypatch, dtype):
    """Which has to be that of the product that a CPU takes."""
    ids = tf.constant([[2, 4], [0, 4], [2, 1]])
    gradients = {}
    for has_accelerator in (False, True):
        monkeypatch.setattr(
            embeddings, "has_accelerator", lambda is_one=has_accelerator: is_one
        )
        layer = StackedEmbedding((3, 5), 4, "ones", dtype=dtype)
        weights = tf.cast(tf.reshape(tf.range(24), [3, 2, 4]), layer.compute_dtype)

        @tf.function
        def gradient(layer, weights):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(ids) * weights)
            found = tape.gradient(loss, layer.table)
            return found.indices, found.values

        layer(ids)
        rows, values = gradient(layer, weights)
        gradients[has_accelerator] = dict(
            zip(rows.numpy().tolist(), values.numpy().tolist(), strict=True)
        )
        graph = gradient.get_concrete_function(layer, weights).graph
        kinds = {op.type for op in graph.get_operations()}
        assert ("SparseTensorDenseMatMul" in kinds) != has_accelerator
        assert ("UnsortedSegmentSum" in kinds) == has_accelerator
    assert gradients[False] == gradients[True]
    assert gradients[True][2] == [16, 18, 20, 22]  # of the first and the third row


def test_padding_moves_no_row():
    layer = StackedEmbedding((3, 5), 2, "normal", num_values=(1, 3))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant([[2, 4, -1, -1]])) ** 2)
    gradient = tf.convert_to_tensor(tape.gradient(loss, layer.table))
    moved = np.flatnonzero(np.any(gradient.numpy() != 0, axis=1))
    assert moved.tolist() == [2, 7]


def test_config_round_trip():
    layer = StackedEmbedding(
        (3, 5), 4, initializer="normal", num_values=(1, 2), name="ids"
    )
    again = StackedEmbedding.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_more_rows_than_int32_counts_are_refused():
    with pytest.raises(ValueError, match="expected at most 2147483647 in all"):
        StackedEmbedding((2**31 - 1, 2), dim=1)


@pytest.mark.parametrize("num_values", [None, (1, 3)])
def test_with_static_shapes_the_gradient_is_dense_and_the_same(num_values):
    width = 2 if num_values is None else 4
    ids = np.random.default_rng(0).integers(0, 3, (6, width)).astype("i4")
    if num_values:
        ids[:, 1:][ids[:, 1:] == 2] = -1
    found = []
    for static_shapes in (False, True):
        layer = StackedEmbedding(
            (3, 5),
            4,
            tf_keras.initializers.RandomNormal(seed=1),
            num_values=num_values,
            static_shapes=static_shapes,
        )

        def loss_and_gradient(ids, layer=layer):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(layer(ids)))
            return loss, tf.convert_to_tensor(tape.gradient(loss, layer.table))

        layer(ids)
        call = loss_and_gradient
        if static_shapes:
            assert not isinstance(loss_and_gradient(ids)[1], tf.IndexedSlices)
            call = tf.function(loss_and_gradient, jit_compile=True)
        found.append(call(tf.constant(ids)))
        assert layer.get_config()["static_shapes"] == static_shapes
    for sparse, dense in zip(*found, strict=True):
        np.testing.assert_allclose(sparse, dense, rtol=1e-5, atol=1e-7)
