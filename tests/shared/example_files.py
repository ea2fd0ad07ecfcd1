"""The folder in which the examples of the docstrings are run."""

import contextlib
from pathlib import Path

from smelu_tf.models import (
    PRESETS,
    ScoringJob,
    evaluation_report,
    export_model_dir,
    predict,
    train,
    update_metrics,
    with_seed,
    write_predictions,
)
from smelu_tf.pipelines import CRITEO, complete_schema_from, convert, generate


def prepare(folder: Path) -> None:
    """Makes rows, blocks, a trained model, its export, and two models' predictions.

    They are `clicks/day_0.tsv` … `day_6.tsv` with `clicks/truth.json`, `blocks`,
    `model`, `served/1`, `a.parquet` (of `model`) and `b.parquet` (of another seed).
    """
    with contextlib.chdir(folder):
        generate("clicks", num_rows=7_000)
        days = [f"clicks/day_{day}.tsv" for day in range(6)]
        convert(days, complete_schema_from(days, CRITEO), "blocks")
        for seed, name, output in ((0, "model", "a"), (1, "other", "b")):
            train(with_seed(PRESETS["criteo_small"](), seed), days, name)
            job = ScoringJob.open(name, "clicks/day_6.tsv")
            update_metrics(name, evaluation=evaluation_report(job.scorer, job.batches))
            write_predictions(f"{output}.parquet", predict(job.scorer, job.batches))
        export_model_dir("model", "served")
