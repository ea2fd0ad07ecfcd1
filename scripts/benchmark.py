"""Measures this package's speed on this machine.

    python scripts/benchmark.py activations
    python scripts/benchmark.py input

`activations` times forward and backward passes of activations, those of other packages
among them, relative to ReLU's, and counts the bytes kept between the two.

`input` times the readers on generated rows (`make_csv_dataset` is TensorFlow's), the
conversion to blocks and its memory, and the first batch at two places of the data.

Calls are timed in turns and compared turn by turn, so that ratios hold though the
machine has other work. With --json, standard output holds one JSON object and nothing
else.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

import command_line

if TYPE_CHECKING:
    from benchmarks.report import Result

_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")
_SECONDS = flags.DEFINE_float(
    "seconds",
    240,
    "activations: about how long the timing takes; less makes it rougher.",
    1,
)
_ELEMENTS = flags.DEFINE_list(
    "elements", "10000,1000000,16000000", "activations: sizes of the tensors."
)
_ROWS = flags.DEFINE_integer("rows", 1_000_000, "input: rows that are generated.", 1000)
_CONVERT_PASSES = flags.DEFINE_integer(
    "convert_passes",
    1,
    "input: how often the conversion that is timed reads them; 20 shows that memory "
    "does not grow with the rows.",
    1,
)


def _activations() -> tuple[Sequence["Result"], str]:
    from benchmarks import activations

    sizes = [command_line.positive_integer("elements", n) for n in _ELEMENTS.value]
    total = len(activations.settings(sizes))
    with command_line.ProgressLine("benchmark", total, "settings") as progress:
        results = activations.measure(sizes, _SECONDS.value, progress)
    return results, activations.table(results)


def _input() -> tuple[Sequence["Result"], str]:
    from benchmarks import input as input_benchmark

    with (
        tempfile.TemporaryDirectory() as folder,
        command_line.ProgressLine(
            "benchmark", input_benchmark.STEPS, "steps"
        ) as progress,
    ):
        results = input_benchmark.measure(
            Path(folder), _ROWS.value, _CONVERT_PASSES.value, progress
        )
    return results, input_benchmark.table(results)


KINDS = {"activations": _activations, "input": _input}


def main(kind: str) -> None:
    from benchmarks.report import as_json

    results, table = KINDS[kind]()
    print(as_json(results) if _JSON.value else table)


if __name__ == "__main__":
    command_line.run(main, tuple(KINDS))
