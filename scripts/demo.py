"""The main job from end to end, on generated data: `make demo`.

Generates Criteo-like rows; trains the wide-and-deep model with SmeLU on the first six
days, each batch predicted before it is learned; evaluates on the last day; exports;
then a process that has only TensorFlow loads the SavedModel and scores raw lines. For
comparison the same with ReLU, each activation from two seeds, and the wide part
alone. Everything is written to demo/; what an earlier demo left there is removed.
"""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import time
from pathlib import Path
from typing import Any

from absl import flags

import command_line
import isolation

_OUTPUT_DIR = flags.DEFINE_string("output_dir", "demo", "Where everything goes.")
_NUM_ROWS = flags.DEFINE_integer("num_rows", 400_000, "Rows to generate.")
_MAX_LINES = 10_000  # raw lines that the other process scores


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained model's figures on the last day, and its predictions there."""

    figures: dict[str, Any]
    rows_per_second: float
    probability: Any
    logit: Any


def main() -> None:
    start = time.monotonic()
    root = Path(_OUTPUT_DIR.value)
    for name in ("data", "model", "compared", "export", "tensorflow_only"):
        shutil.rmtree(root / name, ignore_errors=True)
    truth = generate(root / "data")
    smelu = train_and_evaluate(root, root / "model", "smelu:1", seed=0)
    version, num_lines, difference = export_and_score(root, smelu)
    compared = root / "compared"
    smelu_1 = train_and_evaluate(root, compared / "smelu_1", "smelu:1", seed=1)
    relu = train_and_evaluate(root, compared / "relu_0", "relu", seed=0)
    relu_1 = train_and_evaluate(root, compared / "relu_1", "relu", seed=1)
    wide = train_and_evaluate(root, compared / "wide", "relu", seed=0, deep=False)
    print_table(truth, smelu, relu, wide, pd(smelu, smelu_1), pd(relu, relu_1))
    print(
        f"\nServing: {version} scored {num_lines:,} raw lines in a process that has "
        f"only TensorFlow;\nlargest relative difference to the model's own "
        f"probabilities {difference:.1e}.\n"
        f"The whole demo took {time.monotonic() - start:.0f} s."
    )


def generate(folder: Path) -> Any:
    """Generates the rows; returns the last day's true figures."""
    from smelu_tf.pipelines import generate

    with command_line.ProgressLine("generate", _NUM_ROWS.value) as progress:
        report = generate(folder, num_rows=_NUM_ROWS.value, progress=progress)
    return report.days[-1]


def train_and_evaluate(
    root: Path, model_dir: Path, activation: str, seed: int, deep: bool = True
) -> Run:
    """Trains on the first six days and evaluates on the last."""
    import numpy as np

    from smelu_tf.models import (
        PRESETS,
        ScoringJob,
        evaluation_report,
        predict,
        train,
        update_metrics,
    )
    from smelu_tf.pipelines import estimate_num_rows, expand_files

    config = PRESETS["criteo_small"]()
    first_schema = root / "model" / "schema.json"
    if not deep:  # alone, the wide part learns best at twice its usual rate
        optimizer = dataclasses.replace(config.optimizer, wide_learning_rate=0.1)
        config = dataclasses.replace(config, optimizer=optimizer)
    config = dataclasses.replace(
        config,
        # The vocabularies are counted once, by the first run.
        data=dataclasses.replace(
            config.data,
            schema=str(first_schema) if first_schema.exists() else "criteo",
        ),
        model=dataclasses.replace(config.model, activation=activation, deep=deep),
        train=dataclasses.replace(config.train, seed=seed),
    )
    files = expand_files(str(root / "data" / "day_[0-5].tsv"))
    what = f"train {activation}, seed {seed}" if deep else "train wide only"
    with command_line.ProgressLine(what, estimate_num_rows(files)) as progress:
        result = train(config, files, model_dir, progress=progress)
    job = ScoringJob.open(model_dir, root / "data" / "day_6.tsv")
    figures = evaluation_report(job.scorer, job.batches)
    update_metrics(model_dir, evaluation=figures)
    chunks = list(predict(job.scorer, job.batches))
    return Run(
        figures,
        result.rows_per_second or 0.0,
        np.concatenate([chunk.probability for chunk in chunks]),
        np.concatenate([chunk.logit for chunk in chunks]),
    )


def export_and_score(root: Path, run: Run) -> tuple[Path, int, float]:
    """Exports the model and has another process score the last day's raw lines.

    Returns:
        The version's path, the number of lines, and the largest relative difference of
        a probability.
    """
    import numpy as np

    from smelu_tf.models import export_model_dir

    version = export_model_dir(root / "model", root / "export")
    with open(root / "data" / "day_6.tsv", "rb") as file:
        lines = [
            line.partition(b"\t")[2] for line in itertools.islice(file, _MAX_LINES)
        ]
    script = Path(__file__).with_name("score_lines.py")
    output = isolation.run_with_tensorflow_only(
        root / "tensorflow_only", [str(script), str(version)], b"".join(lines)
    )
    served = np.array([line.split() for line in output.splitlines()], np.float64)
    own = run.probability[: len(served)].astype(np.float64)
    return version, len(served), float(np.max(np.abs(served[:, 0] - own) / own))


def pd(run: Run, other: Run) -> float:
    """The relative prediction difference of two runs."""
    import numpy as np

    import smelu_tf

    return smelu_tf.prediction_difference(
        np.stack([run.probability, other.probability])
    )


def print_table(
    truth: Any, smelu: Run, relu: Run, wide: Run, smelu_pd: float, relu_pd: float
) -> None:
    """Prints the figures of the last day side by side."""
    columns = [smelu.figures, relu.figures, wide.figures, dataclasses.asdict(truth)]
    print(f"\n{'last day, one pass':<28}{'SmeLU':>10}{'ReLU':>10}", end="")
    print(f"{'wide only':>11}{'Bayes-optimal':>15}")
    rows = {
        "log loss": [f"{figures['log_loss']:.4f}" for figures in columns],
        "AUC": [f"{figures['auc']:.4f}" for figures in columns],
        "normalised entropy": [
            f"{figures['normalized_entropy']:.4f}" for figures in columns
        ],
        "calibration": [f"{figures['calibration']:.3f}" for figures in columns],
        "prediction difference, seeds": [f"{smelu_pd:.1%}", f"{relu_pd:.1%}", "-", "-"],
        "training, rows/s": [
            *(f"{run.rows_per_second:,.0f}" for run in (smelu, relu, wide)),
            "-",
        ],
    }
    for name, (a, b, c, d) in rows.items():
        print(f"{name:<28}{a:>10}{b:>10}{c:>11}{d:>15}")


if __name__ == "__main__":
    command_line.run(main)
