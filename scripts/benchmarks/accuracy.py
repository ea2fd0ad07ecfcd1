"""Log loss and AUC on held-out rows: ours and DeepCTR's models, trained alike."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras

from benchmarks import peers
from benchmarks.report import Result
from command_line import aligned
from smelu_tf.models import (
    BinaryMetrics,
    OptimizerConfig,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
)
from smelu_tf.pipelines import Batch, Schema, named_schema, open_rows

OURS = ("relu", "smelu:0.5", "smelu:1")
DEEPCTR = ("WDL", "DCN")
OPTIMIZERS = ("adam", "adagrad")

_READ = 16384  # rows read at once


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


@dataclasses.dataclass(frozen=True, eq=False)
class Score:
    """A model, tuned and trained once for each seed.

    Attributes:
        model: its name.
        recipe: what was chosen for it.
        at_edge: whether the rate is the grid's lowest or highest.
        log_loss: on the test rows, one for each seed.
        auc: the same.
        seconds: of one training, what it takes to build and compile among them; the
            mean.
        row_loss: the log loss of each test row under the mean prediction of the seeds.
    """

    model: str
    recipe: Recipe
    at_edge: bool
    log_loss: tuple[float, ...]
    auc: tuple[float, ...]
    seconds: float
    row_loss: np.ndarray


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much higher a model's log loss is than another's on the same rows.

    Attributes:
        model: of ours.
        other: the best of DeepCTR's.
        mean: over rows, of the log losses of the seeds' mean predictions.
        standard_error: of the mean.
    """

    model: str
    other: str
    mean: float
    standard_error: float


@dataclasses.dataclass(frozen=True)
class _Data:
    """The rows of a comparison, all transformed by one schema."""

    schema: Schema
    train: peers.Rows
    test: peers.Rows

    def shape(self, settings: Settings) -> peers.Shape:
        """What all models have in common."""
        several = [(c.num_ids, c.max_values) for c in self.schema.multivalued]
        return peers.Shape(
            self.schema.num_ids,
            self.train.numeric.shape[1],
            settings.embedding_dim,
            settings.hidden_units,
            tuple(several),
        )


Train = Callable[[peers.Rows, Recipe, int, peers.Rows], np.ndarray]
"""Trains on rows, by a recipe, with a seed; gives the logits of other rows."""


def num_trainings(settings: Settings) -> int:
    """What `compare` reports as done in the end."""
    grid = len([*settings.grid()]) * settings.tuning_seeds
    return (grid + settings.seeds) * (len(OURS) + len(DEEPCTR))


def compare(
    train_files: str,
    test_files: str,
    schema_name: str,
    settings: Settings,
    show: Callable[[int], None],
) -> tuple[list[Score], list[Difference]]:
    """Tunes, trains and tests every model on the same rows.

    The schema is completed on the training rows and makes the features of all models.
    The optimizer and the rate of each are those with the least mean log loss on the
    last of the training rows; with them it is trained on all training rows.

    Args:
        train_files: paths or glob patterns of row files.
        test_files: the same of other rows.
        schema_name: a preset's name or the path of a schema.
        settings: what is trained.
        show: is told how many trainings are done.

    Raises:
        ImportError: a package of the extra `benchmark` is not installed.
        ValueError: files that are missing, or rows that do not parse.
    """
    peers.import_deepctr()
    data = _read(train_files, test_files, schema_name)
    shape = data.shape(settings)
    models: dict[str, Train] = {
        f"smelu-tf {activation}": _ours(activation, data.schema, settings)
        for activation in OURS
    }
    models |= {f"deepctr {kind}": _deepctr(kind, shape, settings) for kind in DEEPCTR}
    done = itertools.count(1)

    def counted(train: Train) -> Train:
        def call(*arguments: Any) -> np.ndarray:
            logits = train(*arguments)
            tf_keras.backend.clear_session()
            show(next(done))
            return logits

        return call

    show(0)
    scores = [
        _score(name, counted(train), data, settings) for name, train in models.items()
    ]
    return scores, _differences(scores)


def results(scores: Sequence[Score], differences: Sequence[Difference]) -> list[Result]:
    """The figures by name."""
    figures = []
    for score in scores:
        name = score.model
        figures += [
            Result(f"{name}/{score.recipe.optimizer}", score.recipe.rate, "rate"),
            Result(f"{name}/log_loss", statistics.mean(score.log_loss), "nats"),
            Result(f"{name}/log_loss/sd", _deviation(score.log_loss), "nats"),
            Result(f"{name}/auc", statistics.mean(score.auc), "auc"),
            Result(f"{name}/auc/sd", _deviation(score.auc), "auc"),
            Result(f"{name}/seconds", score.seconds, "s"),
        ]
    for item in differences:
        name = f"{item.model} - {item.other}"
        figures += [
            Result(name, item.mean, "nats"),
            Result(f"{name}/standard_error", item.standard_error, "nats"),
        ]
    return figures


def table(scores: Sequence[Score], differences: Sequence[Difference]) -> str:
    """A line a model, then a line a difference."""
    rows = [["model", "optimizer", "rate", "log loss", "AUC", "seconds"]]
    for score in scores:
        rows.append(
            [
                score.model,
                score.recipe.optimizer,
                f"{score.recipe.rate:g}{'*' * score.at_edge}",
                _with_deviation(score.log_loss),
                _with_deviation(score.auc),
                f"{score.seconds:.1f}",
            ]
        )
    lines = [["log loss on the same rows, mean prediction of the seeds", "", "(s.e.)"]]
    lines += [
        [
            f"{item.model} - {item.other}",
            f"{item.mean:+.5f}",
            f"({item.standard_error:.5f})",
        ]
        for item in differences
    ]
    parts = [aligned(rows), aligned(lines)]
    if any(score.at_edge for score in scores):
        parts.append("* the lowest or the highest rate of the grid")
    return "\n\n".join(parts)


# ------------------------------------------------------------------- comparison


def _score(name: str, train: Train, data: _Data, settings: Settings) -> Score:
    recipe = _tuned(train, data.train, settings)
    logits, seconds = [], []
    for seed in range(settings.seeds):
        start = time.perf_counter()
        logits.append(train(data.train, recipe, seed, data.test))
        seconds.append(time.perf_counter() - start)
    figures = [_figures(data.test.label, own) for own in logits]
    prediction = np.mean([1 / (1 + np.exp(-own)) for own in logits], axis=0)
    rates = [other.rate for other in settings.grid() if other[0] == recipe.optimizer]
    return Score(
        model=name,
        recipe=recipe,
        at_edge=len(rates) > 1 and recipe.rate in (min(rates), max(rates)),
        log_loss=tuple(log_loss for log_loss, _ in figures),
        auc=tuple(auc for _, auc in figures),
        seconds=statistics.mean(seconds),
        row_loss=-np.log(np.where(data.test.label > 0, prediction, 1 - prediction)),
    )


def _tuned(train: Train, rows: peers.Rows, settings: Settings) -> Recipe:
    """The recipe with the least log loss on the last rows when trained on the others.

    Seeds share their numbers with the models trained in the end, but those see other
    rows, the test rows among them only then.
    """
    middle = round(len(rows) * (1 - settings.held_out))
    first, last = rows[:middle], rows[middle:]

    def log_loss(recipe: Recipe) -> float:
        losses = [
            _figures(last.label, train(first, recipe, seed, last))[0]
            for seed in range(settings.tuning_seeds)
        ]
        mean = statistics.mean(losses)
        return mean if math.isfinite(mean) else math.inf

    return min(settings.grid(), key=log_loss)


def _differences(scores: Sequence[Score]) -> list[Difference]:
    ours = [score for score in scores if score.model.startswith("smelu-tf ")]
    theirs = [score for score in scores if score not in ours]
    best = min(theirs, key=lambda score: statistics.mean(score.log_loss))
    differences = []
    for score in ours:
        rows = score.row_loss - best.row_loss
        error = float(np.std(rows, ddof=1)) / math.sqrt(len(rows))
        differences.append(
            Difference(score.model, best.model, float(np.mean(rows)), error)
        )
    return differences


def _figures(label: np.ndarray, logit: np.ndarray) -> tuple[float, float]:
    """Log loss and AUC; not a number where they are none."""
    metrics = BinaryMetrics()
    metrics.update_state(label, logit)
    figures = metrics.figures()
    values = (figures["log_loss"], figures["auc"])
    log_loss, auc = (math.nan if value is None else value for value in values)
    return log_loss, auc


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _with_deviation(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.5f} ± {_deviation(values):.5f}"


# ----------------------------------------------------------------------- models


def _ours(activation: str, schema: Schema, settings: Settings) -> Train:
    config = WideDeepConfig(
        embedding_dim=settings.embedding_dim,
        hidden_units=settings.hidden_units,
        activation=activation,
        unknown_rate=settings.unknown_rate,
    )

    def train(
        rows: peers.Rows, recipe: Recipe, seed: int, others: peers.Rows
    ) -> np.ndarray:
        model = WideDeep(schema, config, seed)
        optimizer = OptimizerConfig(recipe.optimizer, recipe.rate)
        model.compile(WideDeepOptimizer.of(optimizer), weighted_metrics=[])
        batches = _batches(rows, schema, settings.batch_size)
        model.fit(batches, epochs=settings.passes, verbose=0)
        logits = model.predict(_batches(others, schema, _READ), verbose=0)
        return logits[:, 0]

    return train


def _deepctr(kind: str, shape: peers.Shape, settings: Settings) -> Train:
    """With the package's own regularization and initial weights."""
    optimizers = {
        "adam": tf_keras.optimizers.legacy.Adam,
        "adagrad": tf_keras.optimizers.legacy.Adagrad,
    }

    def train(
        rows: peers.Rows, recipe: Recipe, seed: int, others: peers.Rows
    ) -> np.ndarray:
        tf_keras.utils.set_random_seed(seed)  # some of its layers have no seed
        model = peers.deepctr_model(kind, shape, seed)
        optimizer = optimizers[recipe.optimizer](recipe.rate)
        model.compile(optimizer, "binary_crossentropy")
        model.fit(
            peers.deepctr_inputs(rows),
            rows.label,
            batch_size=settings.batch_size,
            epochs=settings.passes,
            shuffle=False,
            verbose=0,
        )
        inputs = peers.deepctr_inputs(others)
        predicted = model.predict(inputs, batch_size=_READ, verbose=0)[:, 0]
        p = np.clip(predicted.astype(np.float64), 1e-7, 1 - 1e-7)
        return np.log(p / (1 - p))

    return train


# ------------------------------------------------------------------------- data


def _read(train_files: str, test_files: str, schema_name: str) -> _Data:
    train, test = open_rows(train_files), open_rows(test_files)
    with train.errors():
        schema = train.complete(named_schema(schema_name))
        train_rows = _in_memory(train.batches(schema, _READ), schema)
    with test.errors():
        test_rows = _in_memory(test.batches(schema, _READ), schema)
    return _Data(schema, train_rows, test_rows)


def _in_memory(batches: tf.data.Dataset, schema: Schema) -> peers.Rows:
    read: list[Batch] = [*batches.as_numpy_iterator()]
    if not read:
        raise ValueError("data: expected rows, received none.")

    def joined(name: str) -> np.ndarray:
        return np.concatenate([batch.features[name] for batch in read])

    return peers.Rows(
        joined("numeric"),
        joined("ids"),
        np.concatenate([batch.label for batch in read]),
        tuple(joined(column.name) for column in schema.multivalued),
    )


def _batches(rows: peers.Rows, schema: Schema, batch_size: int) -> tf.data.Dataset:
    features = {"numeric": rows.numeric, "ids": rows.ids}
    for column, values in zip(schema.multivalued, rows.several, strict=True):
        features[column.name] = values
    batch = Batch(features, rows.label, np.ones_like(rows.label))
    return tf.data.Dataset.from_tensor_slices(batch).batch(batch_size).prefetch(4)
