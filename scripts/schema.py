"""Looks at a file of one's own and proposes a schema, to be edited by hand.

Shows what each column is like and what it becomes, and writes the schema as JSON, which
the other scripts take: --schema=… and --config.data.schema=….

    python scripts/schema.py --data=clicks.csv --output=clicks.json
"""

import dataclasses
import json
import os

from absl import flags

import command_line

_DATA = flags.DEFINE_string(
    "data",
    "",
    "Text with a header (commas, tabs, semicolons or |; quoted or not; plain or .gz), "
    "or Parquet. There is no default.",
)
_LABEL = flags.DEFINE_string(
    "label", "", "The label's column; by default the one that is named like a label."
)
_OUTPUT = flags.DEFINE_string("output", "schema.json", "The file to write.")
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replaces the file if there is one, with what was edited in it."
)
_MAX_ROWS = flags.DEFINE_integer("max_rows", 200_000, "How many rows are looked at.", 1)
_JSON = flags.DEFINE_bool("json", False, "Print what the columns are like as JSON.")


def main() -> None:
    from smelu_tf.pipelines import propose_schema
    from smelu_tf.pipelines.files import replacing

    if not _DATA.value:
        raise ValueError("--data: expected a file to look at, received none.")
    output = _OUTPUT.value
    if os.path.exists(output) and not _OVERWRITE.value:
        raise ValueError(
            f"{output}: expected a new file to write, received one that is there; "
            "--overwrite replaces it."
        )
    proposal = propose_schema(_DATA.value, _LABEL.value, _MAX_ROWS.value)
    with replacing(output) as temporary:
        temporary.write_text(proposal.schema.to_json(), encoding="utf-8")
    columns = [dataclasses.asdict(column) for column in proposal.columns]
    if _JSON.value:
        print(json.dumps({"num_rows": proposal.num_rows, "columns": columns}, indent=1))
        return
    header = ["column", "kind", "dtype", "missing", "distinct", "example", "because"]
    rows = [
        [
            column.name,
            column.kind,
            column.dtype,
            f"{column.missing_rate:.1%}",
            f"{'more than ' * column.has_more}{column.num_distinct:,}",
            column.example[:20],
            column.reason,
        ]
        for column in proposal.columns
    ]
    command_line.show_table([header, *rows])
    print(
        f"\n{proposal.num_rows:,} rows looked at. The schema is in {output}: edit it, "
        f"then\npython scripts/train.py --data={_DATA.value} "
        f"--config.data.schema={output} --model_dir=…"
    )


if __name__ == "__main__":
    command_line.run(main)
