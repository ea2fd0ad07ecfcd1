"""Evaluates a model on rows it has not seen.

The model is a model_dir (its metrics.json gets the figures, under `evaluation`) or an
exported SavedModel. No row is lost or counted twice. With --slices there are figures
for single values of columns too: ids by their values, numbers between powers of two.
With --compare_to there is the prediction difference from another model.

    python scripts/evaluate.py --model=demo/model --data=demo/data/day_6.tsv
    python scripts/evaluate.py --slices=C1,I3
"""

import sys

from absl import flags

import command_line

_open_job = command_line.define_scoring_flags()
_SLICES = flags.DEFINE_list(
    "slices",
    None,
    "Columns by whose values the figures are split; by default those of the "
    "configuration's eval.slices.",
)
_difference = command_line.MaxPredictionDifference("with the figures")
_JSON = flags.DEFINE_bool(
    "json", False, "Print everything as JSON, the reliability diagram's bins included."
)


def main() -> None:
    from smelu_tf.models import evaluation_report, load_logit, update_metrics

    compare_to = _difference.model()
    job = _open_job()
    served = None
    if compare_to:
        served = load_logit(compare_to, job.scorer.schema, "compare_to")
    slices = _slices_of(job)
    num_rows = job.rows.estimated_rows()
    with command_line.ProgressLine("evaluate", num_rows) as progress:
        with job.rows.errors():
            report = evaluation_report(
                job.scorer, job.batches, progress, slices, served
            )
    report["num_bad_rows"] = job.rows.num_bad_rows
    if _JSON.value:
        command_line.show_figures(report, as_json=True)
    else:
        _show(report)
    if job.model_dir is not None:
        update_metrics(job.model_dir, evaluation=report)
    sys.exit(_difference.exit_code({"evaluation": report}))


def _slices_of(job) -> list[str]:
    """The columns of the flag, or those of the model's configuration."""
    from smelu_tf.models import load_config

    if _SLICES.value is not None:
        return list(command_line.items(_SLICES.value))
    if job.model_dir is None:
        return []
    return list(load_config(job.model_dir).eval.slices)


def _show(report) -> None:
    """Prints the overall figures, then a table of each column's slices."""
    parts = ("reliability", "slices")
    overall = {name: value for name, value in report.items() if name not in parts}
    command_line.show_figures(overall, as_json=False)
    for column, slices in report.get("slices", {}).items():
        print()
        command_line.show_table(_rows(column, slices))


def _rows(column, slices) -> list[list[str]]:
    """A table's head and a row for each slice; of long values the beginning."""
    names = ("num_examples", "log_loss", "normalized_entropy", "auc", "calibration")
    rows = [[column, *(name.replace("_", " ") for name in names)]]
    for row in slices:
        value = row["value"] if len(row["value"]) <= 40 else row["value"][:39] + "…"
        figures = [f"{row['num_examples']:,}"]
        figures += ["-" if row[n] is None else f"{row[n]:.4f}" for n in names[1:]]
        rows.append([value, *figures])
    return rows


if __name__ == "__main__":
    command_line.run(main)
