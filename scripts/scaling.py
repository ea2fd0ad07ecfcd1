"""Predicts how long training takes on accelerators, and what it costs: on paper.

    python scripts/scaling.py
    python scripts/scaling.py --chips=v5e:4x4,v5e:8x8 --config.model.embedding_dim=64
    python scripts/scaling.py --chips=h100:8 --tables=copied --price_per_chip_hour=2.5

By default it is Criteo's 1TB set with the preset criteo_1tb. What a step computes,
moves and exchanges is counted from the configuration, or for the dense program taken
from --preflight; what chips can do is published, and printed with its source; the rest
is assumed, and each assumption is a flag. A step lasts as long as its slowest part if
all parts overlap, as long as all together if none do: `step` is from the one to the
other, and so are the figures that follow from it. Whether the `input` keeps up is yes
or no where both agree.

Nothing of it was measured on a TPU or a GPU. docs/scaling.md sets it beside what others
have published.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

import command_line

if TYPE_CHECKING:
    from smelu_tf.models.accelerators import Slice
    from smelu_tf.models.scaling import Assumptions, Prediction
    from smelu_tf.models.workload import DenseProgram, Workload

_config = command_line.define_config("criteo_1tb")
_CHIPS = flags.DEFINE_list(
    "chips",
    "v5e:4x4,v6e:4x4,v4:2x2x4,v5p:2x2x4,h100:8",
    "Accelerators and the shapes of their meshes, as tpu_preflight.py has them, or "
    "h100 and their number.",
)
_NUM_EXAMPLES = flags.DEFINE_integer(
    "num_examples", 4_373_472_329, "Examples of a pass.", lower_bound=1
)
_PREFLIGHT = flags.DEFINE_list(
    "preflight",
    [],
    "Files of what `scripts/tpu_preflight.py --json` has printed: the compiled dense "
    "program on one chip, in place of one that is counted, for chips of its kind that "
    "get as many examples of a batch.",
)
_PRICE = flags.DEFINE_float(
    "price_per_chip_hour",
    None,
    "Of each chip, in USD, in place of the published prices.",
    lower_bound=0.0,
)
# The fields of smelu_tf.models.scaling.Assumptions, with their defaults.
flags.DEFINE_float(
    "compute_efficiency", 0.5, "The part of the published FLOPs that is reached."
)
flags.DEFINE_float(
    "memory_efficiency", 0.7, "The part of the memory's bandwidth that is reached."
)
flags.DEFINE_float(
    "interconnect_efficiency", 0.7, "The part of the links' bandwidth that is reached."
)
flags.DEFINE_float(
    "usable_memory", 0.9, "The part of a chip's memory that may be taken."
)
flags.DEFINE_enum(
    "tables",
    "sharded",
    ["sharded", "copied"],
    "Whether each chip has a part of the tables' rows or all of them, as with train.py "
    "--strategy=mirrored.",
)
flags.DEFINE_integer(
    "copied_below", 4096, "Tables of fewer rows are copied in any case."
)
flags.DEFINE_integer(
    "exchange_bytes", 4, "Bytes of a number of a row or its gradient between chips."
)
flags.DEFINE_float(
    "distinct",
    1.0,
    "The part of a batch's looked-up rows that are updated singly; 1: no id comes "
    "twice.",
)
flags.DEFINE_float(
    "reader_examples_per_second",
    4_636_437.0,
    "What a machine reads from blocks and decodes, all workers together "
    "(docs/input.md). Every machine reads all examples.",
)
_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")


def main() -> None:
    from smelu_tf.models.accelerators import parse_slice
    from smelu_tf.models.scaling import MemoryShortageError, predict
    from smelu_tf.models.workload import Workload
    from smelu_tf.pipelines.presets import named_schema

    config = _config()
    config.validate()
    assumptions = _assumptions()
    schema = named_schema(config.data.schema)
    workload = Workload.of(config, schema, _NUM_EXAMPLES.value)
    slices = [parse_slice(text) for text in _CHIPS.value]
    programs = _compiled_programs(slices, workload)
    predictions, shortages = [], []
    for chips in slices:
        program = programs.get(chips.name)
        try:
            predictions.append(
                predict(workload, chips, assumptions, program, _PRICE.value)
            )
        except MemoryShortageError as error:
            shortages.append(str(error))
    if not predictions:
        raise ValueError(" ".join(shortages))
    if _JSON.value:
        print(_as_json(workload, assumptions, slices, predictions, shortages))
    else:
        _show(workload, assumptions, slices, predictions, shortages)


def _assumptions() -> "Assumptions":
    """What the flags say is assumed."""
    from smelu_tf.models.scaling import Assumptions

    names = [field.name for field in dataclasses.fields(Assumptions)]
    return Assumptions(**{name: flags.FLAGS[name].value for name in names})


def _compiled_programs(
    slices: Sequence["Slice"], workload: "Workload"
) -> dict[str, "DenseProgram"]:
    """The programs of --preflight by the names of the chips that they are for."""
    from smelu_tf.models.workload import load_program

    programs = [load_program(path) for path in _PREFLIGHT.value]
    found = {
        chips.name: program
        for chips in slices
        for program in programs
        if program.fits(chips, workload.batch_size)
    }
    if programs and not found:
        raise ValueError(
            f"--preflight: expected a program for one of {', '.join(_CHIPS.value)} and "
            f"its part of {workload.batch_size} examples, received "
            + ", ".join(f"{p.origin}, of {p.num_examples}" for p in programs)
            + "."
        )
    return found


def _as_json(
    workload: "Workload",
    assumptions: "Assumptions",
    slices: Sequence["Slice"],
    predictions: Sequence["Prediction"],
    shortages: Sequence[str],
) -> str:
    accelerators = {each.accelerator.name: each.accelerator for each in slices}
    return json.dumps(
        {
            "predictions": [prediction.to_dict() for prediction in predictions],
            "shortages": list(shortages),
            "workload": dataclasses.asdict(workload),
            "assumptions": dataclasses.asdict(assumptions),
            "accelerators": {
                name: dataclasses.asdict(each) for name, each in accelerators.items()
            },
        },
        indent=1,
    )


def _show(
    workload: "Workload",
    assumptions: "Assumptions",
    slices: Sequence["Slice"],
    predictions: Sequence["Prediction"],
    shortages: Sequence[str],
) -> None:
    """Prints what is trained, two tables, what was assumed, and the sources."""
    tables = sum(table.num_bytes for table in workload.tables)
    flops = 6 * sum(n * m for n, m in workload.layers) + 3 * workload.product_flops
    print(
        f"{workload.num_examples:,} examples in batches of {workload.batch_size:,}.\n"
        f"{len(workload.tables)} tables, {tables / 1e9:.2f} GB; "
        f"{workload.num_weights:,} other weights, {flops / 1e6:.1f} MFLOP an example.\n"
    )
    print("Milliseconds of a step:")
    rows = [("", "compute", "memory", "links", "input", "step", "longest", "program")]
    for each in predictions:
        rows.append(
            (
                each.name,
                *(f"{1000 * seconds:.2f}" for seconds in each.parts.values()),
                _range([1000 * seconds for seconds in each.step_seconds], 2),
                {"interconnect": "links"}.get(each.bound_by, each.bound_by),
                "counted" if each.dense_origin == "counted" else "compiled",
            )
        )
    command_line.show_table(rows)
    print("\nA pass:")
    rows = [("", "M examples/s", "hours", "USD", "GB a chip", "chips alone", "input")]
    for each in predictions:
        alone = [each.batch_size / seconds / 1e6 for seconds in each.device_seconds]
        rows.append(
            (
                each.name,
                _range([rate / 1e6 for rate in each.examples_per_second], 2),
                _range(each.hours, 2),
                _range(each.cost, 2),
                f"{each.memory_bytes / 1e9:.1f}",
                _range(alone, 2),
                each.input_keeps_up,
            )
        )
    command_line.show_table(rows)
    for shortage in shortages:
        print(f"\nDoes not fit: {shortage}")
    print("\nAssumed:")
    for name, value in dataclasses.asdict(assumptions).items():
        print(f"  --{name}={value}")
    print("\nPublished:")
    for name, each in {s.accelerator.name: s.accelerator for s in slices}.items():
        print(
            f"  {name}: {each.flops / 1e12:g} TFLOP/s, {each.memory_bytes / 1e9:.1f} "
            f"GB at {each.memory_bandwidth / 1e9:g} GB/s, links of "
            f"{each.link_bandwidth / 1e9:g} GB/s, {each.chips_per_host} chips a host, "
            f"{each.price_per_hour:.2f} USD a chip and hour"
        )
        for source in each.sources:
            print(f"    {source}")
    for origin in sorted({each.dense_origin for each in predictions} - {"counted"}):
        print(f"  the dense program: {origin}")


def _range(values: Sequence[float], digits: int) -> str:
    """From one to the other, or one of them where both read alike."""
    first, last = (f"{value:,.{digits}f}" for value in values)
    return first if first == last else f"{first}-{last}"


if __name__ == "__main__":
    command_line.run(main)
