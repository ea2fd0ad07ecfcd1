"""Examples a second that are trained on: ours, other packages', and from files."""

from __future__ import annotations

import dataclasses
import functools
import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from benchmarks import peers
from benchmarks.report import Result
from benchmarks.timing import Call, interleaved_seconds, median_ratio
from command_line import aligned
from smelu_tf.models import (
    BinaryMetrics,
    OptimizerConfig,
    TrainConfig,
    TrainOptions,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
)
from smelu_tf.models.learner import Learner
from smelu_tf.models.precision import dtype_policy
from smelu_tf.models.steps import TrainSteps
from smelu_tf.pipelines import (
    CRITEO,
    Batch,
    Categorical,
    InMemoryRows,
    Numeric,
    Schema,
    convert,
    for_replicas,
    generate,
    read_blocks,
    read_text,
)
from smelu_tf.pipelines.parallel import untuned

REFERENCE = "deepctr_wdl"
TWIN = "relu_float32_twin"  # one of ours once more: how far equal things differ
LARGE = "step_time_ratio_2m_20k"

_RATIOS = (
    (TWIN, "relu_float32"),
    ("smelu_float32", "relu_float32"),
    ("smelu_bfloat16", "relu_bfloat16"),
)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is trained, and how often it is timed.

    Attributes:
        num_ids: ids of each of Criteo's 26 columns.
        small_ids: as `num_ids`, in the comparison of small and large tables.
        large_ids: the same of the large ones.
        embedding_dim: the width of an id's embedding.
        hidden_units: the widths of the MLP's layers.
        batch_size: rows a batch.
        num_batches: batches in memory; a call that is timed trains on all of them.
        file_batches: batches of the files that are read while training.
        rounds: how often each call is timed.
    """

    num_ids: int = 100_000
    small_ids: int = 20_000
    large_ids: int = 2_000_000
    embedding_dim: int = 16
    hidden_units: tuple[int, ...] = (512, 256, 128)
    batch_size: int = 4096
    num_batches: int = 32
    file_batches: int = 64
    rounds: int = 5

    @property
    def num_rows(self) -> int:
        """Rows in memory."""
        return self.num_batches * self.batch_size


def num_calls(sizes: Sizes) -> int:
    """What `measure` reports as done in the end."""
    num_models = 7 + peers.has_torch()
    return (num_models + 2 + 3) * (sizes.rounds + 2)


def measure(sizes: Sizes, folder: Path, show: Callable[[int], None]) -> list[Result]:
    """Times training: of models of this and other packages, of tables, from files.

    Args:
        sizes: of the models and the data.
        folder: an empty folder for the files.
        show: is told how many of the calls are done.

    Returns:
        Examples a second of each model; ratios of them, each the median over rounds;
        how much longer a step takes with large tables than with small ones; and the
        rates of training from blocks and from text relative to that from memory.

    Raises:
        ImportError: a package of the extra `benchmark` is not installed.
    """
    timer = _Timer(sizes.rounds, show)
    return [
        *_models(sizes, timer),
        *_tables(sizes, timer),
        *_files(sizes, folder, timer),
    ]


def table(results: Sequence[Result]) -> str:
    """The rates beside their ratios to DeepCTR's, then the other ratios."""
    values = {result.name: result.value for result in results}
    rows = [["", "examples/s", f"/ {REFERENCE}"]]
    others = []
    for result in results:
        ratio = values.get(f"{result.name}/{REFERENCE}")
        if result.unit == "examples/s":
            shown = "" if ratio is None else f"{ratio:.2f}"
            rows.append([result.name, f"{result.value:,.0f}", shown])
        elif not result.name.endswith(f"/{REFERENCE}"):
            others.append([result.name, f"{result.value:.3f}"])
    return f"{aligned(rows)}\n\n{aligned(others)}"


class _Timer:
    """Calls in turns, after each has been called twice; says how many are done."""

    def __init__(self, rounds: int, show: Callable[[int], None]) -> None:
        self._rounds = rounds
        self._show = show
        self._done = 0

    def seconds(self, calls: Mapping[str, Call]) -> dict[str, list[float]]:
        """For each call the seconds it takes, one value a round."""
        counted = {
            name: functools.partial(self._counted, call) for name, call in calls.items()
        }
        for call in counted.values():  # traces and fills caches
            call()
        return interleaved_seconds(counted, seconds=0, rounds=self._rounds)

    def _counted(self, call: Call) -> None:
        self._show(self._done)
        call()
        self._done += 1


# ---------------------------------------------------------------------- models


def _models(sizes: Sizes, timer: _Timer) -> list[Result]:
    """The models of the fixed comparison, on the same rows in memory."""
    peers.import_deepctr()  # a missing package is known before any work
    rows = random_rows(sizes.num_ids, sizes)
    shape = peers.Shape(
        (sizes.num_ids,) * len(CRITEO.categorical),
        rows.features["numeric"].shape[1],
        sizes.embedding_dim,
        sizes.hidden_units,
    )
    others = {REFERENCE: peers.deepctr_call, "tfrs_ranking": peers.tfrs_call}
    if peers.has_torch():
        others["torch_float32"] = peers.torch_call
    calls: dict[str, Call] = {
        name: make(shape, rows, sizes.batch_size) for name, make in others.items()
    }
    for dtype in ("float32", "bfloat16"):
        for name, activation in (("relu", "relu"), ("smelu", "smelu:1")):
            calls[f"{name}_{dtype}"] = our_call(activation, dtype, rows, sizes)
    calls[TWIN] = our_call("relu", "float32", rows, sizes)
    times = timer.seconds(calls)
    results = [
        Result(name, len(rows) / statistics.median(seconds), "examples/s")
        for name, seconds in times.items()
    ]
    pairs = [(name, REFERENCE) for name in times if name != REFERENCE]
    return results + [_rate_ratio(times, *pair) for pair in (*pairs, *_RATIOS)]


def _tables(sizes: Sizes, timer: _Timer) -> list[Result]:
    """A step's time with large tables relative to small ones."""
    gc.collect()  # the other models
    table_bytes = 4 * sizes.large_ids * len(CRITEO.categorical) * sizes.embedding_dim
    needed = 4 * table_bytes  # the table, what Adagrad keeps, and each as it is made
    if needed > _available_bytes():
        logging.warning(
            "%s is left out: it takes %.0f GB of memory.", LARGE, needed / 1e9
        )
        return []
    calls = {
        str(num_ids): our_call(
            "relu", "float32", random_rows(num_ids, sizes), sizes, num_ids
        )
        for num_ids in (sizes.small_ids, sizes.large_ids)
    }
    small, large = timer.seconds(calls).values()
    calls.clear()
    gc.collect()
    return [Result(LARGE, median_ratio(large, small), "ratio")]


def _files(sizes: Sizes, folder: Path, timer: _Timer) -> list[Result]:
    """Rates of training from blocks and from text relative to that from memory."""
    schema = _schema(sizes.num_ids)
    num_rows = sizes.file_batches * sizes.batch_size
    generate(folder, num_rows=num_rows, num_days=1)
    text, blocks = folder / "day_0.tsv", folder / "blocks"
    convert(text, schema, blocks)
    sources = {
        "memory": read_blocks(blocks, schema, sizes.batch_size).cache(),
        "blocks": read_blocks(blocks, schema, sizes.batch_size),
        "text": read_text(text, schema, sizes.batch_size),
    }
    train = _trainer("relu", "float32", schema, sizes)
    calls = {
        name: functools.partial(train, batches) for name, batches in sources.items()
    }
    times = timer.seconds(calls)
    results = [
        Result(name, num_rows / statistics.median(seconds), "examples/s")
        for name, seconds in times.items()
    ]
    return results + [_rate_ratio(times, name, "memory") for name in ("blocks", "text")]


def _rate_ratio(times: Mapping[str, list[float]], name: str, reference: str) -> Result:
    """One rate relative to another: the inverse of their times."""
    ratio = median_ratio(times[reference], times[name])
    return Result(f"{name}/{reference}", ratio, "ratio")


# ------------------------------------------------------------------------ ours


def our_call(
    activation: str,
    compute_dtype: str,
    rows: InMemoryRows,
    sizes: Sizes,
    num_ids: int | None = None,
) -> Call:
    """A call that trains our model once on rows in memory."""
    schema = _schema(num_ids or sizes.num_ids)
    train = _trainer(activation, compute_dtype, schema, sizes)
    return functools.partial(train, _batches(rows, sizes.batch_size))


def _trainer(
    activation: str, compute_dtype: str, schema: Schema, sizes: Sizes
) -> Callable[[tf.data.Dataset], None]:
    """A function that trains our model on the batches of a data set, as `train` does.

    The only place here that knows how: figures of every batch are counted, FTRL trains
    the wide part, and the input is prefetched. Checkpoints and reports are not part of
    it.
    """
    config = TrainConfig(
        model=WideDeepConfig(
            embedding_dim=sizes.embedding_dim,
            hidden_units=sizes.hidden_units,
            activation=activation,
        ),
        optimizer=OptimizerConfig(name="adagrad", learning_rate=peers.RATE),
        train=TrainOptions(compute_dtype=compute_dtype),
    )
    policy = dtype_policy(config.train.compute_dtype)
    model = WideDeep(schema, config.model, config.train.seed, dtype=policy)
    model.compile(WideDeepOptimizer.of(config.optimizer), weighted_metrics=[])
    model.optimizer._create_all_weights(model.trainable_variables)
    steps = TrainSteps(
        [Learner(model, model.optimizer, BinaryMetrics())],
        config.train.steps_per_execution,
    )

    def train(batches: tf.data.Dataset) -> None:
        iterator = iter(for_replicas(batches, 0, 1, 1).prefetch(4))
        while not steps(iterator).finished:
            pass

    return train


# ------------------------------------------------------------------------ data


def _schema(num_ids: int) -> Schema:
    """Criteo's columns, hashed; the numbers only as numbers."""
    return Schema(
        "benchmark",
        numeric=tuple(Numeric(column.name) for column in CRITEO.numeric),
        categorical=tuple(
            Categorical(column.name, buckets=num_ids, pattern=column.pattern)
            for column in CRITEO.categorical
        ),
    )


def random_rows(num_ids: int, sizes: Sizes) -> InMemoryRows:
    """Rows whose ids follow Zipf's law with exponent 1.2, clipped to `num_ids`.

    Their numbers are without flags for missing ones, which not all packages take.
    """
    random = np.random.default_rng(0)
    num_rows = sizes.num_rows
    ids = random.zipf(1.2, (num_rows, len(CRITEO.categorical)))
    numeric = np.log1p(random.gamma(1, 5, (num_rows, len(CRITEO.numeric)))).astype("f")
    features = {
        "numeric": numeric,
        "ids": (np.minimum(ids, num_ids) - 1).astype(np.int32),
    }
    label = (random.random(num_rows) < 0.25).astype("f")
    return InMemoryRows(features, label, np.ones_like(label))


def _batches(rows: InMemoryRows, batch_size: int) -> tf.data.Dataset:
    """The rows as the pipeline makes them: values beside missing flags."""
    numeric = rows.features["numeric"]
    pairs = np.stack([numeric, np.zeros_like(numeric)], axis=2)
    features = {**rows.features, "numeric": pairs.reshape(len(rows), -1)}
    batch = Batch(features, rows.label, rows.weight)
    batches = tf.data.Dataset.from_tensor_slices(batch).batch(batch_size)
    return untuned(batches.cache())


def _available_bytes() -> float:
    """Memory that can be had; infinite where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    return float("inf")
