"""Draws a training run: its course, its reliability and its slices.

    python scripts/draw_training.py --model_dir=demo/model

Of progress.jsonl: progress.png, log loss and normalised entropy over the rows. Of the
evaluation in metrics.json, if there is one: reliability.png; and slices.png, the
calibration of each slice, if it was made with slices (scripts/evaluate.py
--slices=C1,I3). Needs matplotlib.
"""

from absl import flags

import command_line

_MODEL_DIR = flags.DEFINE_string("model_dir", "demo/model", "The model_dir of the run.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    "",
    "The folder that the figures are written to; by default plots in the model_dir.",
)


def main() -> None:
    from pathlib import Path

    from figures import training

    from smelu_tf.models import load_metrics

    model_dir = Path(_MODEL_DIR.value)
    lines = training.read_progress(model_dir / "progress.jsonl")
    evaluation = load_metrics(model_dir).get("evaluation", {})
    folder = Path(_OUTPUT_DIR.value or model_dir / "plots")
    folder.mkdir(parents=True, exist_ok=True)
    training.draw_progress(lines, folder / "progress.png")
    print(f"wrote {folder / 'progress.png'}")
    if evaluation.get("reliability"):
        training.draw_reliability(evaluation, folder / "reliability.png")
        print(f"wrote {folder / 'reliability.png'}")
    if evaluation.get("slices"):
        training.draw_slices(evaluation["slices"], folder / "slices.png")
        print(f"wrote {folder / 'slices.png'}")


if __name__ == "__main__":
    command_line.run(main)
