"""A study of prediction difference: models trained again and again, side by side."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import gc
import itertools
import json
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from smelu_tf.pipelines import Schema, named_schema, open_rows
from smelu_tf.pipelines.dataclass_json import load_json
from smelu_tf.pipelines.files import replacing
from smelu_tf.pipelines.in_memory import InMemoryRows

from .config import TrainConfig, flat
from .distillation import Teachers
from .replicas import Replicas, with_seed
from .techniques import with_technique

VARIES = ("init", "order", "threads", "nothing")
"""What may differ between the replicas of a cell."""

_SCORED = 16384  # rows scored at once
_POINTS = 8  # of the curves over training
_POINT_ROWS = 2048  # rows that they are of
_TOGETHER = 16  # models in one step: more of them only take longer to build
_TEACHER_SEEDS = 1_000_000  # from here on

Progress = Callable[[int], None]
"""Called with the number of examples learned so far, over all models."""


@dataclasses.dataclass(frozen=True)
class Study:
    """What is trained.

    Attributes:
        activations: names, as `smelu_tf.get` takes them, or lists of names for layers
            with `/` between them.
        techniques: as `with_technique` takes them.
        learning_rates: each with every activation and technique.
        varies: what differs between replicas, of `VARIES`: the seed of the initial
            weights; the order of the rows, shuffled in windows of `order_window`; the
            number of threads, and with it the order in which sums are rounded; nothing.
        num_replicas: models a cell.
        order_window: rows.
    """

    activations: tuple[str, ...] = ("relu", "smelu:0.5", "smelu:1")
    techniques: tuple[str, ...] = ("none",)
    learning_rates: tuple[float, ...] = (0.001, 0.002, 0.004)
    varies: tuple[str, ...] = ("init",)
    num_replicas: int = 16
    order_window: int = 10_000

    def cells(self) -> Iterator[Cell]:
        """All combinations."""
        for varies, technique, activation, rate in itertools.product(
            self.varies, self.techniques, self.activations, self.learning_rates
        ):
            yield Cell(activation, technique, rate, varies)

    def validate(self, config: TrainConfig) -> None:
        """Raises a ValueError where a cell cannot be trained."""
        for name in ("activations", "techniques", "learning_rates", "varies"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(
                    f"{name}: expected one or more, each once, received {values}."
                )
        for varies in self.varies:
            if varies not in VARIES:
                raise ValueError(
                    f"varies: expected one of {', '.join(VARIES)}, received {varies!r}."
                )
        if self.num_replicas < 2:
            raise ValueError(
                f"num_replicas: expected 2 or more, received {self.num_replicas}."
            )
        if self.order_window < 2:
            raise ValueError(
                f"order_window: expected 2 or more, received {self.order_window}."
            )
        for cell in self.cells():
            cell.config(config).validate()


@dataclasses.dataclass(frozen=True)
class Cell:
    """A combination that replicas are trained of.

    Attributes:
        activation: its name.
        technique: as `with_technique` takes it.
        learning_rate: of the optimizer of all but the wide part.
        varies: what differs between the replicas.
    """

    activation: str
    technique: str
    learning_rate: float
    varies: str

    @property
    def name(self) -> str:
        """Of the cell's file."""
        text = (
            f"{self.activation}_{self.technique}_{self.learning_rate:g}_{self.varies}"
        )
        return re.sub(r"[^\w.=+-]", "-", text)

    def config(self, base: TrainConfig) -> TrainConfig:
        """The configuration of the cell's models."""
        config = with_technique(base, self.technique)
        return dataclasses.replace(
            config,
            model=dataclasses.replace(
                config.model, activation=self.activation.replace("/", ",")
            ),
            optimizer=dataclasses.replace(
                config.optimizer, learning_rate=self.learning_rate
            ),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class CellResult:
    """The logits of a cell's replicas: float32, a row a model.

    Attributes:
        validation: of the validation rows, by the models as they were before these
            rows.
        test: of the test rows, by the trained models.
        curve: (points, num_replicas, rows): of some of the validation rows, in the
            course of the training before them.
        curve_examples: (points,): how many rows had been learned.
        seconds: the training took, compilation included.
    """

    validation: np.ndarray
    test: np.ndarray
    curve: np.ndarray
    curve_examples: np.ndarray
    seconds: float

    def save(self, path: Path) -> None:
        """Writes the file of a cell, whole or not at all."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> CellResult:
        """Reads the file of a cell; a ValueError names one that is damaged."""
        try:
            with np.load(path) as values:
                fields = {name: values[name] for name in values.files}
            return cls(**{**fields, "seconds": float(fields["seconds"])})
        except Exception as error:  # of zip files, of pickles, of keys
            raise ValueError(
                f"{path}: expected the results of a cell, received a file that cannot "
                f"be read ({error}); delete it, and it is trained again."
            ) from None


@dataclasses.dataclass(frozen=True, eq=False)
class StudyRows:
    """The rows of a study.

    Attributes:
        schema: complete.
        train: in time order; the last of them validate.
        num_validation: how many.
        test: other rows.
    """

    schema: Schema
    train: InMemoryRows
    num_validation: int
    test: InMemoryRows

    @classmethod
    def read(
        cls, files: str, test_files: str, config: TrainConfig, fraction: float = 0.1
    ) -> StudyRows:
        """Reads the rows into memory.

        Args:
            files: paths or glob patterns of row files, or a folder of blocks.
            test_files: the same of the test rows.
            config: says the schema, which is completed on `files`.
            fraction: the part of the rows that validates.

        Raises:
            ValueError: files that are missing, a row that does not parse, or too few
                rows.
        """
        rows, test = open_rows(files), open_rows(test_files)
        with rows.errors():
            schema = rows.complete(named_schema(config.data.schema))
        train = InMemoryRows.read(rows, schema)
        num_validation = round(len(train) * fraction)
        if not 0 < num_validation < len(train):
            raise ValueError(
                f"{files}: expected rows to train and to validate on, received "
                f"{len(train)}."
            )
        return cls(schema, train, num_validation, InMemoryRows.read(test, schema))

    @property
    def validation(self) -> InMemoryRows:
        """The rows that validate."""
        return self.train[len(self.train) - self.num_validation :]


def run_study(
    study: Study,
    config: TrainConfig,
    rows: StudyRows,
    output_dir: Path,
    progress: Progress | None = None,
) -> dict[Cell, CellResult]:
    """Trains all cells, but for those whose results are in the folder already.

    Each model learns the rows once, in order. Before the last of them it predicts
    these: by that validation learning rates are chosen. In the end it predicts the test
    rows.

    Args:
        study: what is trained.
        config: of the models, where the study does not say otherwise.
        rows: of the data.
        output_dir: gets `study.json` and a file a cell in `cells/`.
        progress: see `Progress`.

    Raises:
        ValueError: a bad study, or a folder of another one; says which value differs.
        ArithmeticError: a training diverged; says in which cell.
    """
    study.validate(config)
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    _open_folder(output_dir, study, config, rows)
    results = {}
    done = 0
    for cell in study.cells():
        path = output_dir / "cells" / f"{cell.name}.npz"
        if not path.exists():
            base = done

            def told(examples: int, base: int = base) -> None:
                if progress is not None:
                    progress(base + examples)

            try:
                _train_cell(cell, study, config, rows, told).save(path)
            except ArithmeticError as error:
                raise ArithmeticError(f"cell {cell.name}: {error}") from None
        results[cell] = CellResult.load(path)
        done += len(rows.train) * study.num_replicas
        if progress is not None:
            progress(done)
    return results


# --------------------------------------------------------------------------- cells


def _train_cell(
    cell: Cell, study: Study, config: TrainConfig, rows: StudyRows, progress: Progress
) -> CellResult:
    """Trains the replicas of a cell: together where they read the same rows."""
    start = time.monotonic()
    seeds = [*range(study.num_replicas)]
    groups: list[list[int]] = [[seed] for seed in seeds]
    if cell.varies == "init":
        groups = [seeds[i : i + _TOGETHER] for i in range(0, len(seeds), _TOGETHER)]
    parts = []
    done = 0
    for group in groups:
        base = done

        def told(examples: int, base: int = base) -> None:
            progress(base + examples)

        if cell.varies == "threads":
            with concurrent.futures.ProcessPoolExecutor(
                1, multiprocessing.get_context("spawn"), _use_threads, (1 + group[0],)
            ) as pool:
                arguments = (cell, study, config, rows, group)
                parts.append(pool.submit(_train_group, *arguments).result())
        else:
            parts.append(_train_group(cell, study, config, rows, group, told))
        done += len(rows.train) * len(group)
        told(len(rows.train) * len(group))
    validation, test, curve = (
        np.concatenate(arrays, axis=-2) for arrays in zip(*parts, strict=True)
    )
    examples = np.array(_points(rows, config.data.batch_size)) * config.data.batch_size
    return CellResult(validation, test, curve, examples, time.monotonic() - start)


def _train_group(
    cell: Cell,
    study: Study,
    config: TrainConfig,
    rows: StudyRows,
    group: Sequence[int],
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trains some replicas side by side; returns their logits, as in `CellResult`."""
    config = cell.config(config)
    seeds = group if cell.varies == "init" else [config.train.seed] * len(group)
    teachers = _Teachers(config, seeds, rows.schema)
    replicas = Replicas(
        [with_seed(config, seed) for seed in seeds], rows.schema, teachers.of_replicas
    )
    size = config.data.batch_size
    middle = len(rows.train) - rows.num_validation
    train = rows.train
    if cell.varies == "order":
        (seed,) = group
        train = train[_order(middle, len(train), study.order_window, seed)]
    learned = 0

    def told(num_batches: int) -> None:
        nonlocal learned
        learned += num_batches * size * len(group)
        if progress is not None:
            progress(min(learned, len(train) * len(group)))

    validation = rows.validation
    some = validation[:_POINT_ROWS].batches(_SCORED)
    batches = train[:middle].batches(size)
    points = _points(rows, size)
    curve = []
    # Teachers too have not seen the validation rows when these are predicted.
    teachers.train(batches)
    with teachers.averages():
        for first, last in itertools.pairwise([0, *points]):
            replicas.train(batches.skip(first).take(last - first), told)
            curve.append(replicas.logits(some))
    before = replicas.logits(validation.batches(_SCORED))
    batches = train[middle:].batches(size)
    teachers.train(batches)
    with teachers.averages():
        replicas.train(batches, told)
    after = replicas.logits(rows.test.batches(_SCORED))
    del replicas, teachers
    tf_keras.backend.clear_session()
    gc.collect()
    return before, after, np.stack(curve)


class _Teachers:
    """The teachers that replicas train for themselves, `loss.num_teachers` each.

    They are of the replicas' configuration, without teachers of their own. No two
    replicas share one, since that alone would have them agree.

    Args:
        config: of the replicas.
        seeds: of their initial weights. The teachers have others.
        schema: of the rows.

    Attributes:
        of_replicas: each replica's own; None where `loss.teachers` names them.
    """

    def __init__(
        self, config: TrainConfig, seeds: Sequence[int], schema: Schema
    ) -> None:
        number = config.loss.num_teachers
        loss = dataclasses.replace(config.loss, distillation=0.0, num_teachers=0)
        own = dataclasses.replace(config, loss=loss)
        count = len(seeds) * number
        # Replicas' seeds are below; those with equal seeds have equal teachers.
        configs = [
            with_seed(own, _TEACHER_SEEDS + seed * number + i)
            for seed in seeds
            for i in range(number)
        ]
        self._groups = [
            Replicas(configs[i : i + _TOGETHER], schema)
            for i in range(0, count, _TOGETHER)
        ]
        models = [model for group in self._groups for model in group.models]
        self.of_replicas = None
        if number:
            self.of_replicas = [
                Teachers.of(models[i : i + number]) for i in range(0, count, number)
            ]

    def train(self, batches: tf.data.Dataset) -> None:
        """Has them learn all batches, in order."""
        for group in self._groups:
            group.train(batches)

    @contextlib.contextmanager
    def averages(self) -> Iterator[None]:
        """Inside, they have the averages of their weights, where there are any."""
        with contextlib.ExitStack() as stack:
            for group in self._groups:
                stack.enter_context(group.averages())
            yield


def _points(rows: StudyRows, batch_size: int) -> list[int]:
    """After how many batches the points of the curves are; the last after all."""
    num_batches = -(-(len(rows.train) - rows.num_validation) // batch_size)
    return sorted({-(-num_batches * i // _POINTS) for i in range(1, _POINTS + 1)})


def _order(middle: int, end: int, window: int, seed: int) -> np.ndarray:
    """Row numbers, shuffled in windows; none leaves the side of `middle` it is on."""
    random = np.random.default_rng(seed)
    starts = [*range(0, middle, window), *range(middle, end, window), end]
    parts = [
        first + random.permutation(last - first)
        for first, last in itertools.pairwise(starts)
    ]
    return np.concatenate(parts)


def _use_threads(number: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(number)


# ------------------------------------------------------------------------- folder


def _open_folder(
    output_dir: Path, study: Study, config: TrainConfig, rows: StudyRows
) -> None:
    """Makes the folder of a study, or checks that it is this one's.

    More activations, techniques, rates and sources may be added; all else has to be as
    it was.
    """
    own = {
        "num_replicas": study.num_replicas,
        "order_window": study.order_window,
        "config": dataclasses.asdict(config),
        "schema": rows.schema.fingerprint(),
        "num_rows": [len(rows.train), rows.num_validation, len(rows.test)],
        "sums": [float(np.sum(part.label)) for part in (rows.train, rows.test)],
    }
    own = json.loads(json.dumps(own))
    path = output_dir / "study.json"
    if path.exists():
        theirs = flat(load_json(path, dict))
        for key, value in flat(own).items():
            if theirs.get(key) != value:
                raise ValueError(
                    f"{output_dir}: expected the folder of this study, received "
                    f"another's ({key} is {theirs.get(key)!r} there, {value!r} here); "
                    "choose another output_dir."
                )
        return
    if output_dir.exists() and os.listdir(output_dir):
        raise ValueError(
            f"{output_dir}: expected a new or empty folder or one of a study, received "
            "something else (no study.json)."
        )
    (output_dir / "cells").mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(own, indent=2) + "\n", encoding="utf-8")
