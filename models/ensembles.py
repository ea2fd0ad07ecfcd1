"""Towers: models of one shape side by side, whose mean logit is the ensemble's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.transform import Features

from .deep import Deep
from .model_config import WideDeepConfig
from .seeds import tower_seed
from .wide import Wide


class Tower(tf_keras.layers.Layer):
    """A wide and a deep part with tables of their own: a model within an ensemble.

    It is what a `WideDeep` of the seed `tower_seed(seed, number)` is, and trains as
    that one does.

    Args:
        schema: the columns.
        config: the model's shape.
        seed: the ensemble's.
        number: the tower's, from 1; the first tower is the model itself.
        jit_compile: whether XLA compiles the deep part's layers.
        static_shapes: whether XLA compiles all of it; see `StackedEmbedding`.
        **kwargs: of the base layer.

    Input: features as in `Batch`. Output shape: float32 (B, 1).
    """

    def __init__(
        self,
        schema: Schema,
        config: WideDeepConfig,
        seed: int,
        number: int,
        *,
        jit_compile: bool = False,
        static_shapes: bool = False,
        **kwargs: Any,
    ) -> None:
        # As in `WideDeep`, numbers are cast where they are computed with.
        super().__init__(autocast=False, name=f"tower_{number}", **kwargs)
        self.wide = Wide.of(schema, config, static_shapes) if config.wide else None
        self.deep = Deep(
            schema,
            config,
            tower_seed(seed, number),
            jit_compile=jit_compile,
            static_shapes=static_shapes,
            name="deep",
            dtype=self.dtype_policy,
        )

    def call(self, features: Features, training: bool | None = None) -> tf.Tensor:
        """The tower's logit."""
        parts = [] if self.wide is None else [self.wide(features)]
        return added([*parts, self.deep(features, training=training)])


def other_towers(
    schema: Schema, config: WideDeepConfig, seed: int, **kwargs: Any
) -> list[Tower]:
    """The towers behind the first that have tables of their own; none if they share.

    Args:
        schema: the columns.
        config: the model's shape.
        seed: the ensemble's.
        **kwargs: of `Tower`.
    """
    if config.tower_tables == "shared":
        return []
    return [
        Tower(schema, config, seed, number, **kwargs)
        for number in range(1, config.towers)
    ]


def added(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sum of the logits of a model's parts, float32.

    TensorFlow's graphs may add up `a + b` in another order, but not these.
    """
    return tf.add_n([tf.cast(part, tf.float32) for part in parts])


def mean_logit(logits: Sequence[tf.Tensor]) -> tf.Tensor:
    """The ensemble's logit: the mean of its towers' logits.

        z = 1/K Σ_k z_k

    The odds are the geometric mean of the towers' odds.

    Args:
        logits: of each tower, float32 of one shape.

    Examples:
        >>> float(mean_logit([tf.constant(1.0), tf.constant(-2.0)]))
        -0.5
    """
    return logits[0] if len(logits) == 1 else tf.add_n(logits) / len(logits)
