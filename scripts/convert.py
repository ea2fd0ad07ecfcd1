"""Converts row files to blocks: finished batches that training reads much faster.

Text (plain or .gz), Parquet and TFRecord files of tf.train.Examples are read. The rows
stay in their order. A schema that leaves something to be learned from the rows,
vocabularies say, takes a first pass. The same command again goes on where a stopped one
was, and ends with the same bytes. docs/blocks.md says what the folder holds.

With --beam_options the same conversion runs as an Apache Beam pipeline, on a cluster
say, a file a worker: it takes the extra `beam`, and data and output_dir must be visible
to all workers.

    python scripts/convert.py --data='demo/data/day_[0-5].tsv' --output_dir=demo/blocks
    python scripts/convert.py --output_dir=demo/beam --beam_options=--runner=FnApiRunner
"""

import shlex
from typing import TYPE_CHECKING, Any

from absl import flags

import command_line

if TYPE_CHECKING:
    from smelu_tf.pipelines import Schema

_DATA = flags.DEFINE_string(
    "data",
    "demo/data/day_[0-5].tsv",
    "Files in time order: text, Parquet or TFRecord; globs, with commas between them.",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "demo/blocks", "A new folder, or one of the same conversion."
)
_SCHEMA = flags.DEFINE_string(
    "schema", "criteo", "A preset's name, or the path of a schema's JSON file."
)
_ROWS_PER_BLOCK = flags.DEFINE_integer(
    "rows_per_block",
    4096,
    "Rows of a block: the batch size that is fastest to read.",
    1,
)
_BLOCKS_PER_SHARD = flags.DEFINE_integer(
    "blocks_per_shard", 256, "Blocks of a file.", 1
)
_MAX_BAD_ROWS = flags.DEFINE_integer(
    "max_bad_rows",
    0,
    "How many rows that do not parse are passed over; they are written to "
    "output_dir/rejects.txt.",
    lower_bound=0,
)
_BEAM_OPTIONS = flags.DEFINE_string(
    "beam_options",
    "",
    "Options of an Apache Beam pipeline that converts, as Beam's own command lines "
    "take them: --runner=… and the runner's settings. Empty: this process converts.",
)
_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")


def main() -> None:
    from smelu_tf.pipelines import expand_files, named_schema

    files = expand_files(_DATA.value)
    schema = named_schema(_SCHEMA.value)
    settings = {
        "rows_per_block": _ROWS_PER_BLOCK.value,
        "blocks_per_shard": _BLOCKS_PER_SHARD.value,
        "max_bad_rows": _MAX_BAD_ROWS.value,
    }
    if _BEAM_OPTIONS.value:
        report = _convert_with_beam(files, schema, settings)
    else:
        report = _convert(files, schema, settings)
    manifest = report.manifest
    figures = {
        "num_rows": manifest.num_rows,
        "num_bad_rows": report.num_bad_rows,
        "num_shards": len(manifest.shards),
        "num_bytes": sum(shard.num_bytes for shard in manifest.shards),
        "click_rate": manifest.statistics.click_rate,
        "fingerprint": manifest.fingerprint,
    }
    command_line.show_figures(figures, _JSON.value)


def _convert(files: list[str], schema: "Schema", settings: dict[str, int]) -> Any:
    from smelu_tf.pipelines import convert, estimate_num_rows

    num_rows = estimate_num_rows(files)
    with (
        command_line.ProgressLine("count", num_rows) as counting,
        command_line.ProgressLine("convert", num_rows) as progress,
    ):
        return convert(
            files,
            schema,
            _OUTPUT_DIR.value,
            counting=counting,
            progress=progress,
            **settings,
        )


def _convert_with_beam(
    files: list[str], schema: "Schema", settings: dict[str, int]
) -> Any:
    from smelu_tf.pipelines import convert_with_beam

    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        options = None  # convert_with_beam says which package is missing
    else:
        options = PipelineOptions(shlex.split(_BEAM_OPTIONS.value))
    return convert_with_beam(
        files, schema, _OUTPUT_DIR.value, options=options, **settings
    )


if __name__ == "__main__":
    command_line.run(main)
