"""One stacked table for the ids of all columns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from smelu_tf import recording

from .placement import on_device, table_device
from .strategies import has_accelerator


class StackedEmbedding(tf_keras.layers.Layer):
    """Looks up every column's ids in one variable: one gather, one sparse update.

    Column c's row i is row offset[c] + i of the table, offset[c] the sum of
    `num_ids` before it. A column of several values a row gives the sum of its rows.

    While a gradient is recorded, each distinct row is gathered once and given to the
    places that want it; the gradient has each of them once as well, already summed.
    What a step costs follows the batch and not the table. The table is kept, and looked
    up, where `placement.tables_on` says when the layer is made.

    A program for XLA has no shapes that depend on values, and so no distinct rows.
    There each place's row is gathered, and the gradient is dense, of zeros but in the
    rows that were looked up: for tables that are small.

    Args:
        num_ids: number of ids of each column.
        dim: width of a row.
        initializer: of the table.
        num_values: values a row of each column; by default 1 each. Columns of one
            come first.
        static_shapes: whether the layer is a part of a program that XLA compiles.
        **kwargs: of the base layer.

    Input shape: int32 (B, sum of num_values), each column's own ids, 0 ≤ id <
    num_ids[c], the values of a column side by side; -1, where there are several
    values, adds zero.
    Output shape: (B, C, dim), of the layer's compute dtype.

    Examples:
        >>> table = StackedEmbedding((3, 2), dim=4)
        >>> table(tf.constant([[2, 0], [1, 1]])).shape
        TensorShape([2, 2, 4])
    """

    def __init__(
        self,
        num_ids: Sequence[int],
        dim: int,
        initializer: str | tf_keras.initializers.Initializer = "zeros",
        num_values: Sequence[int] | None = None,
        static_shapes: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.static_shapes = static_shapes
        self.num_ids = tuple(int(n) for n in num_ids)
        self.dim = dim
        self.initializer = tf_keras.initializers.get(initializer)
        self.num_values = tuple(num_values or (1 for _ in self.num_ids))
        self._device = table_device()
        offsets = np.cumsum((0, *self.num_ids[:-1]), dtype=np.int64)
        self._offsets = np.repeat(offsets, self.num_values)
        self._num_single = len(
            [*itertools.takewhile(lambda n: n == 1, self.num_values)]
        )
        if sum(self.num_ids) > np.iinfo(np.int32).max:
            raise ValueError(
                f"num_ids: expected at most {np.iinfo(np.int32).max} in all, "
                f"received {sum(self.num_ids)}."
            )

    @property
    def num_rows(self) -> int:
        """Rows of the table."""
        # The last row is there for padding alone: its sums are masked, so that no
        # optimizer moves another row for it.
        padding = int(self._num_single < len(self.num_ids))
        return sum(self.num_ids) + padding

    def build(self, input_shape: tf.TensorShape) -> None:
        """Makes the table."""
        with on_device(self._device):
            self.table = self.add_weight(
                name="table",
                shape=(self.num_rows, self.dim),
                initializer=self.initializer,
                # Under mixed precision a read would cast all of the table; rows are
                # cast.
                experimental_autocast=False,
            )
        super().build(input_shape)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """The rows of a batch of ids."""
        rows = ids + self._offsets.astype(np.int32)
        if self._num_single == len(self.num_ids):
            return self._looked_up(rows)
        is_value = ids >= 0
        looked_up = self._looked_up(tf.where(is_value, rows, sum(self.num_ids)))
        looked_up *= tf.cast(is_value, looked_up.dtype)[..., tf.newaxis]
        single, *several = tf.split(
            looked_up,
            [self._num_single, *self.num_values[self._num_single :]],
            axis=1,
        )
        sums = [tf.reduce_sum(part, axis=1, keepdims=True) for part in several]
        return tf.concat([single, *sums], axis=1)

    def _looked_up(self, rows: tf.Tensor) -> tf.Tensor:
        """The table's rows (B, n, dim) of row numbers (B, n)."""
        if not recording.is_recording():
            with on_device(self._device):
                looked_up = tf.nn.embedding_lookup(self.table, rows)
            return tf.cast(looked_up, self.compute_dtype)
        if self.static_shapes:
            return tf.cast(_with_dense_gradient(self.table, rows), self.compute_dtype)
        with on_device(self._device):
            distinct, places = tf.unique(tf.reshape(rows, [-1]))
            looked_up = tf.nn.embedding_lookup(self.table, distinct)
        looked_up = _expand(looked_up, places, self.compute_dtype)
        return tf.reshape(looked_up, [-1, *rows.shape[1:], self.dim])

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_ids": self.num_ids,
            "dim": self.dim,
            "initializer": tf_keras.initializers.serialize(self.initializer),
            "num_values": self.num_values,
            "static_shapes": self.static_shapes,
        }


def _with_dense_gradient(table: tf.Variable, rows: tf.Tensor) -> tf.Tensor:
    """The rows (B, n, dim) of a table, whose gradient is a tensor of its shape."""
    weights = tf.convert_to_tensor(table)

    def gradient(dy: tf.Tensor) -> list[tf.Tensor]:
        values = tf.reshape(dy, [-1, table.shape[1]])
        places = tf.reshape(rows, [-1])
        return [tf.math.unsorted_segment_sum(values, places, table.shape[0])]

    return recording.with_gradient(
        lambda weights: tf.gather(weights, rows), gradient, [weights]
    )


def _expand(rows: tf.Tensor, places: tf.Tensor, dtype: str) -> tf.Tensor:
    """Distinct rows (D, dim), cast, at the places (n,) that want them: (n, dim).

    The gradient's sum over places is the product with a sparse matrix of ones: on a
    CPU twice as fast as a segment sum. On a GPU that product adds up in any order, and
    is refused where operations have to be deterministic. It is float32 whatever the
    dtype.
    """

    @tf.custom_gradient
    def expand(rows: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tf.Tensor:
            if has_accelerator():
                return tf.math.unsorted_segment_sum(
                    tf.cast(dy, rows.dtype), places, tf.shape(rows)[0]
                )
            num_places = tf.size(places, tf.int64)
            indices = tf.stack(
                [tf.range(num_places), tf.cast(places, tf.int64)], axis=1
            )
            return tf.raw_ops.SparseTensorDenseMatMul(
                a_indices=indices,
                a_values=tf.ones([num_places], rows.dtype),
                a_shape=tf.stack([num_places, tf.shape(rows, tf.int64)[0]]),
                b=tf.cast(dy, rows.dtype),
                adjoint_a=True,
            )

        return tf.gather(tf.cast(rows, dtype), places), gradient

    return expand(rows)
