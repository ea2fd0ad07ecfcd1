"""Scoring data with a trained or an exported model."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import Blocks, RowFiles, Schema, Transform, open_rows
from smelu_tf.pipelines.dataclass_json import load_json
from smelu_tf.pipelines.files import reason_of, replacing
from smelu_tf.pipelines.raw_rows import feature_specs

from .checkpoints import load_model
from .comparison import Comparison, Logit
from .metrics import BinaryCounts, BinaryMetrics, Figures, probability
from .reliability import calibration_error, reliability
from .slices import Slices
from .wide_deep import WideDeep

RawColumns = Mapping[str, tf.Tensor]
Progress = Callable[[int, float], None]
"""Called after each batch with the rows seen so far and the log loss over them."""


@dataclasses.dataclass(frozen=True)
class Scorer:
    """A model as a function, whether it comes from a checkpoint or a SavedModel.

    Attributes:
        schema: what its raw columns are.
        transform: raw columns to what `logit` takes.
        logit: to float32 (B,).
        features: what `logit` takes to `Batch.features`.
    """

    schema: Schema
    transform: Callable[[RawColumns], Any]
    logit: Callable[[Any], tf.Tensor]
    features: Callable[[Any], Mapping[str, tf.Tensor]] = lambda features: features

    @classmethod
    def of(
        cls,
        model: WideDeep,
        recalibrated: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> Scorer:
        """The scorer of a model in memory.

        Args:
            model: the model.
            recalibrated: maps its logits (B,) to those that are served; by default they
                stay.
        """

        @tf.function(reduce_retracing=True)
        def logit(features: Any) -> tf.Tensor:
            own = tf.reshape(model(features, training=False), [-1])
            return own if recalibrated is None else recalibrated(own)

        return cls(model.schema, model.transform, logit)

    @classmethod
    def load(cls, path: str | os.PathLike[str], checkpoint: str = "newest") -> Scorer:
        """The scorer of a model_dir or of an exported SavedModel.

        Args:
            path: where.
            checkpoint: of a model_dir: `newest`, or `best`: of the validations.

        Raises:
            ValueError: it is neither, a SavedModel of another package or a damaged one,
                or a model_dir without such a checkpoint.
        """
        path = Path(path)
        if not _is_saved_model(path):
            return cls.of(load_model(path, checkpoint))
        schema, loaded = _load_saved_model(path)
        signature = loaded.signatures["serving_default"]
        names = [column.name for column in schema.columns]

        def logit(raw: RawColumns, owner: Any = loaded) -> tf.Tensor:
            # A signature does not keep the object alive that owns its variables,
            # so the default argument does.
            return signature(**raw)["logit"]

        # Made when it is first needed: the vocabularies' tables may be large.
        transform = functools.cache(lambda: Transform(schema))
        return cls(
            schema,
            lambda raw: {name: raw[name] for name in names},
            logit,
            features=lambda raw: transform()(raw),
        )


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
        checkpoint: str = "newest",
    ) -> ScoringJob:
        """Opens a model and its rows.

        Args:
            model: a model_dir or a SavedModel.
            files: paths or glob patterns of row files; or, for a model_dir, a folder of
                blocks of the model's schema.
            batch_size: rows a batch; the last one may have fewer.
            max_bad_rows: how many rows that do not parse are passed over.
            rejects: the file that they are written to.
            checkpoint: of a model_dir: `newest`, or `best`: of the validations.

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
        scorer = Scorer.load(model, checkpoint)
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


def load_logit(path: str | os.PathLike[str], schema: Schema, what: str) -> Logit:
    """A model made before, as a function of `Batch.features` to logits, float32 (B,).

    Args:
        path: a model_dir (its newest checkpoint is taken), or an exported SavedModel.
        schema: of the batches.
        what: whose argument the path is, for messages.

    Raises:
        ValueError: there is no such model, its schema is another one, or a SavedModel
            of a version of this package that exported no function of features.
    """
    path = Path(path)
    with_schema = path / "assets.extra" if _is_saved_model(path) else path
    if not (with_schema / "schema.json").exists():
        raise ValueError(
            f"{what}: expected a model_dir or a SavedModel of smelu-tf, received "
            f"{path}, which has no {(with_schema / 'schema.json').relative_to(path)}."
        )
    difference = schema.difference(Schema.load(with_schema / "schema.json"))
    if difference:
        raise ValueError(
            f"{what}: expected a model of these rows' schema, received {path}, whose "
            f"schema differs in {difference}. With data.schema={with_schema}/"
            "schema.json rows are read by that one, its vocabularies included."
        )
    if not _is_saved_model(path):
        model = load_model(path)
        return lambda features: tf.reshape(model(features, training=False), [-1])
    _, loaded = _load_saved_model(path)
    if not hasattr(loaded, "score_features"):
        raise ValueError(
            f"{what}: expected a SavedModel that scores features, received {path}, "
            "exported by an earlier version; export its model_dir again."
        )
    # It has to keep the loaded object, which owns the variables.
    return lambda features: loaded.score_features(dict(features))


def evaluate(
    scorer: Scorer,
    dataset: Iterable[Any],
    progress: Progress | None = None,
    compare_to: Logit | None = None,
) -> Figures:
    """The figures of a model on a dataset of batches; see `BinaryMetrics`.

    No row is lost or counted twice: the last batch may have any size.

    Args:
        scorer: the model.
        dataset: `Batch`es whose features went through the scorer's transform.
        progress: see `Progress`.
        compare_to: another model, as `load_logit` gives it, from which the prediction
            difference is taken as well; see `comparison.DifferenceCounts`.

    Raises:
        ValueError: the dataset has no rows.
    """
    comparison = None if compare_to is None else Comparison(compare_to)
    figures = _count(scorer, dataset, progress, None, comparison).figures()
    return figures | _differences(comparison)


def evaluation_report(
    scorer: Scorer,
    dataset: Iterable[Any],
    progress: Progress | None = None,
    slices: Iterable[str] = (),
    compare_to: Logit | None = None,
) -> dict[str, Any]:
    """All that is to be said of a model on a dataset, ready for JSON.

    Args:
        scorer: the model.
        dataset: as in `evaluate`.
        progress: see `Progress`.
        slices: names of columns by whose values the figures are split; see `Slices`.
        compare_to: as in `evaluate`.

    Returns:
        The figures of `evaluate`, and with them `calibration_error`; `reliability`, a
        list of the fields of `ReliabilityBin`; and if there are `slices`, of each
        column a list of its slices: `value` and figures.

    Raises:
        ValueError: the dataset has no rows, or an unknown column.

    Example:
        >>> job = ScoringJob.open("demo/model", "demo/data/day_6.tsv")
        >>> report = evaluation_report(job.scorer, job.batches, slices=["C1"])
        >>> [row["value"] for row in report["slices"]["C1"]][:2]
        ['05db9164', 'unknown']
    """
    slices = tuple(slices)
    sliced = Slices(scorer.schema, slices) if slices else None
    comparison = None if compare_to is None else Comparison(compare_to)
    counts = _count(scorer, dataset, progress, sliced, comparison)
    bins = reliability(counts)
    report: dict[str, Any] = {
        **counts.figures(),
        **_differences(comparison),
        "calibration_error": calibration_error(bins),
        "reliability": [dataclasses.asdict(row) for row in bins],
    }
    return report if sliced is None else {**report, "slices": sliced.figures()}


def _count(
    scorer: Scorer,
    dataset: Iterable[Any],
    progress: Progress | None,
    slices: Slices | None = None,
    comparison: Comparison | None = None,
) -> BinaryCounts:
    """Counts all rows of a dataset, in slices too and differences if wanted."""
    metrics = BinaryMetrics()
    for batch in dataset:
        logit = scorer.logit(batch.features)
        metrics.update_state(batch.label, logit, batch.weight)
        if slices is not None or comparison is not None:
            features = scorer.features(batch.features)
        if slices is not None:
            slices.update(features, batch.label, logit, batch.weight)
        if comparison is not None:
            comparison.update(features, logit, batch.weight)
        if progress is not None:
            progress(int(metrics.num_examples), float(metrics.log_loss))
    counts = metrics.counts()
    if not counts.num_examples:
        raise ValueError("data: expected rows, received none.")
    return counts


def _differences(comparison: Comparison | None) -> Figures:
    return {} if comparison is None else comparison.differences.counts().figures()


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
    """Whether a path is an export, even a damaged one."""
    return any((path / name).exists() for name in ("saved_model.pb", "assets.extra"))


def _load_saved_model(path: Path) -> tuple[Schema, Any]:
    """The schema of an export, and the loaded object.

    Raises:
        ValueError: a part is missing, cannot be read or belongs to another model.
    """
    extra = path / "assets.extra"
    if not (extra / "schema.json").exists():
        raise ValueError(
            f"{path}: expected a SavedModel of smelu-tf, received one without "
            "assets.extra/schema.json."
        )
    schema = Schema.load(extra / "schema.json")
    try:
        loaded = tf.saved_model.load(str(path))
        inputs = loaded.signatures["serving_default"].structured_input_signature[1]
    except Exception as error:  # TensorFlow has none for what may be wrong in a graph
        raise ValueError(
            f"{path}: expected a SavedModel, received one that cannot be read: "
            f"{reason_of(error)}"
        ) from None
    taken = {name: spec.dtype for name, spec in inputs.items()}
    own = {name: spec.dtype for name, spec in feature_specs(schema).items()}
    card = extra / "model_card.json"
    said = load_json(card, dict) if card.exists() else {}
    fingerprint = schema.fingerprint()
    if taken != own or said.get("schema_fingerprint", fingerprint) != fingerprint:
        raise ValueError(
            f"{extra / 'schema.json'}: expected the schema that the model was exported "
            f"with, received another one ({schema.name})."
        )
    return schema, loaded
