"""What computing in bfloat16 costs in log loss."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.report import Result
from command_line import aligned
from smelu_tf.models import (
    DataConfig,
    OptimizerConfig,
    TrainConfig,
    TrainOptions,
    WideDeepConfig,
    train,
)
from smelu_tf.pipelines import CRITEO, convert, generate

DTYPES = ("float32", "bfloat16")

_CONFIG = TrainConfig(
    data=DataConfig(batch_size=4096),
    model=WideDeepConfig(embedding_dim=16, hidden_units=(512, 256, 128)),
    optimizer=OptimizerConfig(learning_rate=0.001),
)


def measure(
    folder: Path, num_rows: int, seeds: int, show: Callable[[int], None]
) -> list[Result]:
    """Trains once a seed in either precision, on the same generated rows.

    Args:
        folder: an empty folder.
        num_rows: rows that are generated.
        seeds: models of each precision.
        show: is told how many trainings are done.

    Returns:
        The progressive log loss of each training, and of the differences of two with
        one seed the mean and its standard error.
    """
    generate(folder, num_rows=num_rows, num_days=1)
    blocks = folder / "blocks"
    convert(folder / "day_0.tsv", CRITEO, blocks)
    results = []
    differences = []
    for seed in range(seeds):
        losses = []
        for number, dtype in enumerate(DTYPES):
            show(2 * seed + number)
            options = TrainOptions(
                seed=seed, compute_dtype=dtype, checkpoint_steps=1_000_000
            )
            trained = train(
                dataclasses.replace(_CONFIG, train=options),
                str(blocks),
                folder / f"{dtype}_{seed}",
            )
            loss = float(trained.progressive["log_loss"] or math.nan)
            losses.append(loss)
            results.append(Result(f"{dtype}/seed_{seed}", loss, "nats"))
        differences.append(losses[1] - losses[0])
    show(2 * seeds)
    error = 0.0
    if seeds > 1:
        error = statistics.stdev(differences) / math.sqrt(seeds)
    name = "bfloat16 - float32"
    return [
        *results,
        Result(name, statistics.mean(differences), "nats"),
        Result(f"{name}/standard_error", error, "nats"),
    ]


def table(results: Sequence[Result]) -> str:
    """A line a figure."""
    rows = [["progressive log loss", "nats"]]
    rows += [[result.name, f"{result.value:.6f}"] for result in results]
    return aligned(rows)
