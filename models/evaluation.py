"""Scoring data with a trained or an exported model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import Blocks, RowFiles, Schema, open_rows
from smelu_tf.pipelines.files import reading, replacing

from .checkpoints import load_model
from .metrics import BinaryMetrics, probability
from .wide_deep import WideDeep

RawColumns = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Scorer:
    """A model as a function, whether it comes from a checkpoint or a SavedModel.

    Attributes:
        schema: what its raw columns are.
        transform: raw columns to what `logit` takes.
        logit: to float32 (B,).
    """

    schema: Schema
    transform: Callable[[RawColumns], Any]
    logit: Callable[[Any], tf.Tensor]

    @classmethod
    def of(cls, model: WideDeep) -> Scorer:
        """The scorer of a model in memory."""

        @tf.function(reduce_retracing=True)
        def logit(features: Any) -> tf.Tensor:
            return tf.reshape(model(features, training=False), [-1])

        return cls(model.schema, model.transform, logit)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Scorer:
        """The scorer of a model_dir or of an exported SavedModel.

        Raises:
            ValueError: it is neither, or a SavedModel of another package.
        """
        path = Path(path)
        if not _is_saved_model(path):
            return cls.of(load_model(path))
        schema_path = path / "assets.extra" / "schema.json"
        if not schema_path.exists():
            raise ValueError(
                f"{path}: expected a SavedModel of smelu-tf, received one without "
                "assets.extra/schema.json."
            )
        schema = Schema.load(schema_path)
        with reading(path, "a SavedModel"):
            loaded = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
        names = [column.name for column in schema.columns]

        def logit(raw: RawColumns, owner: Any = loaded) -> tf.Tensor:
            # A signature does not keep the object alive that owns its variables,
            # so the default argument does.
            return signature(**raw)["logit"]

        return cls(schema, lambda raw: {name: raw[name] for name in names}, logit)


@dataclasses.dataclass(frozen=True)
class ScoringJob:
    """A model and the rows that it is to score.

    Attributes:
        scorer: the model.
        rows: where they are.
        batches: the rows, their features gone through the scorer's transform.
        model_dir: where the model came from; None for a SavedModel.
    """

    scorer: Scorer
    rows: RowFiles | Blocks
    batches: tf.data.Dataset
    model_dir: Path | None

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str],
        files: str | os.PathLike[str] | Sequence[str],
        batch_size: int = 4096,
        max_bad_rows: int = 0,
        rejects: str | os.PathLike[str] | None = None,
    ) -> ScoringJob:
        """Opens a model and its rows.

        Args:
            model: a model_dir or a SavedModel.
            files: paths or glob patterns of row files; or, for a model_dir, a folder of
                blocks of the model's schema.
            batch_size: rows a batch; the last one may have fewer.
            max_bad_rows: how many rows that do not parse are passed over.
            rejects: the file that they are written to.

        Raises:
            ValueError: a missing or empty file, blocks of another schema or for a
                SavedModel, or no model there.
        """
        rows = open_rows(files, max_bad_rows, Path(rejects) if rejects else None)
        is_saved = _is_saved_model(Path(model))
        if is_saved and isinstance(rows, Blocks):
            raise ValueError(
                f"{files}: expected row files for an exported model, which takes raw "
                "features, received blocks; the model_dir takes them."
            )
        scorer = Scorer.load(model)
        batches = rows.batches(scorer.schema, batch_size, transform=scorer.transform)
        return cls(scorer, rows, batches, None if is_saved else Path(model))


class Predictions(NamedTuple):
    """Scores of a batch, in input order: float32 (B,) each.

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
    """
    for batch in dataset:
        logit = scorer.logit(batch.features)
        yield Predictions(
            batch.label.numpy(), probability(logit).numpy(), logit.numpy()
        )


def evaluate(
    scorer: Scorer,
    dataset: Iterable[Any],
    progress: Callable[[int, float], None] | None = None,
) -> dict[str, float | int | None]:
    """The figures of a model on a dataset of batches; see `BinaryMetrics`.

    No row is lost or counted twice: the last batch may have any size.

    Raises:
        ValueError: the dataset has no rows.
    """
    metrics = BinaryMetrics()
    for batch in dataset:
        metrics.update_state(batch.label, scorer.logit(batch.features), batch.weight)
        if progress is not None:
            progress(int(metrics.num_examples), float(metrics.log_loss))
    figures = metrics.figures()
    if not figures["num_examples"]:
        raise ValueError("data: expected rows, received none.")
    return figures


def write_predictions(
    path: str | os.PathLike[str],
    predictions: Iterable[Predictions],
    progress: Callable[[int], None] | None = None,
) -> int:
    """Writes predictions as Parquet: row (int64, from 0), label, probability, logit.

    The file is written under a temporary name and renamed when it is whole.

    Returns:
        The number of rows.

    Raises:
        ValueError: there are no rows.
        ImportError: pyarrow is not installed; names the command that installs it.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            "writing Parquet: expected the package pyarrow, received none; "
            "pip install 'smelu-tf[data]'"
        ) from None
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


def _is_saved_model(path: Path) -> bool:
    return (path / "saved_model.pb").exists()
