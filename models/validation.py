"""The validation of a model in training: the rows held out, and its figures on them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import tensorflow as tf

from smelu_tf.pipelines import Blocks, RowFiles, open_rows

from .comparison import Logit
from .config import DataConfig, EvalConfig
from .evaluation import evaluate
from .metrics import Figures
from .scoring import Scorer
from .strategies import outside_scope

_BETTER = {"log_loss": -1, "normalized_entropy": -1, "auc": 1, "pr_auc": 1}


def split_rows(
    rows: RowFiles | Blocks,
    validation_files: str | os.PathLike[str] | Sequence[str],
    config: DataConfig,
) -> tuple[RowFiles | Blocks, RowFiles | Blocks | None]:
    """The rows to train on, and those to validate on.

    Args:
        rows: all that are given to train on.
        validation_files: files to validate on; empty: none.
        config: what is held out without them.

    Raises:
        ValueError: a part of rows that are shuffled, or beside files of their own; or
            files of which one is missing or empty.
    """
    fraction = config.validation_fraction
    if validation_files:
        if fraction:
            raise ValueError(
                "data.validation_fraction: expected 0 with validation files, "
                f"received {fraction}."
            )
        return rows, open_rows(validation_files)
    if fraction:
        if config.shuffle:
            raise ValueError(
                "data.validation_fraction: expected 0 with data.shuffle (validation "
                f"files may be given instead), received {fraction}."
            )
        return rows.split(fraction)
    return rows, None


class Validation:
    """A model's figures on the rows held out, whatever its weights are at a time.

    Args:
        rows: where they are.
        scorer: the model.
        config: how it is evaluated.
        served: another model that it is compared with, if any.
    """

    def __init__(
        self,
        rows: RowFiles | Blocks,
        scorer: Scorer,
        config: EvalConfig,
        served: Logit | None,
    ) -> None:
        self._rows = rows
        self._scorer = scorer
        self._config = config
        self._served = served and tf.function(served, reduce_retracing=True)
        self._batches: tf.data.Dataset | None = None

    def figures(self) -> Figures:
        """The figures with the weights that the model has now; see `evaluate`."""
        with self._rows.errors():
            if self._batches is None:
                self._batches = self._rows.batches(
                    self._scorer.schema,
                    self._config.batch_size,
                    transform=self._scorer.transform,
                )
            return outside_scope(
                evaluate, self._scorer, self._batches, compare_to=self._served
            )

    def merit(self, figures: Figures) -> float | None:
        """What the best figures have the most of; None where it is undetermined."""
        name = self._config.best_metric
        value = figures[name]
        return None if value is None else _BETTER[name] * float(value)
