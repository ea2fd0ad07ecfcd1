"""The model_dir: what a run leaves behind, and how it is found again."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from smelu_tf.pipelines import SCHEMAS, Schema, replacing

from .config import TrainConfig
from .wide_deep import WideDeep


def resolve_schema(name: str) -> Schema:
    """The schema of a preset's name or of a JSON file."""
    if name in SCHEMAS:
        return SCHEMAS[name]
    if not os.path.isfile(name):
        raise ValueError(
            f"data.schema: expected a preset ({', '.join(SCHEMAS)}) or the path of a "
            f"schema's JSON file, received {name!r}."
        )
    return Schema.load(name)


def open_model_dir(model_dir: Path, config: TrainConfig, schema: Schema) -> None:
    """Makes a model_dir, or checks that it is this run's.

    Raises:
        ValueError: it holds a run of another configuration or another schema, or
            other files; says which value differs.
    """
    if (model_dir / "config.json").exists():
        theirs = _flat(dataclasses.asdict(TrainConfig.load(model_dir / "config.json")))
        for key, ours in _flat(dataclasses.asdict(config)).items():
            if theirs[key] != ours:
                raise ValueError(
                    f"{model_dir}: expected a model_dir of this configuration, "
                    f"received another model's ({key} is {theirs[key]!r} there, "
                    f"{ours!r} here); choose another model_dir."
                )
        received = Schema.load(model_dir / "schema.json").fingerprint()
        if received != schema.fingerprint():
            raise ValueError(
                f"{model_dir}: expected a model of schema {schema.fingerprint()}, "
                f"received {received}: other columns, or vocabularies counted on other "
                "data; choose another model_dir."
            )
        return
    if model_dir.exists() and (not model_dir.is_dir() or any(model_dir.iterdir())):
        raise ValueError(
            f"{model_dir}: expected a new or empty folder or a model_dir, "
            "received something else (no config.json)."
        )
    model_dir.mkdir(parents=True, exist_ok=True)
    _write_whole(model_dir / "schema.json", schema.to_json())
    _write_whole(model_dir / "config.json", config.to_json())


def load_metrics(model_dir: Path) -> dict[str, Any]:
    """What metrics.json holds; nothing where there is none yet."""
    path = model_dir / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def update_metrics(model_dir: Path, **sections: Mapping[str, Any]) -> None:
    """Writes sections (`progressive`, `evaluation`) into metrics.json."""
    metrics = load_metrics(model_dir)
    text = json.dumps({**metrics, **sections}, indent=2) + "\n"
    _write_whole(model_dir / "metrics.json", text)


def load_config(model_dir: Path) -> TrainConfig:
    """The configuration of a model_dir."""
    path = model_dir / "config.json"
    if not path.exists():
        raise ValueError(
            f"{model_dir}: expected a model_dir, received a path without config.json."
        )
    return TrainConfig.load(path)


def load_model(model_dir: str | os.PathLike[str]) -> WideDeep:
    """The model of a model_dir with the weights of its newest checkpoint.

    Raises:
        ValueError: no model_dir there, or no checkpoint in it.
    """
    model_dir = Path(model_dir)
    config = load_config(model_dir)
    schema = Schema.load(model_dir / "schema.json")
    newest = tf.train.latest_checkpoint(model_dir / "checkpoints")
    if newest is None:
        raise ValueError(
            f"{model_dir}: expected a checkpoint, received none: "
            "the training has not come that far."
        )
    model = WideDeep(schema, config.model, config.train.seed)
    status = tf.train.Checkpoint(model=model).restore(newest)
    status.assert_existing_objects_matched().expect_partial()
    return model


def _write_whole(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
