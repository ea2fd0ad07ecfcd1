"""Exported SavedModels, as they are found and loaded again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.dataclass_json import load_json
from smelu_tf.pipelines.files import reason_of
from smelu_tf.pipelines.raw_rows import feature_specs


def is_saved_model(path: Path) -> bool:
    """Whether a path is an export, even a damaged one."""
    return any((path / name).exists() for name in ("saved_model.pb", "assets.extra"))


def load_saved_model(path: Path) -> Any:
    """The loaded object of an export, which owns its variables.

    Raises:
        ValueError: a part is missing or cannot be read.
    """
    with _readable(path):
        return tf.saved_model.load(str(path))


def load_with_schema(path: Path) -> tuple[Schema, Any]:
    """The schema of an export, and the loaded object that takes its raw columns.

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
    loaded = load_saved_model(path)
    with _readable(path):
        inputs = loaded.signatures["serving_default"].structured_input_signature[1]
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


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns whatever is wrong with a SavedModel into a ValueError that names it."""
    try:
        yield
    except Exception as error:  # TensorFlow has none for what may be wrong in a graph
        raise ValueError(
            f"{path}: expected a SavedModel, received one that cannot be read: "
            f"{reason_of(error)}"
        ) from None
