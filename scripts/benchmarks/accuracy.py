"""Log loss and AUC on held-out rows: ours and DeepCTR's models, trained alike."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tf_keras

from benchmarks import peers
from benchmarks.report import Result
from benchmarks.tuned_models import (
    DEEPCTR,
    OURS,
    Recipe,
    Settings,
    Train,
    deepctr,
    ours,
)
from command_line import aligned
from smelu_tf.models import BinaryMetrics
from smelu_tf.pipelines import InMemoryRows, Schema, named_schema, open_rows


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
    data = _Data.read(train_files, test_files, schema_name)
    models = {f"smelu-tf {name}": ours(name, data.schema, settings) for name in OURS}
    models |= {
        f"deepctr {kind}": deepctr(kind, data.schema, settings) for kind in DEEPCTR
    }
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


@dataclasses.dataclass(frozen=True)
class _Data:
    """The rows of a comparison, all transformed by one schema."""

    schema: Schema
    train: InMemoryRows
    test: InMemoryRows

    @classmethod
    def read(cls, train_files: str, test_files: str, schema_name: str) -> _Data:
        """Reads them; all have the weight 1, as DeepCTR's models take none."""
        train, test = open_rows(train_files), open_rows(test_files)
        with train.errors():
            schema = train.complete(named_schema(schema_name))
        rows = [InMemoryRows.read(files, schema) for files in (train, test)]
        return cls(
            schema,
            *(dataclasses.replace(r, weight=np.ones_like(r.label)) for r in rows),
        )


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


def _tuned(train: Train, rows: InMemoryRows, settings: Settings) -> Recipe:
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
