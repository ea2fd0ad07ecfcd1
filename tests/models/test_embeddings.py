"""models/embeddings.py: one table stands for a table a column."""

import numpy as np
import pytest
import tensorflow as tf

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


def test_config_round_trip():
    layer = StackedEmbedding((3, 5), dim=4, initializer="normal", name="ids")
    again = StackedEmbedding.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_more_rows_than_int32_counts_are_refused():
    with pytest.raises(ValueError, match="expected at most 2147483647 in all"):
        StackedEmbedding((2**31 - 1, 2), dim=1)
