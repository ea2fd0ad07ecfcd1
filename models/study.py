"""A study of prediction difference: models trained again and again, side by side."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import json
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import InMemoryRows, Schema, named_schema, open_rows
from smelu_tf.pipelines.dataclass_json import load_json
from smelu_tf.pipelines.files import replacing

from .config import TrainConfig, flat
from .distillation import Teachers
from .replicas import ReplicaPool, Replicas, with_seed
from .techniques import with_technique
from .warm_start import warm_start
from .wide_deep import WideDeep

VARIES = ("init", "order", "threads", "nothing")
"""What may differ between the replicas of a cell."""

_SCORED = 16384  # rows scored at once
_POINTS = 8  # of the curves over training
_POINT_ROWS = 2048  # rows that they are of
_TOGETHER = 16  # models in one step: more of them only take longer to build
_TEACHER_SEEDS = 1_000_000  # from here on

# What techniques do not change: cells have it, or all cells have it in common.
_OF_A_CELL = (
    "model.activation",
    "optimizer.learning_rate",
    "train.seed",
    "train.deterministic",
    "data.schema",
)
_OF_A_STUDY = {"epochs": 1, "shuffle": False, "negative_rate": 1.0}  # of DataConfig

Progress = Callable[[int], None]
"""Called with the number of examples learned so far, over all models.

The first call says how many had been learned before: those of cells that were in the
folder already.
"""


@dataclasses.dataclass(frozen=True)
class Study:
    """What is trained.

    Attributes:
        activations: names, as `smelu_tf.get` takes them, or lists of names for layers
            with `/` between them; behind a + techniques that are for it alone:
            `smelu:1+trained_beta`.
        techniques: as `with_technique` takes them.
        learning_rates: each with every activation and technique.
        varies: what differs between replicas, of `VARIES`: the seed of the initial
            weights; the order of the rows, shuffled in windows of `order_window`; the
            number of threads, and with it the order in which sums are rounded; nothing.
        num_replicas: models a cell, two or more; intervals take three.
        order_window: rows.
        warm_start: a model_dir whose tables all models begin with; where their initial
            weights do not differ, with all of its weights. Empty: none.
    """

    activations: tuple[str, ...] = ("relu", "smelu:0.5", "smelu:1")
    techniques: tuple[str, ...] = ("none",)
    learning_rates: tuple[float, ...] = (0.001, 0.002, 0.004)
    varies: tuple[str, ...] = ("init",)
    num_replicas: int = 16
    order_window: int = 10_000
    warm_start: str = ""

    def cells(self) -> Iterator[Cell]:
        """All combinations."""
        for varies, technique, text, rate in itertools.product(
            self.varies, self.techniques, self.activations, self.learning_rates
        ):
            activation, _, own = text.partition("+")
            names = [name for name in (own, technique) if name not in ("", "none")]
            yield Cell(activation, "+".join(names) or "none", rate, varies)

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
        for technique in {cell.technique: None for cell in self.cells()}:
            _check_technique(config, technique)
        for cell in self.cells():
            cell_config = cell.config(config)
            for name, expected in _OF_A_STUDY.items():
                received = getattr(cell_config.data, name)
                if received != expected:
                    raise ValueError(
                        f"data.{name}: expected {expected} in a study, whose models "
                        f"read all rows once, received {received}."
                    )
            cell_config.validate()
        names = [cell.name for cell in self.cells()]
        if len(set(names)) < len(names):
            raise ValueError(
                "expected cells whose files have different names, received "
                f"{', '.join(sorted(names))}."
            )

    def num_examples(self, rows: StudyRows) -> int:
        """The examples to learn, over all models of all cells."""
        return len([*self.cells()]) * self.num_replicas * len(rows.train)


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
            # np.load leaves a damaged file open that it is given by name.
            with path.open("rb") as file, np.load(file) as values:
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
        found = cls(schema, train, num_validation, InMemoryRows.read(test, schema))
        for where, part in ((files, found.validation), (test_files, found.test)):
            if not np.any(part.weight > 0):
                raise ValueError(
                    f"{where}: expected rows of weight above 0 to compare models on, "
                    "received none."
                )
        return found

    @property
    def validation(self) -> InMemoryRows:
        """The rows that validate."""
        return self.train[len(self.train) - self.num_validation :]


def run_study(
    study: Study,
    config: TrainConfig,
    rows: StudyRows,
    output_dir: str | os.PathLike[str],
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
    output_dir = Path(output_dir)
    study.validate(config)
    _open_folder(output_dir, study, config, rows)
    paths = {cell: output_dir / "cells" / f"{cell.name}.npz" for cell in study.cells()}
    # Damaged ones are found before hours of training.
    results = {
        cell: CellResult.load(path) for cell, path in paths.items() if path.exists()
    }
    done = len(results) * study.num_replicas * len(rows.train)
    pool, varies = None, None
    for cell in paths:
        base = done
        if cell.varies != varies:
            pool = ReplicaPool(rows.schema, _initial_weights(study, cell.varies))
            varies = cell.varies

        def told(examples: int, base: int = base) -> None:
            if progress is not None:
                progress(base + examples)

        told(0)
        if cell in results:
            continue
        try:
            results[cell] = _train_cell(cell, study, config, rows, pool, told)
        except ArithmeticError as error:
            raise ArithmeticError(f"cell {cell.name}: {error}") from None
        results[cell].save(paths[cell])
        done += study.num_replicas * len(rows.train)
        told(study.num_replicas * len(rows.train))
    return {cell: results[cell] for cell in paths}


# --------------------------------------------------------------------------- cells


def _train_cell(
    cell: Cell,
    study: Study,
    config: TrainConfig,
    rows: StudyRows,
    pool: ReplicaPool | None,
    progress: Progress,
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
            arguments = (cell, study, config, rows, group)
            parts.append(_in_process(1 + group[0], _train_group, *arguments))
        else:
            parts.append(_train_group(cell, study, config, rows, group, pool, told))
        done += len(rows.train) * len(group)
        told(len(rows.train) * len(group))
    validation, test, curve = (
        np.concatenate(arrays, axis=-2) for arrays in zip(*parts, strict=True)
    )
    size = cell.config(config).data.batch_size
    examples = np.array(_points(rows, size)) * size
    examples[-1] = len(rows.train) - rows.num_validation  # the last batch is smaller
    return CellResult(validation, test, curve, examples, time.monotonic() - start)


def _train_group(
    cell: Cell,
    study: Study,
    config: TrainConfig,
    rows: StudyRows,
    group: Sequence[int],
    pool: ReplicaPool | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trains some replicas side by side; returns their logits, as in `CellResult`."""
    config = cell.config(config)
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(
        config.train.tensor_float_32
    )
    seeds = group if cell.varies == "init" else [config.train.seed] * len(group)
    prepare = _initial_weights(study, cell.varies)
    teachers = _Teachers(config, seeds, rows.schema, prepare)
    pool = pool or ReplicaPool(rows.schema, prepare)
    replicas = pool.begin(
        [with_seed(config, seed) for seed in seeds], teachers.of_replicas
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
    if not (np.all(np.isfinite(before)) and np.all(np.isfinite(after))):
        raise ArithmeticError(
            "expected finite logits, received others; the training diverged (a smaller "
            "learning rate may help)."
        )
    return before, after, np.stack(curve)


def _initial_weights(study: Study, varies: str) -> Callable[[WideDeep], object] | None:
    """What gives a model its initial weights where they are not all its own."""
    if not study.warm_start:
        return None
    dense = varies != "init"  # the nets' are what differs then
    return functools.partial(warm_start, source=study.warm_start, dense=dense)


class _Teachers:
    """The teachers that replicas train for themselves, `loss.num_teachers` each.

    They are of the replicas' configuration, without teachers of their own. No two
    replicas share one, since that alone would have them agree.

    Args:
        config: of the replicas.
        seeds: of their initial weights. The teachers have others.
        schema: of the rows.
        prepare: as in `Replicas`.

    Attributes:
        of_replicas: each replica's own; None where `loss.teachers` names them.
    """

    def __init__(
        self,
        config: TrainConfig,
        seeds: Sequence[int],
        schema: Schema,
        prepare: Callable[[WideDeep], object] | None,
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
            Replicas(configs[i : i + _TOGETHER], schema, prepare=prepare)
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


def _in_process(num_threads: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process whose operations have so many threads."""
    pool = concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), _use_threads, (num_threads,)
    )
    try:
        with pool:
            process = pool.submit(os.getpid).result()
            try:
                return pool.submit(function, *arguments).result()
            except BaseException:  # an interrupt waits for no training
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
                raise
    except concurrent.futures.BrokenExecutor:
        raise ChildProcessError(
            f"expected a process of {num_threads} threads to end its training, "
            "received one that was lost (was there memory enough?)."
        ) from None


def _use_threads(number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end without a traceback
    tf.config.threading.set_intra_op_parallelism_threads(number)


def _check_technique(config: TrainConfig, technique: str) -> None:
    """Raises a ValueError where a technique sets what a study says by itself."""
    before, after = (
        flat(dataclasses.asdict(c)) for c in (config, with_technique(config, technique))
    )
    for name in _OF_A_CELL:
        if before[name] != after[name]:
            raise ValueError(
                f"technique: expected no {name}, which a study sets otherwise, "
                f"received {technique!r}."
            )


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
        "warm_start": study.warm_start,
        "config": dataclasses.asdict(config),
        "schema": rows.schema.fingerprint(),
        "num_rows": [len(rows.train), rows.num_validation, len(rows.test)],
        "sums": [float(np.sum(part.label)) for part in (rows.train, rows.test)],
    }
    own = json.loads(json.dumps(own))
    path = output_dir / "study.json"
    if path.exists():
        theirs = flat(load_json(path, _with_defaults))
        for key, value in flat(own).items():
            if theirs.get(key) != value:
                raise ValueError(
                    f"{output_dir}: expected the folder of this study, received "
                    f"another's ({key} is {theirs.get(key)!r} there, {value!r} here); "
                    "choose another output_dir."
                )
        return
    # Hidden files are those that a process has left which was killed while it wrote.
    if output_dir.exists() and any(output_dir.glob("[!.]*")):
        raise ValueError(
            f"{output_dir}: expected a new or empty folder or one of a study, received "
            "something else (no study.json)."
        )
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(own, indent=2) + "\n", encoding="utf-8")


def _with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """What a `study.json` says; of fields that came later, what they had been."""
    config = TrainConfig.from_dict(values.get("config", {}))
    return {"warm_start": "", **values, "config": json.loads(config.to_json())}
