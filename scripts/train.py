"""Trains a wide-and-deep click model: one pass over the rows in their order.

Every batch is predicted before it is learned (progressive validation); the figures
are those of these predictions. The folder model_dir gets config.json, schema.json,
metrics.json, checkpoints/ and tensorboard/. The same command again goes on where a
stopped run was.

    python scripts/train.py --data='demo/data/day_[0-5].tsv' --model_dir=demo/model
    python scripts/train.py --model_dir=demo/relu --config.model.activation=relu
"""

from absl import flags

import command_line

_DATA = flags.DEFINE_string(
    "data",
    "demo/data/day_[0-5].tsv",
    "Text files to train on, in time order (globs, with commas between several), or a "
    "folder of blocks (scripts/convert.py).",
)
_MODEL_DIR = flags.DEFINE_string(
    "model_dir", "demo/model", "A new folder for the model, or one of the same run."
)
_MAX_BAD_ROWS = flags.DEFINE_integer(
    "max_bad_rows",
    0,
    "How many rows that do not parse are passed over; they are written to "
    "model_dir/rejects.txt.",
    lower_bound=0,
)
_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")
_config = command_line.define_config()


def main() -> None:
    from smelu_tf.models import train
    from smelu_tf.pipelines import (
        estimate_num_rows,
        expand_files,
        is_blocks,
        read_manifest,
    )

    data = _DATA.value
    if is_blocks(data):
        num_rows = read_manifest(data).num_rows
    else:
        num_rows = estimate_num_rows(expand_files(data))
    with command_line.ProgressLine("train", num_rows) as progress:
        result = train(
            _config(),
            data,
            _MODEL_DIR.value,
            max_bad_rows=_MAX_BAD_ROWS.value,
            progress=progress,
        )
    figures = {
        **result.progressive,
        "num_bad_rows": result.num_bad_rows,
        "rows_per_second": result.rows_per_second,
    }
    command_line.show_figures(figures, _JSON.value)


if __name__ == "__main__":
    command_line.run(main)
