"""The deep part: embeddings, what they do to one another, and a net on top."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.transform import Features

from .embeddings import StackedEmbedding
from .model_config import WideDeepConfig
from .net import Net, WithNet
from .seeds import tower_seed
from .tables import (
    embedding_dims,
    ids_by_column,
    large_columns,
    values_by_column,
)


class Deep(WithNet):
    """Embeddings of the ids beside the numeric columns, an interaction, then an MLP.

        x₀ = interaction(s · numeric, e_1[id_1], …, e_C[id_C], Σ_j e_m[id_mj], …)
        x_{l+1} = f_l(x_l K_l + b_l),  logit = x_L w + b

    The numeric columns (logarithms) are scaled by s = 1/4, which puts them near unit
    size, so that an activation's β has the same meaning for every column. Columns whose
    embeddings are equally wide share a table. The last product is float32 under any
    precision policy.

    Towers on shared tables are further nets over the same embeddings, which are looked
    up once for all of them.

    Args:
        schema: the columns.
        config: the model's shape; by default `WideDeepConfig()`.
        seed: of the initial weights and of dropout.
        jit_compile: whether XLA compiles what follows the lookups.
        static_shapes: whether XLA compiles all of it; see `StackedEmbedding`.
        **kwargs: of the base layer.

    Attributes:
        tables: the columns and the table of each embedding width: `embeddings`, of the
            usual width, comes first, then `embeddings_32` and so on.
        columns: all columns and their widths, in the order in which the interaction
            gets them.
        mlp: the MLP.
        other_nets: those of the towers behind the first, if they share its tables.

    Input: features as in `Batch`, and the rows of columns whose tables stand alone
    (`tables.LargeTable`). Output shape: float32 (B, 1), or (B, towers) if they
    share tables; with `serve="first"` these are computed in training only.

    Raises:
        ValueError: widths of unknown columns, or an interaction that the schema's
            columns do not have.

    Examples:
        >>> kind, site = Categorical("kind", buckets=5), Categorical("site", buckets=50)
        >>> schema = Schema("ads", (), (kind, site))
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
        static_shapes: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        config = config or WideDeepConfig()
        dims = embedding_dims(schema, config)
        widths = sorted(
            set(dims.values()), key=lambda n: (n != config.embedding_dim, n)
        )
        # The first three are the net's.
        seeds = (
            np.random.SeedSequence(seed).generate_state(3 + len(widths)).tolist()[3:]
        )
        self._columns = tuple(
            tuple(name for name in dims if dims[name] == width) for width in widths
        )
        self.columns = [(name, dims[name]) for group in self._columns for name in group]
        large = large_columns(schema, config)
        self._single = {name: place for place, name in enumerate(schema.id_columns)}
        num_ids, num_values = ids_by_column(schema), values_by_column(schema)
        self.embeddings: list[StackedEmbedding | None] = []
        self._stacked: list[tuple[str, ...]] = []
        for width, group, table_seed in zip(widths, self._columns, seeds, strict=True):
            is_usual = width == config.embedding_dim
            stacked = tuple(name for name in group if name not in large)
            self._stacked.append(stacked)
            if not stacked:
                self.embeddings.append(None)
                continue
            self.embeddings.append(
                StackedEmbedding(
                    [num_ids[name] for name in stacked],
                    width,
                    tf_keras.initializers.RandomNormal(
                        stddev=config.embedding_stddev, seed=table_seed
                    ),
                    num_values=[num_values[name] for name in stacked],
                    static_shapes=static_shapes,
                    dtype=self.dtype_policy,
                    name="embeddings" if is_usual else f"embeddings_{width}",
                )
            )
        net_dims = list(dims.values())
        self._make_net(schema, config, net_dims, seed, jit_compile)
        shares_tables = config.tower_tables == "shared"
        self.other_nets = [
            Net(
                schema,
                config,
                net_dims,
                tower_seed(seed, tower),
                jit_compile=jit_compile,
                dtype=self.dtype_policy,
                name=f"tower_{tower}",
            )
            for tower in range(1, config.towers if shares_tables else 1)
        ]
        self._serves_first = config.serve == "first"

    @property
    def tables(self) -> list[tuple[tuple[str, ...], StackedEmbedding]]:
        """The columns and the table of each embedding width."""
        return [
            (columns, table)
            for columns, table in zip(self._stacked, self.embeddings, strict=True)
            if table is not None
        ]

    # There is nothing here for AutoGraph, which takes its time to find that out.
    @tf.autograph.experimental.do_not_convert
    def call(self, features: Features, training: bool | None = None) -> tf.Tensor:
        """The deep part's logit, or those of its towers."""
        numeric = tf.cast(features["numeric"], self.compute_dtype) * self.numeric_scale
        embeddings = [
            self._embedded(group, stacked, table, features)
            for group, stacked, table in zip(
                self._columns, self._stacked, self.embeddings, strict=True
            )
        ]
        logits = [self._net(numeric, embeddings, training)]
        for net in self.other_nets:
            # The first call of all makes the weights of all.
            if training or not self._serves_first or not net.built:
                logits.append(net(numeric, embeddings, training=training))
        return logits[0] if len(logits) == 1 else tf.concat(logits, axis=1)

    def _embedded(
        self,
        group: tuple[str, ...],
        stacked: tuple[str, ...],
        table: StackedEmbedding | None,
        features: Features,
    ) -> tf.Tensor:
        """The embeddings (B, C, dim) of the columns of one width."""
        looked_up = None if table is None else table(self._ids(stacked, features))
        if len(stacked) == len(group):
            return looked_up
        rows = {
            name: tf.cast(features[f"deep/{name}"], self.compute_dtype)
            for name in group
            if name not in stacked
        }
        if looked_up is not None:
            rows |= zip(stacked, tf.unstack(looked_up, axis=1), strict=True)
        return tf.stack([rows[name] for name in group], axis=1)

    def _ids(self, columns: tuple[str, ...], features: Features) -> tf.Tensor:
        """The ids of a table's columns, side by side."""
        single = [self._single[name] for name in columns if name in self._single]
        ids = features["ids"]
        if len(single) < len(self._single):
            ids = tf.gather(ids, np.array(single, np.int32), axis=1)
        return tf.concat([ids, *(features[n] for n in columns[len(single) :])], axis=1)
