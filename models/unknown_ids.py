"""Known values taken for unknown ones in training, so that the model learns of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.transform import UNKNOWN_ID

from .dropout import CountedMask


class UnknownIds(CountedMask):
    """Takes ids for those of unknown values in training, a part of them at random.

    A vocabulary is counted on the data that train the model, so that few rows of these
    have an unknown value, and what a new one gets is hardly learned. With this layer it
    is what holds of an average value.

    Only columns with a vocabulary have unknown values; missing ones stay missing. Which
    ids are taken is the same for every model: it depends on the step alone.

    Args:
        rate: the part of the ids, 0 <= rate < 1.
        schema: the columns.
        **kwargs: of the base layer.

    Input shape: int32 (B, C), the id columns. Output shape: the input's.

    Raises:
        ValueError: a rate out of range.

    Examples:
        >>> schema = Schema("s", (), (Categorical("site", vocabulary=("a", "b")),))
        >>> layer = UnknownIds(0.5, schema)
        >>> layer(tf.constant([[2]] * 6), training=True).numpy()[:, 0]
        array([1, 2, 2, 2, 2, 1], dtype=int32)
    """

    def __init__(self, rate: float, schema: Schema, **kwargs: Any) -> None:
        super().__init__(rate, **{"dtype": "float32", **kwargs})
        # How many ids of unknown values each column has, which follow that of missing.
        num_unknown = {
            column.name: column.oov_buckets
            for column in schema.categorical
            if not column.buckets
        }
        self._num_unknown = np.array(
            [num_unknown.get(name, 0) for name in schema.id_columns], np.int32
        )

    def call(self, ids: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """The ids, in training with some taken for unknown."""
        if not training or self.rate == 0 or not self._num_unknown.any():
            return ids
        num_unknown = tf.constant(self._num_unknown)
        is_known = (num_unknown > 0) & (ids > num_unknown)
        unknown = UNKNOWN_ID + tf.math.floormod(ids, tf.maximum(num_unknown, 1))
        return tf.where(self.drawn(tf.shape(ids)) & is_known, unknown, ids)
