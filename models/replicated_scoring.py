"""Scoring by all replicas of a strategy, whose program has static shapes."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from smelu_tf.pipelines.transform import Features

from .strategies import AS_GIVEN
from .wide_deep import WideDeep


def replicated_logit(
    model: WideDeep, replica_rows: int
) -> Callable[[Features], tf.Tensor]:
    """A function that scores batches by all replicas of the strategy in force.

    A batch is filled up with zeros to what the replicas take at once, or gone through
    in several steps; what is returned is of its rows alone.

    Args:
        model: made under the strategy.
        replica_rows: rows that a replica takes at once. On a TPU those that it trains
            on: its embedding hardware is set up once.

    Returns:
        A function of `Batch.features` to logits, float32 (B,).
    """
    strategy = tf.distribute.get_strategy()
    num_replicas = strategy.num_replicas_in_sync
    num_rows_at_once = replica_rows * num_replicas
    tables = model.tpu_tables

    @tf.function(autograph=False)
    def scored(parts: Features) -> tf.Tensor:
        logits = strategy.run(model.scores, args=(parts,), options=AS_GIVEN)
        return tf.concat(strategy.experimental_local_results(logits), axis=0)

    def own(features: Features, replica: int) -> Features:
        first = replica * replica_rows
        part = {n: v[first : first + replica_rows] for n, v in features.items()}
        return part if tables is None else {**part, **tables.lookups(part)}

    def logit(features: Features) -> tf.Tensor:
        num_rows = int(features["numeric"].shape[0])
        scores = []
        for first in range(0, num_rows, num_rows_at_once):
            rows = {n: v[first : first + num_rows_at_once] for n, v in features.items()}
            missing = num_rows_at_once - int(rows["numeric"].shape[0])
            rows = {name: _filled_up(values, missing) for name, values in rows.items()}
            parts = strategy.experimental_distribute_values_from_function(
                lambda context, rows=rows: own(rows, context.replica_id_in_sync_group)
            )
            scores.append(scored(parts)[: num_rows_at_once - missing])
        return tf.concat(scores, axis=0) if scores else tf.zeros([0])

    return logit


def _filled_up(values: tf.Tensor, num_rows: int) -> tf.Tensor:
    """Values with so many rows of zeros behind them."""
    return tf.pad(values, [[0, num_rows], *([0, 0] for _ in values.shape[1:])])
