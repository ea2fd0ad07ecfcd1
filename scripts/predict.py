"""Scores rows with a model and writes the predictions as Parquet.

The file has the columns row (int64, from 0, in the order of the rows that parse),
label, probability and logit (float32). It needs the extra `data` (pyarrow).

    python scripts/predict.py --model=demo/model --data=demo/data/day_6.tsv
"""

from absl import flags

import command_line

_open_job = command_line.define_scoring_flags()
_OUTPUT = flags.DEFINE_string(
    "output", "demo/predictions.parquet", "The file to write."
)


def main() -> None:
    from smelu_tf.models import predict, write_predictions

    job = _open_job()
    estimate = job.rows.estimated_rows()
    with command_line.ProgressLine("predict", estimate) as progress:
        with job.rows.errors():
            predictions = predict(job.scorer, job.batches)
            num_rows = write_predictions(_OUTPUT.value, predictions, progress)
    print(f"{num_rows:,} predictions in {_OUTPUT.value}")


if __name__ == "__main__":
    command_line.run(main)
