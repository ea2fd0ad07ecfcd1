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
from .embeddings import StackedEmbedding
from .net import Net, WithNet
from .seeds import tower_seed

Features = Mapping[str, tf.Tensor]


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
        **kwargs: of the base layer.

    Attributes:
        tables: the columns and the table of each embedding width, in the order in which
            the interaction gets them: `embeddings`, of the usual width, comes first,
            then `embeddings_32` and so on.
        mlp: the MLP.
        other_nets: those of the towers behind the first, if they share its tables.

    Input: features as in `Batch`. Output shape: float32 (B, 1), or (B, towers) if they
    share tables; with `serve="first"` these are computed in training only.

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
        # The first three are the net's.
        seeds = (
            np.random.SeedSequence(seed).generate_state(3 + len(widths)).tolist()[3:]
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
        return list(zip(self._columns, self.embeddings, strict=True))

    # There is nothing here for AutoGraph, which takes its time to find that out.
    @tf.autograph.experimental.do_not_convert
    def call(self, features: Features, training: bool | None = None) -> tf.Tensor:
        """The deep part's logit, or those of its towers."""
        numeric = tf.cast(features["numeric"], self.compute_dtype) * self.numeric_scale
        embeddings = [
            table(self._ids(columns, features)) for columns, table in self.tables
        ]
        logits = [self._net(numeric, embeddings, training)]
        for net in self.other_nets:
            # The first call of all makes the weights of all.
            if training or not self._serves_first or not net.built:
                logits.append(net(numeric, embeddings, training=training))
        return logits[0] if len(logits) == 1 else tf.concat(logits, axis=1)

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
