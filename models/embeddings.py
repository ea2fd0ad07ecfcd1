"""One stacked table for the ids of all columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras


class StackedEmbedding(tf_keras.layers.Layer):
    """Looks up every column's ids in one variable: one gather, one sparse update.

    Column c's row i is row offset[c] + i of the table, offset[c] the sum of
    `num_ids` before it.

    Args:
        num_ids: number of ids of each column.
        dim: width of a row.
        initializer: of the table.
        **kwargs: of the base layer.

    Input shape: int32 (B, C), each column's own ids, 0 ≤ id < num_ids[c].
    Output shape: (B, C, dim).

    Example:
        >>> table = StackedEmbedding((3, 2), dim=4)
        >>> table(tf.constant([[2, 0], [1, 1]])).shape
        TensorShape([2, 2, 4])
    """

    def __init__(
        self,
        num_ids: Sequence[int],
        dim: int,
        initializer: str | tf_keras.initializers.Initializer = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_ids = tuple(int(n) for n in num_ids)
        self.dim = dim
        self.initializer = tf_keras.initializers.get(initializer)
        self._offsets = np.cumsum((0, *self.num_ids[:-1]), dtype=np.int64)
        if sum(self.num_ids) > np.iinfo(np.int32).max:
            raise ValueError(
                f"num_ids: expected at most {np.iinfo(np.int32).max} in all, "
                f"received {sum(self.num_ids)}."
            )

    def build(self, input_shape: tf.TensorShape) -> None:
        """Makes the table."""
        self.table = self.add_weight(
            name="table",
            shape=(sum(self.num_ids), self.dim),
            initializer=self.initializer,
        )
        super().build(input_shape)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """The rows of a batch of ids."""
        return tf.gather(self.table, ids + self._offsets.astype(np.int32))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_ids": self.num_ids,
            "dim": self.dim,
            "initializer": tf_keras.initializers.serialize(self.initializer),
        }
