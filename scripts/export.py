"""Exports a trained model as the next version of a SavedModel.

It scores raw features by name, serialised tf.train.Examples and raw text lines, and
needs nothing but TensorFlow where it is served.

    python scripts/export.py --model_dir=demo/model --output_dir=demo/export

With rows that no model has seen, the new version is compared with the previous one,
and with bounds it is not published where it breaks one: the exit code is 1 then.

    python scripts/export.py --model_dir=demo/model --output_dir=demo/export \\
        --data=demo/data/day_6.tsv --max_pd=0.05 --max_log_loss_increase=0.001
"""

import sys

from absl import flags

import command_line

_MODEL_DIR = flags.DEFINE_string("model_dir", "demo/model", "The trained model.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "demo/export", "Where the versions 1, 2, … are."
)
_checkpoint = command_line.define_checkpoint()
_COMPUTE_DTYPE = flags.DEFINE_enum(
    "compute_dtype",
    "float32",
    ["float32", "bfloat16"],
    "What the deep part computes in. With --data what bfloat16 changes is told.",
)
_RECALIBRATION = flags.DEFINE_enum(
    "recalibration",
    "none",
    ["none", "platt", "isotonic"],
    "A rising function of the logits, taken from --recalibration_data: scale and shift "
    "(platt), or a table (isotonic; needs SciPy).",
)
_RECALIBRATION_DATA = flags.DEFINE_string(
    "recalibration_data", "", "Rows for --recalibration, others than the trained."
)
_DATA = flags.DEFINE_string(
    "data", "", "Held-out rows to compare versions on: text, Parquet or TFRecord files."
)
_PREVIOUS = flags.DEFINE_string(
    "previous",
    "",
    "What is compared with: a version, a folder of versions, or a model_dir; by "
    "default the newest version in --output_dir, if there is one.",
)
_MAX_PD = flags.DEFINE_float(
    "max_pd",
    None,
    "The prediction difference from the previous version (mean of 2|p-q|/(p+q); 0.05: "
    "5 %) above which nothing is published.",
)
_MAX_LOG_LOSS_INCREASE = flags.DEFINE_float(
    "max_log_loss_increase",
    None,
    "The log loss above the previous version's, in nats, above which nothing is "
    "published; below 0: it has to be lower by so much.",
)
_FORMATS = flags.DEFINE_list(
    "formats",
    "",
    "Files for other runtimes that the version gets besides, in assets.extra: litert, "
    "litert_quantized, onnx (they need the extras of these names). With --data how far "
    "they are from the SavedModel is told.",
)
_JSON = flags.DEFINE_bool("json", False, "Print everything as JSON.")


def main() -> None:
    from smelu_tf.models import (
        PromotionBounds,
        PromotionError,
        PublishOptions,
        publish,
    )

    options = PublishOptions(
        checkpoint=_checkpoint(),
        compute_dtype=_COMPUTE_DTYPE.value,
        recalibration=_RECALIBRATION.value,
        recalibration_data=_RECALIBRATION_DATA.value,
        data=_DATA.value,
        previous=_PREVIOUS.value,
        bounds=PromotionBounds(_MAX_PD.value, _MAX_LOG_LOSS_INCREASE.value),
        formats=command_line.items(_FORMATS.value),
    )
    try:
        published = publish(
            _MODEL_DIR.value, _OUTPUT_DIR.value, options, command_line.ProgressLine
        )
    except PromotionError as error:
        command_line.complain(f"{error} Nothing is published.")
        sys.exit(1)
    if _JSON.value:
        command_line.show_figures(published.figures(), as_json=True)
        return
    print(published.version)
    for name, report in published.comparisons.items():
        _show(name, report)


def _show(name: str, report) -> None:
    """Prints the figures of both versions side by side, and how far they are apart."""
    print()
    # A format's file is compared with the version, the version with all else.
    is_other = name in ("previous", "float32")
    rows = [["", "new", name] if is_other else ["", name, "SavedModel"]]
    for figure in ("log_loss", "auc", "calibration"):
        values = (report.candidate[figure], report.previous[figure])
        texts = ["-" if value is None else f"{value:.5f}" for value in values]
        rows.append([figure.replace("_", " "), *texts])
    command_line.show_table(rows)
    print(
        f"prediction difference {report.prediction_difference:.5f}, log loss "
        f"{report.log_loss_increase:+.5f} ± {report.log_loss_increase_error:.5f}, "
        f"{report.num_examples:,} rows"
    )


if __name__ == "__main__":
    command_line.run(main)
