"""Where the time of a training step goes: a profile by kinds of operations."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks import training
from benchmarks.report import Result
from command_line import aligned

WARM_UP = 3  # passes before the one that is profiled

# Functions of TensorFlow's runtime, and the step as a whole.
_IS_NO_OPERATION = re.compile(r"::|__inference")


def measure(
    activation: str,
    compute_dtype: str,
    sizes: training.Sizes,
    folder: Path,
    show: Callable[[int], None],
) -> list[Result]:
    """Profiles the training of our model on rows in memory.

    Args:
        activation: of the MLP.
        compute_dtype: `float32`, `bfloat16` or `float16`.
        sizes: as in `training.measure`.
        folder: an empty folder for the profile.
        show: is told how many of the passes are done.

    Returns:
        Of each kind of operation the milliseconds a step, largest first. Operations run
        side by side on the cores: their sum is longer than the step.
    """
    rows = training.random_rows(sizes.num_ids, sizes)
    train = training.our_call(activation, compute_dtype, rows, sizes)
    for done in range(WARM_UP):
        show(done)
        train()
    tf.profiler.experimental.start(str(folder))
    train()
    tf.profiler.experimental.stop()
    show(WARM_UP + 1)
    milliseconds: collections.Counter[str] = collections.Counter()
    for path in folder.glob("**/*.xplane.pb"):
        for plane in xplane_pb2.XSpace.FromString(path.read_bytes()).planes:
            for kind, event in _operations(plane):
                milliseconds[kind] += event.duration_ps / 1e9
    return [
        Result(kind, total / sizes.num_batches, "ms/step")
        for kind, total in milliseconds.most_common()
    ]


def table(results: Sequence[Result], num_rows: int = 15) -> str:
    """The largest of the results, with their part of the whole."""
    total = sum(result.value for result in results)
    rows = [["operation", "ms/step", "part"]]
    for result in results[:num_rows]:
        part = result.value / total
        rows.append([result.name, f"{result.value:.2f}", f"{part:.1%}"])
    rows.append(["all", f"{total:.2f}", "100.0%"])
    return aligned(rows)


def _operations(plane: Any) -> list[tuple[str, Any]]:
    """The events of a plane that are operations of TensorFlow, with their kinds."""
    # An operation's event has its name and its kind: `mlp/hidden_0/MatMul:MatMul`.
    kinds = {
        number: metadata.name.rpartition(":")[2]
        for number, metadata in plane.event_metadata.items()
        if ":" in metadata.name and not _IS_NO_OPERATION.search(metadata.name)
    }
    return [
        (kinds[event.metadata_id], event)
        for line in plane.lines
        for event in line.events
        if event.metadata_id in kinds
    ]
