"""Export: a SavedModel that scores raw features and needs nothing but TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.pipelines.files import replacing, writing

from .checkpoints import load_config, load_metrics, load_model
from .serving import ServingModule
from .wide_deep import WideDeep

# Parts of an evaluation that a model card has no place for.
_TABLES = ("reliability", "slices")


def export_saved_model(
    model: WideDeep,
    directory: str | os.PathLike[str],
    *,
    metrics: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a model as the next numbered version of a directory.

    Signatures, each giving `probability` and `logit`, float32 (B,):

    - `serving_default`: every raw column by its name, (B,): float64 with NaN for a
      missing number, string with "" for a missing value;
    - `predict_lines`: `lines`, string (B,): text lines without label and weight;
    - `predict_examples`: `examples`, string (B,): serialised `tf.train.Example`s,
      int64 or float and bytes features; an absent one is missing.

    The version is written under a temporary name and renamed when it is whole.

    Args:
        model: the model.
        directory: where the versions are: 1, 2, …
        metrics: figures for the model card.
        config: the run's configuration for the model card.

    Returns:
        The path of the new version.

    Raises:
        OSError: no space, or no right to write; nothing is left behind.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    versions = [int(p.name) for p in directory.iterdir() if p.name.isdigit()]
    target = directory / str(max(versions, default=0) + 1)
    module = ServingModule(model)
    with replacing(target) as temporary:
        with writing(target):
            tf.saved_model.save(
                module, str(temporary), signatures=module.signature_functions
            )
        extra = temporary / "assets.extra"
        extra.mkdir()
        (extra / "schema.json").write_text(model.schema.to_json(), encoding="utf-8")
        card = {
            "model": "WideDeep",
            "schema_fingerprint": model.schema.fingerprint(),
            "config": config,
            "metrics": metrics,
            "versions": {
                "smelu-tf": smelu_tf.__version__,
                "tensorflow": tf.__version__,
                "tf-keras": tf_keras.__version__,
            },
        }
        text = json.dumps(card, indent=2) + "\n"
        (extra / "model_card.json").write_text(text, encoding="utf-8")
    return target


def export_model_dir(
    model_dir: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    checkpoint: str = "newest",
) -> Path:
    """Exports a checkpoint of a model_dir; see `export_saved_model`.

    Args:
        model_dir: where.
        directory: where the versions are.
        checkpoint: `newest`, or `best`: of the validations.

    Raises:
        ValueError: no model_dir there, or no checkpoint in it.
        OSError: no space, or no right to write; nothing is left behind.
    """
    model_dir = Path(model_dir)
    model = load_model(model_dir, checkpoint)
    return export_saved_model(
        model,
        directory,
        metrics={
            name: {k: v for k, v in figures.items() if k not in _TABLES}
            for name, figures in load_metrics(model_dir).items()
        },
        config=dataclasses.asdict(load_config(model_dir)),
    )
