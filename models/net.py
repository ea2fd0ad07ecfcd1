"""What follows the lookups in a deep part: an interaction, an MLP, a logit."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from smelu_tf.pipelines import Schema

from .dense import Dense
from .interactions import INTERACTIONS
from .mlp import MLP
from .model_config import WideDeepConfig


class WithNet(tf_keras.layers.Layer):
    """The base of layers with a net of their own.

    Attributes:
        interaction: what the numbers and embeddings do to one another.
        mlp: over what comes of it.
        logit: the last product, float32 under any precision policy.
    """

    def _make_net(
        self,
        schema: Schema,
        config: WideDeepConfig,
        dims: list[int],
        seed: int,
        jit_compile: bool,
    ) -> None:
        """Makes the layers.

        Args:
            schema: the columns.
            config: the model's shape.
            dims: the width of each embedding.
            seed: of the initial weights and of dropout.
            jit_compile: whether XLA compiles them.
        """
        mlp_seed, interaction_seed, logit_seed = (
            np.random.SeedSequence(seed).generate_state(3).tolist()
        )
        self.interaction = INTERACTIONS[config.interaction].of(
            config,
            len(schema.numeric),
            dims,
            interaction_seed,
            dtype=self.dtype_policy,
            name="interaction",
        )
        self.mlp = MLP(
            config.hidden_units,
            config.layer_activations(),
            trainable_parameters=config.trainable_parameters,
            rank=config.bottleneck,
            normalization=config.normalization,
            dropout=config.dropout,
            initializer=config.initializer,
            seed=mlp_seed,
            dtype=self.dtype_policy,
            name="mlp",
        )
        self.logit = Dense(
            1,
            kernel_initializer=tf_keras.initializers.GlorotNormal(seed=logit_seed),
            dtype="float32",
            name="logit",
        )
        self._net: Any = self._after_lookups
        if jit_compile:
            self._net = tf.function(
                self._net, autograph=False, jit_compile=True, reduce_retracing=True
            )

    @tf.autograph.experimental.do_not_convert
    def _after_lookups(
        self, numeric: tf.Tensor, embeddings: list[tf.Tensor], training: bool | None
    ) -> tf.Tensor:
        inputs = self.interaction(numeric, embeddings, training=training)
        return self.logit(self.mlp(inputs, training=training))


class Net(WithNet):
    """A net over embeddings that another layer looks up: a tower on shared tables.

    Args:
        schema: the columns.
        config: the model's shape.
        dims: the width of each column's embedding.
        seed: of the initial weights and of dropout.
        jit_compile: whether XLA compiles it.
        **kwargs: of the base layer.

    Input shape: numeric (B, 2N), scaled, and a list of embeddings (B, C_i, dim_i), one
    for each table. Output shape: float32 (B, 1).
    """

    def __init__(
        self,
        schema: Schema,
        config: WideDeepConfig,
        dims: list[int],
        seed: int = 0,
        *,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._make_net(schema, config, dims, seed, jit_compile)

    # There is nothing here for AutoGraph, which takes its time to find that out.
    @tf.autograph.experimental.do_not_convert
    def call(
        self,
        numeric: tf.Tensor,
        embeddings: list[tf.Tensor],
        training: bool | None = None,
    ) -> tf.Tensor:
        """The logit."""
        return self._net(numeric, embeddings, training)
