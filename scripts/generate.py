"""Generates Criteo-like click logs whose best possible log loss is known.

Writes day_0.tsv, day_1.tsv … in the format of Criteo's data set (label, 13 integers,
26 hexadecimal ids, tab separated, empty = missing), and truth.json: log loss, AUC and
normalised entropy of the true click probabilities, which no model can beat.

With --format=blocks the same rows go straight to blocks (docs/blocks.md): train/ holds
all days but the last, test/ the last one.

    python scripts/generate.py --num_rows=400000 --output_dir=demo/data
    python scripts/generate.py --format=blocks --output_dir=demo/generated
"""

import dataclasses

from absl import flags

import command_line

_OUTPUT_DIR = flags.DEFINE_string("output_dir", "demo/data", "Where the files go.")
_NUM_ROWS = flags.DEFINE_integer("num_rows", 400_000, "Rows in all.")
_NUM_DAYS = flags.DEFINE_integer("num_days", 7, "Files: equal parts of the rows.")
_SEED = flags.DEFINE_integer("seed", 0, "Another seed gives other rows.")
_FORMAT = flags.DEFINE_enum("format", "text", ["text", "blocks"], "What is written.")
_SCHEMA = flags.DEFINE_string(
    "schema", "criteo", "Of blocks: a preset's name, or the path of a schema's JSON."
)
_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")


def main() -> None:
    from smelu_tf.pipelines import generate, generate_blocks, named_schema

    with command_line.ProgressLine("generate", _NUM_ROWS.value) as progress:
        numbers = {
            "num_rows": _NUM_ROWS.value,
            "seed": _SEED.value,
            "num_days": _NUM_DAYS.value,
            "progress": progress,
        }
        if _FORMAT.value == "text":
            report = generate(_OUTPUT_DIR.value, **numbers)
        else:
            schema = named_schema(_SCHEMA.value)
            report = generate_blocks(_OUTPUT_DIR.value, schema, **numbers)
    command_line.show_figures(dataclasses.asdict(report.overall), _JSON.value)


if __name__ == "__main__":
    command_line.run(main)
