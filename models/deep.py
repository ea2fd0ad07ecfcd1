"""The deep part: embeddings, what they do to one another, and a net on top."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from smelu_tf.pipelines import Schema

from .config import WideDeepConfig
from .dense import Dense
from .embeddings import StackedEmbedding
from .interactions import INTERACTIONS
from .mlp import MLP

Features = Mapping[str, tf.Tensor]


class Deep(tf_keras.layers.Layer):
    """Embeddings of the ids beside the numeric columns, an interaction, then an MLP.

        x₀ = interaction(s · numeric, e_1[id_1], …, e_C[id_C], Σ_j e_m[id_mj], …)
        x_{l+1} = f_l(x_l K_l + b_l),  logit = x_L w + b

    The numeric columns (logarithms) are scaled by s = 1/4, which puts them near unit
    size, so that an activation's β has the same meaning for every column. Columns whose
    embeddings are equally wide share a table. The last product is float32 under any
    precision policy.

    Args:
        schema: the columns.
        config: the model's shape; by default `WideDeepConfig()`.
        seed: of the initial weights and of dropout.
        jit_compile: whether XLA compiles what follows the lookups.
        **kwargs: of the base layer.

    Attributes:
        tables: the columns and the table of each embedding width, in the order in which
            the interaction gets them: `embeddings`, of the usual width, comes first,
            then `embeddings_32` and so on.
        mlp: the MLP.

    Input: features as in `Batch`. Output shape: float32 (B, 1).

    Raises:
        ValueError: widths of unknown columns, or an interaction that the schema's
            columns do not have.

    Example:
        >>> deep = Deep(schema, WideDeepConfig(column_dims=("site:32",)))
        >>> [(columns, table.name) for columns, table in deep.tables]
        [(('kind',), 'embeddings'), (('site',), 'embeddings_32')]
    """

    numeric_scale = 0.25

    def __init__(
        self,
        schema: Schema,
        config: WideDeepConfig | None = None,
        seed: int = 0,
        *,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        config = config or WideDeepConfig()
        dims = embedding_dims(schema, config)
        widths = sorted(
            set(dims.values()), key=lambda n: (n != config.embedding_dim, n)
        )
        mlp_seed, interaction_seed, logit_seed, *seeds = (
            np.random.SeedSequence(seed).generate_state(3 + len(widths)).tolist()
        )
        self.embeddings = []
        columns_of = [
            tuple(name for name in dims if dims[name] == width) for width in widths
        ]
        self._columns = tuple(columns_of)
        self._single = {name: place for place, name in enumerate(schema.id_columns)}
        num_ids = dict(zip(schema.id_columns, schema.num_ids, strict=True))
        num_ids |= {column.name: column.num_ids for column in schema.multivalued}
        max_values = {column.name: column.max_values for column in schema.multivalued}
        for width, columns, table_seed in zip(widths, columns_of, seeds, strict=True):
            is_usual = width == config.embedding_dim
            self.embeddings.append(
                StackedEmbedding(
                    [num_ids[name] for name in columns],
                    width,
                    tf_keras.initializers.RandomNormal(
                        stddev=config.embedding_stddev, seed=table_seed
                    ),
                    num_values=[max_values.get(name, 1) for name in columns],
                    dtype=self.dtype_policy,
                    name="embeddings" if is_usual else f"embeddings_{width}",
                )
            )
        self.interaction = INTERACTIONS[config.interaction].of(
            config,
            len(schema.numeric),
            list(dims.values()),
            interaction_seed,
            dtype=self.dtype_policy,
            name="interaction",
        )
        self.mlp = MLP(
            config.hidden_units,
            config.layer_activations(),
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

    @property
    def tables(self) -> list[tuple[tuple[str, ...], StackedEmbedding]]:
        """The columns and the table of each embedding width."""
        return list(zip(self._columns, self.embeddings, strict=True))

    # There is nothing here for AutoGraph, which takes its time to find that out.
    @tf.autograph.experimental.do_not_convert
    def call(self, features: Features, training: bool | None = None) -> tf.Tensor:
        """The deep part's logit."""
        numeric = tf.cast(features["numeric"], self.compute_dtype) * self.numeric_scale
        embeddings = [
            table(self._ids(columns, features)) for columns, table in self.tables
        ]
        return self._net(numeric, embeddings, training)

    @tf.autograph.experimental.do_not_convert
    def _after_lookups(
        self, numeric: tf.Tensor, embeddings: list[tf.Tensor], training: bool | None
    ) -> tf.Tensor:
        inputs = self.interaction(numeric, embeddings, training=training)
        return self.logit(self.mlp(inputs, training=training))

    def _ids(self, columns: tuple[str, ...], features: Features) -> tf.Tensor:
        """The ids of a table's columns, side by side."""
        single = [self._single[name] for name in columns if name in self._single]
        ids = features["ids"]
        if len(single) < len(self._single):
            ids = tf.gather(ids, np.array(single, np.int32), axis=1)
        return tf.concat([ids, *(features[n] for n in columns[len(single) :])], axis=1)


def embedding_dims(schema: Schema, config: WideDeepConfig) -> dict[str, int]:
    """The width of each column's embedding, id columns first, then multi-valued ones.

    Raises:
        ValueError: an entry of `column_dims` is malformed, or names a column that is
            not there, or comes twice.

    Example:
        >>> embedding_dims(schema, WideDeepConfig(column_dims=("site:32",)))
        {'site': 32, 'kind': 8}
    """
    columns = (*schema.id_columns, *(column.name for column in schema.multivalued))
    dims: dict[str, int] = {}
    for text in config.column_dims:
        match = re.fullmatch(r"(.*):([1-9][0-9]*)", text)
        if not match:
            raise ValueError(
                "model.column_dims: expected a column and a width of 1 or more, as "
                f"{(*columns, 'C1')[0]}:32, received {text!r}."
            )
        name, width = match[1], int(match[2])
        if name not in columns:
            nearest = difflib.get_close_matches(name, columns, n=1, cutoff=0.0)
            raise ValueError(
                f"model.column_dims: expected a column with ids of {schema.name}, "
                f"received {text!r}"
                + "".join(f"; the nearest is {other}" for other in nearest)
                + "."
            )
        if name in dims:
            raise ValueError(
                f"model.column_dims: expected {name} once, received {text!r} as well."
            )
        dims[name] = width
    return {name: dims.get(name, config.embedding_dim) for name in columns}
