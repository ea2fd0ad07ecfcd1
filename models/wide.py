"""The wide part: a linear model that remembers single ids and crosses of ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.transform import Features

from .embeddings import StackedEmbedding
from .model_config import WideDeepConfig
from .tables import large_columns


class Wide(tf_keras.layers.Layer):
    """A linear model over numeric columns, ids and crosses of ids.

        logit = b + numeric · w + Σ_c v[id_c] + Σ_k u[cross_k] + Σ_m Σ_j t[id_mj]

    A cross's id is the mixed-radix number of its columns' ids, folded into
    `cross_buckets`: exact while the product of their `num_ids` fits. The ids j of a
    multi-valued column m are added up.

    Args:
        schema: the columns.
        crosses: tuples of id columns' names.
        cross_buckets: ids of each cross at most.
        large: the columns whose tables stand alone (`tables.LargeTable`).
        static_shapes: whether XLA compiles all of it; see `StackedEmbedding`.
        **kwargs: of the base layer.

    Attributes:
        columns: those whose rows are stacked in `ids`, in their order there.

    Input: features as in `Batch`, and the rows of the large columns.
    Output shape: (B, 1).

    Source: Cheng et al., Wide & Deep Learning, arXiv 1606.07792.
    """

    def __init__(
        self,
        schema: Schema,
        crosses: Sequence[Sequence[str]] = (),
        cross_buckets: int = 16384,
        *,
        large: Collection[str] = (),
        static_shapes: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._radices = dict(zip(schema.id_columns, schema.num_ids, strict=True))
        self._places = {name: i for i, name in enumerate(schema.id_columns)}
        self._crosses = tuple(tuple(cross) for cross in crosses)
        sizes = [
            min(
                cross_buckets,
                int(np.prod([self._radices[c] for c in cross], dtype=float)),
            )
            for cross in self._crosses
        ]
        self._cross_sizes = tuple(sizes)
        self.numeric = self.ids = self.crosses = None
        if schema.numeric:
            self.numeric = tf_keras.layers.Dense(
                1,
                use_bias=False,
                kernel_initializer="zeros",
                dtype=self.dtype_policy,
                name="numeric",
            )
        singles = [name for name in schema.id_columns if name not in large]
        several = [c for c in schema.multivalued if c.name not in large]
        if singles or several:
            # The same rows in the same order as the deep part's table has: what is
            # computed of a batch's ids for one of them serves both.
            num_ids = [self._radices[name] for name in singles]
            self.ids = StackedEmbedding(
                [*num_ids, *(column.num_ids for column in several)],
                1,
                num_values=[1] * len(singles) + [c.max_values for c in several],
                static_shapes=static_shapes,
                dtype=self.dtype_policy,
                name="ids",
            )
        if crosses:
            self.crosses = StackedEmbedding(
                sizes,
                1,
                static_shapes=static_shapes,
                dtype=self.dtype_policy,
                name="crosses",
            )
        self._stacked = [self._places[name] for name in singles]
        self._several = [column.name for column in several]
        self.columns = (*singles, *self._several)
        columns = (*schema.id_columns, *(column.name for column in schema.multivalued))
        self._large = [name for name in columns if name in large]

    @classmethod
    def of(
        cls, schema: Schema, config: WideDeepConfig, static_shapes: bool = False
    ) -> Wide:
        """The wide part that a configuration describes.

        It is linear, and cheap: float32 under any policy.

        Raises:
            ValueError: a cross names an unknown column.
        """
        crosses = [_columns_of(cross, schema) for cross in config.crosses]
        return cls(
            schema,
            crosses,
            config.cross_buckets,
            large=large_columns(schema, config),
            static_shapes=static_shapes,
            name="wide",
            dtype="float32",
        )

    def build(self, input_shape: Any) -> None:
        """Makes the bias."""
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")
        super().build(input_shape)

    def call(self, features: Features) -> tf.Tensor:
        """The wide part's logit."""
        parts = []
        if self.numeric is not None:
            parts.append(self.numeric(features["numeric"]))
        if self.ids is not None:
            single = features["ids"]
            if len(self._stacked) < len(self._places):
                single = tf.gather(single, np.array(self._stacked, np.int32), axis=1)
            ids = [single, *(features[name] for name in self._several)]
            parts.append(tf.reduce_sum(self.ids(tf.concat(ids, axis=1)), axis=1))
        parts += [features[f"wide/{name}"] for name in self._large]
        if self.crosses is not None:
            ids = tf.concat(self._cross_ids(features["ids"]), axis=1)
            parts.append(tf.reduce_sum(self.crosses(ids), axis=1))
        # TensorFlow's graphs may add up `a + b + c` in another order, but not these.
        return tf.add_n(parts) + self.bias

    def _cross_ids(self, ids: tf.Tensor) -> list[tf.Tensor]:
        crossed = []
        for cross, size in zip(self._crosses, self._cross_sizes, strict=True):
            number = tf.zeros_like(ids[:, :1], tf.int64)
            for name in cross:
                column = self._places[name]
                own = tf.cast(ids[:, column : column + 1], tf.int64)
                number = tf.math.floormod(number * self._radices[name] + own, 1 << 40)
            crossed.append(tf.cast(tf.math.floormod(number, size), tf.int32))
        return crossed


def _columns_of(cross: str, schema: Schema) -> tuple[str, ...]:
    columns = tuple(cross.split("*"))
    unknown = [name for name in columns if name not in schema.id_columns]
    if unknown or len(columns) < 2 or len(set(columns)) < len(columns):
        raise ValueError(
            "model.crosses: expected distinct id columns with * between them, "
            f"as {'*'.join(schema.id_columns[:2])}, received {cross!r}."
        )
    return columns
