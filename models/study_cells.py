"""The training of a cell of a study: replicas, side by side or one by one."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from .config import TrainConfig
from .own_process import in_process
from .precision import set_numerics
from .replicas import ReplicaPool, Replicas, with_seed
from .study_folder import CellResult
from .study_plan import MAX_TOGETHER, Cell, Study
from .study_rows import StudyRows
from .study_teachers import OwnTeachers
from .warm_start import warm_start
from .wide_deep import WideDeep

Progress = Callable[[int], None]
"""Called with the number of examples learned so far, over all models.

The first call of a study says how many had been learned before: those of cells that
were in the folder already.
"""

_SCORED = 16384  # rows scored at once
_POINTS = 8  # of the curves over training
_POINT_ROWS = 2048  # rows that they are of


def behind(progress: Progress, before: int) -> Progress:
    """The progress of a part that begins when so many examples were learned."""
    return lambda examples: progress(before + examples)


def train_cell(
    cell: Cell,
    study: Study,
    config: TrainConfig,
    rows: StudyRows,
    pool: ReplicaPool | None,
    progress: Progress,
) -> CellResult:
    """Trains the replicas of a cell: together where they read the same rows.

    Args:
        cell: one of the study's.
        study: what is trained.
        config: of the models, where neither says otherwise.
        rows: of the data.
        pool: begins replicas whose initial weights are `initial_weights`.
        progress: told of the examples learned in this cell.

    Raises:
        ArithmeticError: the training diverged.
    """
    start = time.monotonic()
    seeds = [*range(study.num_replicas)]
    groups: list[list[int]] = [[seed] for seed in seeds]
    if cell.varies == "init":
        groups = [
            seeds[i : i + MAX_TOGETHER] for i in range(0, len(seeds), MAX_TOGETHER)
        ]
    parts = []
    done = 0
    for group in groups:
        arguments = (cell, study, config, rows, group)
        if cell.varies == "threads":
            parts.append(in_process(1 + group[0], _train_group, *arguments))
        else:
            parts.append(_train_group(*arguments, pool, behind(progress, done)))
        done += len(rows.train) * len(group)
        progress(done)
    validation, test, curve = (
        np.concatenate(arrays, axis=-2) for arrays in zip(*parts, strict=True)
    )
    size = cell.config(config).data.batch_size
    examples = np.array(_points(rows, size)) * size
    examples[-1] = len(rows.train) - rows.num_validation  # the last batch is smaller
    return CellResult(validation, test, curve, examples, time.monotonic() - start)


def initial_weights(study: Study, varies: str) -> Callable[[WideDeep], object] | None:
    """What gives a model its initial weights where they are not all its own."""
    if not study.warm_start:
        return None
    dense = varies != "init"  # the nets' are what differs then
    return functools.partial(warm_start, source=study.warm_start, dense=dense)


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
    set_numerics(config.train)
    seeds = group if cell.varies == "init" else [config.train.seed] * len(group)
    prepare = initial_weights(study, cell.varies)
    teachers = OwnTeachers(config, seeds, rows.schema, prepare)
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
    num_examples = len(train) * len(group)
    learned = 0

    def told(num_batches: int) -> None:
        nonlocal learned
        learned += num_batches * size * len(group)
        if progress is not None:
            progress(min(learned, num_examples))

    before, after, curve = _logits_in_course(
        replicas,
        teachers,
        train[:middle].batches(size),
        train[middle:].batches(size),
        rows,
        _points(rows, size),
        told,
    )
    if not (np.all(np.isfinite(before)) and np.all(np.isfinite(after))):
        raise ArithmeticError(
            "expected finite logits, received others; the training diverged (a smaller "
            "learning rate may help)."
        )
    return before, after, curve


def _logits_in_course(
    replicas: Replicas,
    teachers: OwnTeachers,
    batches_before: tf.data.Dataset,
    batches: tf.data.Dataset,
    rows: StudyRows,
    points: Sequence[int],
    told: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Has replicas learn all batches; returns their logits in the course of it.

    Args:
        replicas: learn.
        teachers: learn the same before them.
        batches_before: of the rows before those that validate.
        batches: of those that validate.
        rows: of the study.
        points: after how many of the first batches the curve has its points.
        told: of every call how many batches are learned since the last.
    """
    some = rows.validation[:_POINT_ROWS].batches(_SCORED)
    curve = []
    # Teachers too have not seen the validation rows when these are predicted.
    teachers.train(batches_before)
    with teachers.averages():
        for first, last in itertools.pairwise([0, *points]):
            replicas.train(batches_before.skip(first).take(last - first), told)
            curve.append(replicas.logits(some))
    before = replicas.logits(rows.validation.batches(_SCORED))
    teachers.train(batches)
    with teachers.averages():
        replicas.train(batches, told)
    after = replicas.logits(rows.test.batches(_SCORED))
    return before, after, np.stack(curve)


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
