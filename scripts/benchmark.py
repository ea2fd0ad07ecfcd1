"""Measures this package's speed on this machine.

    python scripts/benchmark.py activations

`activations` times forward and backward passes of activations, those of other packages
among them, relative to ReLU's, and counts the bytes kept between the two.

Calls are timed in turns and compared turn by turn, so that ratios hold though the
machine has other work. With --json, standard output holds one JSON object and nothing
else.
"""

from absl import flags

import command_line

KINDS = ("activations",)

_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")
_SECONDS = flags.DEFINE_float(
    "seconds", 240, "About how long the timing takes; less makes it rougher.", 1
)
_ELEMENTS = flags.DEFINE_list(
    "elements", "10000,1000000,16000000", "activations: sizes of the tensors."
)


def main(kind: str) -> None:
    from benchmarks import activations
    from benchmarks.report import as_json

    sizes = [command_line.positive_integer("elements", n) for n in _ELEMENTS.value]
    total = len(activations.settings(sizes))
    with command_line.ProgressLine("benchmark", total, "settings") as progress:
        results = activations.measure(sizes, _SECONDS.value, progress)
    print(as_json(results) if _JSON.value else activations.table(results))


if __name__ == "__main__":
    command_line.run(main, KINDS)
