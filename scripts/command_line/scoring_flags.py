"""The flags of scripts that score rows with a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from absl import flags

flags.disclaim_key_flags()  # they are the script's


def define_scoring_flags() -> Callable[[], Any]:
    """Defines the flags of the scripts that score rows with a model.

    Returns:
        A function that opens both once the flags are parsed: a `models.ScoringJob`.
    """
    model = flags.DEFINE_string(
        "model", "demo/model", "A model_dir, or a version of an exported SavedModel."
    )
    data = flags.DEFINE_string(
        "data",
        "demo/data/day_6.tsv",
        "Text, Parquet or TFRecord files; globs, with commas between several. For a "
        "model_dir also a folder of blocks.",
    )
    batch_size = flags.DEFINE_integer(
        "batch_size", 4096, "Rows scored at once.", lower_bound=1
    )
    max_bad_rows = flags.DEFINE_integer(
        "max_bad_rows", 0, "How many rows that do not parse are passed over.", 0
    )
    rejects = flags.DEFINE_string(
        "rejects", "rejects.txt", "The file that the rows passed over are written to."
    )

    checkpoint = define_checkpoint()

    def open_job() -> Any:
        from smelu_tf.models import ScoringJob

        return ScoringJob.open(
            model.value,
            data.value,
            batch_size.value,
            max_bad_rows.value,
            rejects.value,
            checkpoint(),
        )

    return open_job


def define_checkpoint() -> Callable[[], str]:
    """Defines --checkpoint; returns a function that gives its value."""
    flag = flags.DEFINE_enum(
        "checkpoint",
        "newest",
        ["newest", "best"],
        "Of a model_dir: the weights of the newest checkpoint, or those that were best "
        "when the training was validated.",
    )
    return lambda: str(flag.value)
