"""Compiles a training step for a TPU, on a machine that has none.

The TPU compiler (libtpu, from PyPI) compiles the very step that scripts/train.py runs
with --strategy=tpu: it tells whether it takes it, what it costs, and how much of a
chip's memory it needs. Nothing is run: there are no speeds, and no proof of results.

    python scripts/tpu_preflight.py --topology=v5e:2x2
    python scripts/tpu_preflight.py --topology=v4:2x2x1 --config.model.tables=tpu \\
        --activation_report
    python scripts/tpu_preflight.py --model_dir=demo/model --find_batch

The exit code is 0 if it compiles and fits, 1 if not, 2 for bad arguments.
Needs: pip install 'smelu-tf[tpu-preflight]'
"""

import json
import sys
from pathlib import Path

from absl import flags

import command_line

_TOPOLOGY = flags.DEFINE_string(
    "topology", "v5e:2x2", "The chips: v5e:2x2, v4:2x2x1, v5p:2x2x1, v6e:2x2, v6e:4x4 …"
)
_NUM_CHIPS = flags.DEFINE_integer(
    "num_chips",
    0,
    "How many of them train together, each on its part of the batch; 0: all.",
    lower_bound=0,
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    0,
    "Rows a chip; 0: --config.data.batch_size, divided among the chips.",
    lower_bound=0,
)
_NUM_IDS = flags.DEFINE_integer(
    "num_ids",
    100_000,
    "Ids of each column whose vocabulary would be counted on the data.",
    lower_bound=2,
)
_SCHEMA = flags.DEFINE_string(
    "schema",
    "",
    "A schema.json with counted vocabularies, in place of --config.data.schema.",
)
_MODEL_DIR = flags.DEFINE_string(
    "model_dir", "", "A run, whose config and schema take the place of those given."
)
_ACTIVATION_REPORT = flags.DEFINE_bool(
    "activation_report",
    False,
    "Compile the step with relu, smelu:1, swish and gelu as well, and compare them.",
)
_FIND_BATCH = flags.DEFINE_bool(
    "find_batch",
    False,
    "Find the most rows a chip that fit: a power of two, up to 131,072. It compiles "
    "large programs, which takes minutes.",
)
_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")
_config = command_line.define_config("criteo_kaggle")

_ACTIVATIONS = ("relu", "smelu:1", "swish", "gelu")


def main() -> None:
    from smelu_tf.models import load_config
    from smelu_tf.models.tpu_errors import TPUCompilerError
    from smelu_tf.models.tpu_program import assumed_schema
    from smelu_tf.pipelines import Schema, named_schema

    config, schema_path = _config(), _SCHEMA.value
    if _MODEL_DIR.value:
        config = load_config(Path(_MODEL_DIR.value))
        schema_path = schema_path or Path(_MODEL_DIR.value) / "schema.json"
    schema = (
        Schema.load(schema_path) if schema_path else named_schema(config.data.schema)
    )
    try:
        _report(config, assumed_schema(schema, _NUM_IDS.value))
    except TPUCompilerError as error:
        command_line.complain(str(error))
        sys.exit(1)


def _report(config, schema) -> None:
    """Compiles, and prints the figures."""
    from smelu_tf.models.tpu_preflight import (
        largest_batch,
        preflight,
        with_activation,
    )

    topology, chips = _TOPOLOGY.value, _NUM_CHIPS.value
    size = _BATCH_SIZE.value
    result = preflight(config, schema, topology, chips=chips, batch_size=size)
    others = [
        preflight(
            with_activation(config, name),
            schema,
            topology,
            chips=chips,
            batch_size=size,
        )
        for name in (_ACTIVATIONS if _ACTIVATION_REPORT.value else ())
    ]
    figures = result.figures()
    if others:
        figures["activations"] = {each.activation: each.figures() for each in others}
    if _FIND_BATCH.value:
        largest = largest_batch(config, schema, topology, chips=chips)
        figures["largest_batch_size"] = largest.batch_size
    if _JSON.value:
        print(json.dumps(figures, indent=2))
        return
    _show(result)
    if _FIND_BATCH.value:
        print(f"largest batch     {largest.batch_size:,} rows a chip (up to 131,072)")
    if others:
        print()
        _show_activations(others)


def _show(result) -> None:
    """Prints what is known of one program."""
    program, reduces = result.program, result.program.all_reduces
    fusions = program.fusions
    hbm = "" if result.hbm_bytes is None else f" of {_size(result.hbm_bytes)}"
    rows = [
        ("compiles for", f"{program.num_chips} chips of {program.topology}"),
        ("rows a chip", f"{result.batch_size:,}"),
        ("FLOPs", f"{program.flops:,}"),
        ("bytes accessed", f"{program.bytes_accessed:,}"),
        ("transcendentals", f"{program.transcendentals:,}"),
        ("peak memory", f"{_size(program.peak_bytes)}{hbm}"),
        ("tables besides", _size(result.table_bytes)),
        ("compiled in", f"{program.compile_seconds:.1f} s"),
        ("all-reduces", f"{reduces.count}, {reduces.num_bytes:,} bytes"),
        (
            "activation in",
            f"{len(fusions)} kernels, {sum(f.has_matmul for f in fusions)} of them "
            "with a matrix product",
        ),
    ]
    for name, text in rows:
        print(f"{name:<16}  {text}")
    for fusion in fusions:
        kind = "with a matrix product" if fusion.has_matmul else "elementwise"
        print(f"  {fusion.name}: {', '.join(fusion.scopes)} ({kind})")


def _show_activations(results) -> None:
    """Prints the same step's figures with several activations."""
    table = [["", "bytes accessed", "peak bytes", "FLOPs", "transcendentals"]]
    for result in results:
        program = result.program
        figures = (
            program.bytes_accessed,
            program.peak_bytes,
            program.flops,
            program.transcendentals,
        )
        table.append([result.activation, *(f"{value:,}" for value in figures)])
    command_line.show_table(table)


def _size(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    command_line.run(main)
