"""Tables on a TPU's embedding hardware: TensorFlow Recommenders' `TPUEmbedding`.

On a TPU the rows are divided among the chips, looked up and updated outside the XLA
program; anywhere else the same layer has plain variables, which our optimizer updates
as it does other tables. Checkpoints of the one are restored by the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.transform import Features

from .model_config import WideDeepConfig
from .optimizers import WideDeepOptimizer
from .tables import LargeTable, large_tables
from .update_rules import BETA_1, BETA_2, EPSILON

_tpu = tf.tpu.experimental.embedding

# How a TPU's optimizers call what ours keeps of each weight.
_SLOTS = {
    "accumulators": "accumulator",
    "linears": "linear",
    "momenta": "m",
    "velocities": "v",
}


class TPUTables(tf_keras.layers.Layer):
    """The rows of all large tables of a model, looked up at once.

    A model has one such layer, as a TPU has one embedding system.

    Args:
        tables: what they are; one or more.
        schema: the columns.
        stddev: the standard deviation of the deep part's initial weights; those of the
            wide part are zero.
        seed: of the initial weights.
        optimizer: what trains the model: under a `TPUStrategy`, where its rules and
            what it keeps of each row go to the embedding hardware.
        replica_rows: rows of a replica's part of each batch, which on a TPU all have
            that many.
        **kwargs: of the base layer.

    Input: features as in `Batch`, with what `lookups` gives or without. Output: a dict
    of float32 (B, dim) by the tables' names. The values of a multi-valued column are
    summed.

    Source: tfrs.layers.embedding.TPUEmbedding.

    Examples:
        >>> from smelu_tf.pipelines import Categorical
        >>> schema = Schema("ads", (), (Categorical("site", buckets=2000),))
        >>> config = WideDeepConfig(tables="tpu", tpu_table_ids=1000, embedding_dim=8)
        >>> layer = TPUTables(large_tables(schema, config), schema)
        >>> looked_up = layer({"ids": tf.constant([[7], [1999]])})
        >>> {name: rows.shape.as_list() for name, rows in looked_up.items()}
        {'wide/site': [2, 1], 'deep/site': [2, 8]}
    """

    def __init__(
        self,
        tables: Sequence[LargeTable],
        schema: Schema,
        stddev: float = 0.001,
        seed: int = 0,
        optimizer: WideDeepOptimizer | None = None,
        replica_rows: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "tpu_tables", "dtype": "float32", **kwargs})
        self.tables = tuple(tables)
        self._replica_rows = replica_rows
        self._places = {name: i for i, name in enumerate(schema.id_columns)}
        seeds = np.random.SeedSequence((seed, len(tables))).generate_state(len(tables))
        self._embedding = tfrs.layers.embedding.TPUEmbedding(
            {
                table.name: _tpu.FeatureConfig(
                    _tpu.TableConfig(
                        table.num_ids,
                        table.dim,
                        initializer=_initializer(table, stddev, int(table_seed)),
                        optimizer=optimizer and table_optimizer(optimizer, table.part),
                        combiner="sum",
                        name=table.name,
                    ),
                    output_shape=[replica_rows] if replica_rows else None,
                    name=table.name,
                )
                for table, table_seed in zip(self.tables, seeds, strict=True)
            },
            None,
            sparse_core_embedding_config=_sparse_core_config(tables, replica_rows),
        )

    @classmethod
    def of(
        cls, schema: Schema, config: WideDeepConfig, seed: int, **kwargs: Any
    ) -> TPUTables | None:
        """The layer that a configuration describes; None where no table is large."""
        tables = large_tables(schema, config)
        if not tables:
            return None
        return cls(tables, schema, config.embedding_stddev, seed, **kwargs)

    @property
    def first(self) -> str:
        """The name of the first table."""
        return self.tables[0].name

    def lookups(self, features: Features) -> dict[str, tf.Tensor | tf.SparseTensor]:
        """The ids of large tables, column by column, for features to have besides.

        A TPU's host sends them to the embedding hardware as they are: they have to come
        from the input, not from the program that runs on the TPU.

        Args:
            features: as in `Batch`.

        Returns:
            int32 (B,) of a column; sparse (B, max_values), without padding, of one of
            several values.
        """
        found: dict[str, tf.Tensor | tf.SparseTensor] = {}
        for table in self.tables:
            if table.column in self._places:
                ids = features["ids"][:, self._places[table.column]]
            else:
                ids = _without_padding(features[table.column])
            found[_lookup_name(table.column)] = ids
        return found

    def build(self, input_shape: Any = None) -> None:
        """Makes the tables; on a TPU, sets its embedding hardware up."""
        shape = tf.TensorShape([self._replica_rows or None])
        self._embedding.build({table.name: shape for table in self.tables})
        self.built = True

    def call(self, features: Features) -> dict[str, tf.Tensor]:
        """The tables' rows of a batch."""
        if _lookup_name(self.tables[0].column) not in features:
            features = {**features, **self.lookups(features)}
        return self._embedding(
            {table.name: features[_lookup_name(table.column)] for table in self.tables}
        )


def table_optimizer(optimizer: WideDeepOptimizer, part: str) -> Any:
    """What a TPU's embedding hardware is to do with the gradients of a table's rows.

    The same as the optimizer does elsewhere, but that Adagrad's root has no epsilon.
    What it keeps of each row are slots of the optimizer, so that a checkpoint has them
    where it has them elsewhere.

    Args:
        optimizer: the model's.
        part: the table's, `wide` or `deep`.
    """
    config = optimizer.get_config()

    def slots(
        table: tf.Variable, names: Sequence[str], initializers: Sequence[Callable]
    ) -> dict[str, tf.Variable]:
        made = {
            name: optimizer.add_slot(table, _SLOTS[name], initializer)
            for name, initializer in zip(names, initializers, strict=True)
        }
        # A checkpoint has a slot once, below its optimizer: the tables, which keep
        # these, are not to own them. (TensorFlow Recommenders does the same.)
        no_dependency = tf.Module()._no_dependency
        return {name: no_dependency(slot) for name, slot in made.items()}

    if part == "wide":
        return _tpu.FTRL(
            learning_rate=config["wide_learning_rate"],
            learning_rate_power=-0.5,
            l1_regularization_strength=config["l1"],
            l2_regularization_strength=config["l2"],
            initial_accumulator_value=config["wide_accumulator"],
            slot_variable_creation_fn=slots,
        )
    rate = optimizer.rate
    if optimizer.rule == "adagrad":
        return _tpu.Adagrad(
            learning_rate=rate,
            initial_accumulator_value=config["adagrad_accumulator"],
            slot_variable_creation_fn=slots,
        )
    return _tpu.Adam(
        learning_rate=rate,
        beta_1=BETA_1,
        beta_2=BETA_2,
        epsilon=EPSILON,
        lazy_adam=True,
        sum_inside_sqrt=False,
        slot_variable_creation_fn=slots,
    )


class _Normal:
    """Normal numbers, other ones in every piece that a table is divided into.

    A TPU's strategy asks for a piece at a time, telling which by `shard_info`: an
    initializer with a seed alone would give all of them the same numbers.
    """

    def __init__(self, stddev: float, seed: int) -> None:
        self._stddev = stddev
        self._seed = seed

    def __call__(
        self, shape: Sequence[int], dtype: Any = tf.float32, shard_info: Any = None
    ) -> tf.Tensor:
        first = 0
        if shard_info is not None:
            shape, first = shard_info.shape, int(shard_info.offset[0])
        return tf.random.stateless_normal(
            shape, (self._seed, first), stddev=self._stddev, dtype=dtype
        )


def _initializer(table: LargeTable, stddev: float, seed: int) -> Callable:
    return tf.zeros_initializer() if table.part == "wide" else _Normal(stddev, seed)


def _lookup_name(column: str) -> str:
    return f"lookup/{column}"


def _without_padding(ids: tf.Tensor) -> tf.SparseTensor:
    """The values (B, max_values) of a multi-valued column that are not -1."""
    places = tf.where(ids >= 0)
    return tf.SparseTensor(
        places, tf.gather_nd(ids, places), tf.shape(ids, out_type=tf.int64)
    )


def _sparse_core_config(tables: Sequence[LargeTable], replica_rows: int) -> Any:
    """What a SparseCore (v5p, v6e) has to know; others do not ask.

    Its buffers have a fixed size, and their default of 256 ids would be too small. No
    more ids of a table can come to a core than a replica's part of a batch has.
    """
    most = {table.name: replica_rows * table.max_values for table in tables}
    return _tpu.SparseCoreEmbeddingConfig(
        # Stacked tables have names that cannot be told before.
        disable_table_stacking=True,
        max_ids_per_table=most,
        max_unique_ids_per_table=most,
        allow_id_dropping=False,
    )
