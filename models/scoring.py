"""Models as functions of rows, whether they are in memory, a model_dir or exported."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from smelu_tf.pipelines import Blocks, RowFiles, Schema, Transform, open_rows
from smelu_tf.pipelines.raw_rows import RawColumns
from smelu_tf.pipelines.transform import Features

from .checkpoints import load_model
from .comparison import Logit
from .saved_models import is_saved_model, load_with_schema
from .wide_deep import WideDeep


@dataclasses.dataclass(frozen=True)
class Scorer:
    """A model as a function, whether it comes from a checkpoint or a SavedModel.

    Attributes:
        schema: what its raw columns are.
        transform: raw columns to what `logit` takes.
        logit: to float32 (B,).
        features: what `logit` takes to `Batch.features`.

    Examples:
        >>> scorer = Scorer.load("served/1")
        >>> rows = open_rows("clicks/day_6.tsv")
        >>> batches = rows.batches(scorer.schema, 100, transform=scorer.transform)
        >>> scorer.logit(next(iter(batches)).features).shape
        TensorShape([100])
    """

    schema: Schema
    transform: Callable[[RawColumns], Any]
    logit: Callable[[Any], tf.Tensor]
    features: Callable[[Any], Features] = lambda features: features

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
            own = model.scores(features)
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
        if not is_saved_model(path):
            return cls.of(load_model(path, checkpoint))
        schema, loaded = load_with_schema(path)
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

    Examples:
        >>> job = ScoringJob.open("model", "clicks/day_6.tsv", batch_size=300)
        >>> [len(scores.logit) for scores in predict(job.scorer, job.batches)]
        [300, 300, 300, 100]
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
        is_saved = is_saved_model(Path(model))
        if is_saved and isinstance(rows, Blocks):
            raise ValueError(
                f"{files}: expected row files for an exported model, which takes raw "
                "features, received blocks; the model_dir takes them."
            )
        scorer = Scorer.load(model, checkpoint)
        batches = rows.batches(scorer.schema, batch_size, transform=scorer.transform)
        return cls(scorer, rows, batches, None if is_saved else Path(model))


def load_logit(path: str | os.PathLike[str], schema: Schema, what: str) -> Logit:
    """A model made before, as a function of `Batch.features` to logits, float32 (B,).

    Args:
        path: a model_dir (its newest checkpoint is taken), or an exported SavedModel.
        schema: of the batches.
        what: whose argument the path is, for messages.

    Raises:
        ValueError: there is no such model, its schema is another one, or a SavedModel
            of a version of this package that exported no function of features.

    Examples:
        >>> job = ScoringJob.open("model", "clicks/day_6.tsv")
        >>> served = load_logit("served/1", job.scorer.schema, "compare_to")
        >>> figures = evaluate(job.scorer, job.batches, compare_to=served)
        >>> round(figures["prediction_difference"], 3)
        0.0
    """
    path = Path(path)
    with_schema = path / "assets.extra" if is_saved_model(path) else path
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
    if not is_saved_model(path):
        model = load_model(path)
        return model.scores
    _, loaded = load_with_schema(path)
    if not hasattr(loaded, "score_features"):
        raise ValueError(
            f"{what}: expected a SavedModel that scores features, received {path}, "
            "exported by an earlier version; export its model_dir again."
        )
    # It has to keep the loaded object, which owns the variables.
    return lambda features: loaded.score_features(dict(features))
