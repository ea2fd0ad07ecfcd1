"""Ours and DeepCTR's models, trained alike on the same rows in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tf_keras

from benchmarks import peers
from smelu_tf.models import (
    OptimizerConfig,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
)
from smelu_tf.pipelines import InMemoryRows, Schema

OURS = ("relu", "smelu:0.5", "smelu:1")
DEEPCTR = ("WDL", "DCN")

_READ = 16384  # rows scored at once


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all models share, and the grid that each is tuned over.

    Attributes:
        batch_size: rows a batch.
        passes: how often the training rows are read, in their order.
        embedding_dim: the width of an id's embedding.
        hidden_units: the widths of the MLP's layers.
        unknown_rate: as in `WideDeepConfig`; of our models only.
        adam_rates: learning rates tried with Adam.
        adagrad_rates: learning rates tried with Adagrad.
        tuning_seeds: models trained for each place of the grid.
        held_out: the part of the training rows, the last, that the rate is chosen by.
        seeds: models trained in the end.
    """

    batch_size: int = 256
    passes: int = 1
    embedding_dim: int = 8
    hidden_units: tuple[int, ...] = (128, 64, 32)
    unknown_rate: float = 0.0
    adam_rates: tuple[float, ...] = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008)
    adagrad_rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    tuning_seeds: int = 2
    held_out: float = 0.1
    seeds: int = 5

    def grid(self) -> Iterator[Recipe]:
        """Every optimizer with every rate."""
        for name, rates in (("adam", self.adam_rates), ("adagrad", self.adagrad_rates)):
            for rate in rates:
                yield Recipe(name, rate)


class Recipe(NamedTuple):
    """An optimizer and its learning rate."""

    optimizer: str
    rate: float


Train = Callable[[InMemoryRows, Recipe, int, InMemoryRows], np.ndarray]
"""Trains on rows, by a recipe, with a seed; gives the logits of other rows."""


def ours(activation: str, schema: Schema, settings: Settings) -> Train:
    """Our model with an activation in its hidden layers."""
    config = WideDeepConfig(
        embedding_dim=settings.embedding_dim,
        hidden_units=settings.hidden_units,
        activation=activation,
        unknown_rate=settings.unknown_rate,
    )

    def train(
        rows: InMemoryRows, recipe: Recipe, seed: int, others: InMemoryRows
    ) -> np.ndarray:
        model = WideDeep(schema, config, seed)
        optimizer = OptimizerConfig(recipe.optimizer, recipe.rate)
        model.compile(WideDeepOptimizer.of(optimizer), weighted_metrics=[])
        batches = rows.batches(settings.batch_size)
        model.fit(batches, epochs=settings.passes, verbose=0)
        logits = model.predict(others.batches(_READ), verbose=0)
        return logits[:, 0]

    return train


def deepctr(kind: str, schema: Schema, settings: Settings) -> Train:
    """DeepCTR's, with the package's own regularization and initial weights."""
    shape = peers.Shape(
        schema.num_ids,
        2 * len(schema.numeric),
        settings.embedding_dim,
        settings.hidden_units,
        tuple((c.num_ids, c.max_values) for c in schema.multivalued),
    )
    several = [column.name for column in schema.multivalued]
    optimizers = {
        "adam": tf_keras.optimizers.legacy.Adam,
        "adagrad": tf_keras.optimizers.legacy.Adagrad,
    }

    def train(
        rows: InMemoryRows, recipe: Recipe, seed: int, others: InMemoryRows
    ) -> np.ndarray:
        tf_keras.utils.set_random_seed(seed)  # some of its layers have no seed
        model = peers.deepctr_model(kind, shape, seed)
        optimizer = optimizers[recipe.optimizer](recipe.rate)
        model.compile(optimizer, "binary_crossentropy")
        model.fit(
            peers.deepctr_inputs(rows.features, several),
            rows.label,
            batch_size=settings.batch_size,
            epochs=settings.passes,
            shuffle=False,
            verbose=0,
        )
        inputs = peers.deepctr_inputs(others.features, several)
        predicted = model.predict(inputs, batch_size=_READ, verbose=0)[:, 0]
        p = np.clip(predicted.astype(np.float64), 1e-7, 1 - 1e-7)
        return np.log(p / (1 - p))

    return train
