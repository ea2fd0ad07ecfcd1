"""Evaluates a model on rows it has not seen.

The model is a model_dir (its metrics.json gets the figures, under `evaluation`) or an
exported SavedModel. No row is lost or counted twice.

    python scripts/evaluate.py --model=demo/model --data=demo/data/day_6.tsv
"""

from absl import flags

import command_line

_open_job = command_line.define_scoring_flags()
_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")


def main() -> None:
    from smelu_tf.models import evaluate, update_metrics

    job = _open_job()
    num_rows = job.rows.estimated_rows()
    with command_line.ProgressLine("evaluate", num_rows) as progress:
        with job.rows.errors():
            figures = evaluate(job.scorer, job.batches, progress)
    figures["num_bad_rows"] = job.rows.num_bad_rows
    command_line.show_figures(figures, _JSON.value)
    if job.model_dir is not None:
        update_metrics(job.model_dir, evaluation=figures)


if __name__ == "__main__":
    command_line.run(main)
