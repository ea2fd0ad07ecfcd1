"""How much faster models train side by side than one after another."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.report import Result, figure_rows
from benchmarks.timing import interleaved_seconds, median_ratio
from command_line import aligned
from smelu_tf.models import PRESETS, Replicas, with_seed
from smelu_tf.pipelines import CRITEO, InMemoryRows, generate, open_rows

TOGETHER, ALONE = "together", "one_by_one"

_NUM_ROWS = 16_384


def measure(
    folder: Path, num_replicas: int, rounds: int, show: Callable[[int], None]
) -> list[Result]:
    """Times models of the preset `criteo_small` that differ in their seeds.

    Args:
        folder: an empty folder.
        num_replicas: models.
        rounds: how often each call is timed.
        show: is told how many calls are done.

    Returns:
        Examples/s over all models, together and one after another, and the ratio of
        these, the median over rounds.
    """
    generate(folder, num_rows=_NUM_ROWS, num_days=1)
    files = open_rows(folder / "day_0.tsv")
    schema = files.complete(CRITEO)
    config = PRESETS["criteo_small"]()
    batches = InMemoryRows.read(files, schema).batches(config.data.batch_size)
    configs = [with_seed(config, seed) for seed in range(num_replicas)]
    together = Replicas(configs, schema)
    alone = [Replicas([each], schema) for each in configs]
    done = 0

    def train(replicas: Sequence[Replicas]) -> None:
        nonlocal done
        for each in replicas:
            each.train(batches)
        done += 1
        show(done)

    calls = {TOGETHER: lambda: train([together]), ALONE: lambda: train(alone)}
    for call in calls.values():
        call()
    times = interleaved_seconds(calls, 1, rounds)
    examples = _NUM_ROWS * num_replicas
    rates = [
        Result(name, examples / statistics.median(values), "examples/s")
        for name, values in times.items()
    ]
    ratio = median_ratio(times[ALONE], times[TOGETHER])
    return [*rates, Result(f"{TOGETHER}/{ALONE}", ratio, "ratio")]


def num_calls(rounds: int) -> int:
    """What `measure` reports as done in the end."""
    return 2 * (rounds + 2)


def table(results: Sequence[Result]) -> str:
    """A line a figure."""
    return aligned([["models side by side", "", "unit"], *figure_rows(results)])
