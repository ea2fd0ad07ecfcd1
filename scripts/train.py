"""Trains a wide-and-deep click model: one pass over the rows in their order.

(Or --config.data.epochs passes, with --config.data.shuffle in a random order.)

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
    "Files to train on, in time order (globs, with commas between several): text, "
    "Parquet or TFRecord files of tf.train.Examples; or a folder of blocks "
    "(scripts/convert.py).",
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
_DATA_SERVICE = flags.DEFINE_string(
    "data_service",
    "",
    "The address of a tf.data service (grpc://host:port) whose workers read the "
    "blocks. The order is then not kept, and a run that goes on may miss or repeat "
    "rows that were under way when it stopped.",
)
_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")
_config = command_line.define_config()


def main() -> None:
    from smelu_tf.models import train
    from smelu_tf.pipelines import open_rows

    config = _config()
    num_rows = open_rows(_DATA.value).estimated_rows() * config.data.epochs
    with command_line.ProgressLine("train", num_rows) as progress:
        result = train(
            config,
            _DATA.value,
            _MODEL_DIR.value,
            max_bad_rows=_MAX_BAD_ROWS.value,
            data_service=_DATA_SERVICE.value,
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
