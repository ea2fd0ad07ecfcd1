"""Rows of tables in a gradient: summed where they come twice, and read once a step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def with_distinct_rows(grad: Any) -> Any:
    """A gradient whose rows come once each, those of one number summed."""
    if not isinstance(grad, tf.IndexedSlices) or _are_distinct(grad.indices):
        return grad
    distinct, places = tf.unique(grad.indices)
    summed = tf.math.unsorted_segment_sum(grad.values, places, tf.size(distinct))
    return tf.IndexedSlices(summed, distinct, grad.dense_shape)


def rows_of(table: tf.Variable, indices: tf.Tensor) -> tf.Tensor:
    """The rows of a table: what the forward pass has read of it, where it has."""
    if not tf.executing_eagerly():
        indices = _origin(indices)
        # The update may be in a branch; the rows were read outside of it.
        handle = indices.graph.capture(table.handle)
        for reader in indices.consumers():
            if reader.type == "ResourceGather" and reader.inputs[0] is handle:
                return reader.outputs[0]
    return tf.gather(table, indices)


def _are_distinct(indices: tf.Tensor) -> bool:
    """Whether row numbers are known to be distinct: what `tf.unique` has returned."""
    if tf.executing_eagerly():
        return False
    indices = _origin(indices)
    return indices.op.type in ("Unique", "UniqueV2") and indices.value_index == 0


def _origin(indices: tf.Tensor) -> tf.Tensor:
    """The tensor that row numbers are, whatever they are called since."""
    while indices.op.type in ("Identity", "Reshape"):
        indices = indices.op.inputs[0]
    return indices
