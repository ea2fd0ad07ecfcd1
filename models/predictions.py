"""The scores of rows, one after another and as a Parquet file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from smelu_tf.pipelines.extras import importing
from smelu_tf.pipelines.files import replacing

from .metrics import probability
from .scoring import Scorer


class Predictions(NamedTuple):
    """Scores of a batch, in input order: float32 (B,) each. See `predict`.

    Attributes:
        label: 0 or 1.
        probability: of a label of 1.
        logit: its log odds.
    """

    label: np.ndarray
    probability: np.ndarray
    logit: np.ndarray


def predict(scorer: Scorer, dataset: Iterable[Any]) -> Iterator[Predictions]:
    """Scores a dataset of batches, in order.

    Args:
        scorer: the model.
        dataset: `Batch`es whose features went through the scorer's transform.

    Returns:
        An iterator of the scores of each batch.

    Examples:
        >>> job = ScoringJob.open("model", "clicks/day_6.tsv")
        >>> (scores,) = predict(job.scorer, job.batches)
        >>> np.allclose(scores.probability, 1 / (1 + np.exp(-scores.logit)))
        True
    """
    for batch in dataset:
        logit = scorer.logit(batch.features)
        yield Predictions(
            batch.label.numpy(), probability(logit).numpy(), logit.numpy()
        )


def write_predictions(
    path: str | os.PathLike[str],
    predictions: Iterable[Predictions],
    progress: Callable[[int], None] | None = None,
) -> int:
    """Writes predictions as Parquet: row (int64, from 0), label, probability, logit.

    The file is written under a temporary name and renamed when it is whole.

    Args:
        path: the file.
        predictions: as `predict` gives them.
        progress: called after each batch with the rows written so far.

    Returns:
        The number of rows.

    Raises:
        ValueError: there are no rows.
        ImportError: pyarrow is not installed; names the command that installs it.
        OSError: no space, or no right to write.

    Examples:
        >>> job = ScoringJob.open("model", "clicks/day_6.tsv")
        >>> write_predictions("scores.parquet", predict(job.scorer, job.batches))
        1000
    """
    with importing("writing Parquet", "pyarrow", "data"):
        import pyarrow
        import pyarrow.parquet
    fields = [(name, pyarrow.float32()) for name in Predictions._fields]
    columns = pyarrow.schema([("row", pyarrow.int64()), *fields])
    num_rows = 0
    with (
        replacing(path) as temporary,
        pyarrow.parquet.ParquetWriter(temporary, columns) as writer,
    ):
        for chunk in predictions:
            rows = np.arange(num_rows, num_rows + len(chunk.label))
            table = {"row": rows, **chunk._asdict()}
            writer.write_table(pyarrow.table(table, schema=columns))
            num_rows += len(rows)
            if progress is not None:
                progress(num_rows)
        if not num_rows:
            raise ValueError("data: expected rows, received none.")
    return num_rows
