"""How far the predictions of several models are apart, from the files of predict.py.

The files are of the same rows, one a model: two or more. With three models or more
there are 95 % intervals, by a bootstrap over models. Figures are fractions, not
percent. It needs the extra `data` (pyarrow).

    python scripts/predict.py --model=demo/model --output=demo/predictions_0.parquet
    python scripts/predict.py --model=demo/compared/smelu_1 \\
        --output=demo/predictions_1.parquet
    python scripts/prediction_difference.py demo/predictions_[01].parquet
    python scripts/prediction_difference.py demo/smelu_*.parquet \\
        --reference_files='demo/relu_*.parquet'
"""

from absl import flags

import command_line

_KINDS = flags.DEFINE_list(
    "kinds",
    "relative,absolute,logit",
    "Kinds of difference: relative, absolute, euclidean, squared, logit, hamming. "
    "Slices are of the first.",
)
_THRESHOLD = flags.DEFINE_float(
    "threshold",
    None,
    "Of the kind hamming: the probability above which a click is predicted; 0.5 where "
    "it is not given.",
)
_NUM_SLICES = flags.DEFINE_integer(
    "num_slices",
    10,
    "Slices of equally many rows by the models' mean probability; 0 is none.",
    0,
)
_LABELS = flags.DEFINE_bool("labels", False, "Also slices of clicks and of others.")
_REFERENCE_FILES = flags.DEFINE_string(
    "reference_files",
    None,
    "Files of other models (with ReLU, say) on the same rows, whose prediction "
    "difference is divided by; globs, with commas between several.",
)
_JSON = flags.DEFINE_bool("json", False, "Print everything as JSON.")


def main(*paths: str) -> None:
    from smelu_tf.models import difference_report, read_prediction_files
    from smelu_tf.pipelines import expand_files

    files = read_prediction_files(expand_files(paths))
    reference = None
    if _REFERENCE_FILES.value is not None:
        reference = read_prediction_files(expand_files(_REFERENCE_FILES.value))
    report = difference_report(
        files,
        command_line.items(_KINDS.value),
        threshold=_THRESHOLD.value,
        num_slices=_NUM_SLICES.value,
        by_label=_LABELS.value,
        reference=reference,
    )
    if _JSON.value:
        command_line.show_figures(report, as_json=True)
    else:
        _show(report)


def _show(report) -> None:
    """Prints the figures of the models, of the reference, the ratios and the slices."""
    _show_models(report)
    if "reference" in report:
        print("\nreference:", end=" ")
        _show_models(report["reference"])
        print()
        rows = [["ratio", "estimate", "95% interval"]]
        for kind, ratio in report["ratios"].items():
            rows.append([kind, f"{ratio['estimate']:.4g}", _range(ratio)])
        command_line.show_table(rows)
    kind = next(iter(report["kinds"]))
    for column, slices in report["slices"].items():
        print()
        rows = [[column, "rows", "mean prediction", kind, "95% interval"]]
        for part in slices:
            figures = (part["mean_prediction"], part["mean"])
            row = [part["name"], f"{part['num_examples']:,}"]
            rows.append(
                row + [f"{x:.4g}" for x in figures] + [_range(part["interval"])]
            )
        command_line.show_table(rows)


def _show_models(report) -> None:
    """Prints how many models there are, and a line for each kind of difference."""
    losses = report["log_losses"]
    print(
        f"{report['num_models']} models, {report['num_examples']:,} rows, log loss "
        f"{sum(losses) / len(losses):.4f} ({min(losses):.4f} to {max(losses):.4f})\n"
    )
    quantiles = next(iter(report["kinds"].values()))["quantiles"]
    rows = [["kind", "mean", "95% interval", *quantiles]]
    for kind, figures in report["kinds"].items():
        values = [f"{x:.4g}" for x in figures["quantiles"].values()]
        rows.append(
            [kind, f"{figures['mean']:.4g}", _range(figures["interval"]), *values]
        )
    command_line.show_table(rows)


def _range(interval) -> str:
    if interval is None or interval["low"] is None:
        return "-"
    return f"{interval['low']:.4g} to {interval['high']:.4g}"


if __name__ == "__main__":
    command_line.run(main, words="prediction files, two or more")
