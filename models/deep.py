"""The deep part: embeddings and a net that generalises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.pipelines import Schema

from .embeddings import StackedEmbedding, num_values

Features = Mapping[str, tf.Tensor]


class Deep(tf_keras.layers.Layer):
    """Embeddings of the ids beside the numeric columns, then an MLP.

        x₀ = [s · numeric, e_1[id_1], …, e_C[id_C], Σ_j e_m[id_mj], …]
        x_{l+1} = f(x_l W_l + b_l),  logit = x_L w + b

    The numeric columns (logarithms) are scaled by s = 1/4, which puts them near unit
    size, so that an activation's β has the same meaning for every column.

    Args:
        schema: the columns.
        embedding_dim: width of an id's embedding.
        hidden_units: widths of the MLP's layers.
        activation: f: a name, `smelu:0.5` say, a function, or a layer.
        seed: of the initial weights.
        **kwargs: of the base layer.

    Input: features as in `Batch`. Output shape: (B, 1).
    """

    numeric_scale = 0.25

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 8,
        hidden_units: Sequence[int] = (128, 64, 32),
        activation: Any = "smelu:1",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        seeds = iter(
            np.random.SeedSequence(seed).generate_state(len(hidden_units) + 2).tolist()
        )
        several = schema.multivalued
        num_columns = len(schema.id_columns) + len(several)
        self._width = num_columns * embedding_dim
        self._several = [column.name for column in several]
        self.embeddings = None
        if num_columns:
            self.embeddings = StackedEmbedding(
                (*schema.num_ids, *(column.num_ids for column in several)),
                embedding_dim,
                tf_keras.initializers.RandomNormal(stddev=0.05, seed=next(seeds)),
                num_values=num_values(len(schema.id_columns), schema),
                name="embeddings",
            )
        self.hidden = [
            tf_keras.layers.Dense(
                units,
                activation=_own_activation(activation),
                kernel_initializer=tf_keras.initializers.HeNormal(seed=next(seeds)),
                name=f"hidden_{i}",
            )
            for i, units in enumerate(hidden_units)
        ]
        self.logit = tf_keras.layers.Dense(
            1,
            kernel_initializer=tf_keras.initializers.GlorotNormal(seed=next(seeds)),
            name="logit",
        )

    def call(self, features: Features, training: bool | None = None) -> tf.Tensor:
        """The deep part's logit."""
        x = tf.cast(features["numeric"], self.compute_dtype) * self.numeric_scale
        if self.embeddings is not None:
            ids = [features[name] for name in ("ids", *self._several)]
            rows = self.embeddings(tf.concat(ids, axis=1))
            rows = tf.reshape(rows, [-1, self._width])
            x = tf.concat([x, rows], axis=1)
        for layer in self.hidden:
            x = layer(x)
        return self.logit(x)


def _own_activation(activation: Any) -> Any:
    """An activation for one layer: a layer's weights are not shared."""
    if isinstance(activation, tf_keras.layers.Layer):
        config = activation.get_config()
        config.pop("name", None)
        return type(activation).from_config(config)
    return smelu_tf.get(activation)
