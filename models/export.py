"""Export: a SavedModel that scores raw features and needs nothing but TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.pipelines.files import remove_leftovers, replacing, writing

from .checkpoints import load_config, load_metrics, load_model
from .recalibration import Recalibration
from .run_record import recorded_runs
from .serving import ServingModule
from .signature_defs import finish_signatures
from .warmup import can_write_warmup_requests, missing_values, write_warmup_requests
from .wide_deep import WideDeep

# Parts of an evaluation that a model card has no place for.
_TABLES = ("reliability", "slices")


def export_saved_model(
    model: WideDeep,
    directory: str | os.PathLike[str],
    recalibration: Recalibration | None = None,
    card: Mapping[str, Any] | None = None,
    extend: Callable[[Path], Mapping[str, Any]] | None = None,
) -> Path:
    """Writes a model as the next numbered version of a directory.

    Signatures, each giving `probability` and `logit`, float32 (B,), if nothing else is
    said:

    - `serving_default`: every raw column by its name, (B,): float64 with NaN for a
      missing number, string with "" for a missing value. A server takes columns that
      a request leaves out for missing (`SignatureDef.defaults`); in Python all are
      required;
    - `predict_logits`: the same, giving the `logit` alone;
    - `predict_lines`: `lines`, string (B,): text lines without label and weight;
    - `predict_examples`: `examples`, string (B,): serialised `tf.train.Example`s,
      int64 or float and bytes features; an absent one is missing;
    - `regress`, `classify`: the same named `inputs`, as TensorFlow Serving's APIs
      expect: `outputs`, the probability (B,); or `classes`, string (B, 2), and their
      `scores`, float32 (B, 2).

    In `assets.extra` are `schema.json`, `model_card.json` and, where
    tensorflow-serving-api is installed, requests that TensorFlow Serving warms up with.

    The version is written under a temporary name and renamed when it is whole. What an
    export left there that was killed is removed.

    Args:
        model: the model.
        directory: where the versions are: 1, 2, …
        recalibration: of the logits of all signatures; by default they stay.
        card: what the model card says besides: configuration, figures.
        extend: called with the folder of the whole SavedModel before it has its name,
            to add files to `assets.extra`; gives what the card says of them.

    Returns:
        The path of the new version.

    Raises:
        OSError: no space, or no right to write; nothing is left behind.

    Examples:
        >>> from smelu_tf.pipelines import Categorical, Schema
        >>> schema = Schema("ads", (), (Categorical("site", buckets=100),))
        >>> version = export_saved_model(WideDeep(schema, WideDeepConfig()), "ads")
        >>> score = tf.saved_model.load(str(version)).signatures["serving_default"]
        >>> score(site=tf.constant(["a.com", ""]))["probability"].shape
        TensorShape([2])
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    remove_leftovers(directory)
    newest = newest_version(directory)
    target = directory / str(int(newest.name) + 1 if newest else 1)
    module = ServingModule(model, recalibration)
    with replacing(target) as temporary, writing(target):
        signatures = module.signature_functions
        tf.saved_model.save(module, str(temporary), signatures=signatures)
        missing = missing_values(model.schema)
        finish_signatures(
            temporary, {"serving_default": missing, "predict_logits": missing}
        )
        extra = temporary / "assets.extra"
        extra.mkdir()
        (extra / "schema.json").write_text(model.schema.to_json(), encoding="utf-8")
        details = {
            **_details(model, recalibration),
            **(card or {}),
            **(extend(temporary) if extend else {}),
        }
        text = json.dumps(details, indent=2) + "\n"
        (extra / "model_card.json").write_text(text, encoding="utf-8")
        if can_write_warmup_requests():
            write_warmup_requests(temporary, model.schema)
    return target


def export_model_dir(
    model_dir: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    checkpoint: str = "newest",
    compute_dtype: str = "float32",
) -> Path:
    """Writes a checkpoint of a model_dir as the next numbered version of a directory.

    What is written is said at `export_saved_model`; the model card has the run's
    configuration, data and metrics too. `publish` also recalibrates and compares.

    Args:
        model_dir: where the model was trained.
        directory: where the versions are: 1, 2, …
        checkpoint: `newest`, or `best`: of the validations.
        compute_dtype: of the deep part: `float32`, or `bfloat16`, which is faster where
            the processor has instructions for it.

    Returns:
        The path of the new version.

    Raises:
        ValueError: no model_dir there, or no checkpoint in it.
        OSError: no space, or no right to write; nothing is left behind.

    Examples:
        >>> print(export_model_dir("model", "exports"))
        exports/1
        >>> job = ScoringJob.open("exports/1", "clicks/day_6.tsv")
        >>> evaluate(job.scorer, job.batches)["num_examples"]
        1000
    """
    model_dir = Path(model_dir)
    model = load_model(model_dir, checkpoint, compute_dtype)
    return export_saved_model(model, directory, card=card_of(model_dir))


def _details(model: WideDeep, recalibration: Recalibration | None) -> dict[str, Any]:
    """What a model card says of a model itself."""
    return {
        "model": "WideDeep",
        "schema_fingerprint": model.schema.fingerprint(),
        "compute_dtype": model.compute_dtype,
        "recalibration": recalibration and recalibration.to_dict(),
        "versions": {
            "smelu-tf": smelu_tf.__version__,
            "tensorflow": tf.__version__,
            "tf-keras": tf_keras.__version__,
        },
    }


def newest_version(directory: str | os.PathLike[str]) -> Path | None:
    """The version with the largest number in a folder; None where there is none."""
    directory = Path(directory)
    if not directory.is_dir():
        return None
    versions = [path for path in directory.iterdir() if path.name.isdigit()]
    return max(versions, key=lambda path: int(path.name), default=None)


def card_of(model_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """What a model card says of a run: `config`, `data` and `metrics`.

    Raises:
        ValueError: no model_dir there, or a file in it that cannot be read.
    """
    model_dir = Path(model_dir)
    runs = recorded_runs(model_dir)
    metrics = load_metrics(model_dir)
    return {
        "config": dataclasses.asdict(load_config(model_dir)),
        "data": {n: runs[-1][n] for n in ("data", "validation_data")} if runs else None,
        "metrics": {
            name: {k: v for k, v in figures.items() if k not in _TABLES}
            for name, figures in metrics.items()
        },
    }
