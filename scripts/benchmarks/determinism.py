"""What equal bits cost: training with TensorFlow's deterministic operations.

A process cannot do without them again, so that either way of training has its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import workers
from benchmarks.report import Result, figure_rows
from benchmarks.timing import interleaved_seconds, median_ratio
from command_line import aligned

WAYS = ("any_order", "deterministic")
BATCH_SIZES = (256, 4096)

_NUM_ROWS = 65_536


def measure(folder: Path, rounds: int, show: Callable[[int], None]) -> list[Result]:
    """Times models of the preset `criteo_small`, at a small and a large batch.

    Args:
        folder: an empty folder.
        rounds: how often each is timed.
        show: is told how many trainings are done.

    Returns:
        Of each batch size the examples/s either way, and the ratio of these, the median
        over rounds.
    """
    from smelu_tf.pipelines import generate

    generate(folder, num_rows=_NUM_ROWS, num_days=1)
    arguments = {way: (folder / "day_0.tsv", way == WAYS[1]) for way in WAYS}
    done = 0
    results = []
    with workers.started(_train_when_told, arguments) as pipes:

        def trained(way: str, batch_size: int) -> None:
            nonlocal done
            workers.ask(pipes[way], batch_size)
            done += 1
            show(done)

        for size in BATCH_SIZES:
            calls = {way: lambda way=way, size=size: trained(way, size) for way in WAYS}
            for call in calls.values():
                call()
            times = interleaved_seconds(calls, 0, rounds)
            for way, seconds in times.items():
                rate = _NUM_ROWS / statistics.median(seconds)
                results.append(Result(f"{size}/{way}", rate, "examples/s"))
            ratio = median_ratio(times[WAYS[0]], times[WAYS[1]])
            results.append(Result(f"{size}/{WAYS[1]}/{WAYS[0]}", ratio, "ratio"))
    return results


def num_calls(rounds: int) -> int:
    """What `measure` reports as done in the end."""
    return len(BATCH_SIZES) * len(WAYS) * (rounds + 2)


def table(results: Sequence[Result]) -> str:
    """A line a figure."""
    return aligned([["batch/operations", "", "unit"], *figure_rows(results)])


def _train_when_told(file: Path, deterministic: bool, pipe: Connection) -> None:
    """Trains on the rows whenever a batch size comes, until nobody is there."""
    import tensorflow as tf

    from smelu_tf.models import PRESETS, Replicas
    from smelu_tf.pipelines import CRITEO, InMemoryRows, open_rows

    if deterministic:
        tf.keras.utils.set_random_seed(0)
        tf.config.experimental.enable_op_determinism()
    files = open_rows(file)
    schema = files.complete(CRITEO)
    rows = InMemoryRows.read(files, schema)
    model = Replicas([PRESETS["criteo_small"]()], schema)
    workers.answer(pipe, lambda batch_size: model.train(rows.batches(batch_size)))
