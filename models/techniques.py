"""Cures of irreproducibility by name: changes of a configuration."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from smelu_tf.pipelines.dataclass_json import from_json_values

from .config import TrainConfig

TECHNIQUES: dict[str, str] = {
    "none": "",
    "layer_norm": "model.normalization=layer",
    "signal_preserving": "model.initializer=signal_preserving",
    "trained_beta": "model.trainable_parameters=beta",
    "large_embeddings": "model.embedding_stddev=0.05",
    "ensemble": "model.towers=3",
    "ensemble_separate": "model.towers=3+model.tower_tables=separate",
    # As in the paper, whole models that share nothing but what they predict.
    "codistillation": "model.towers=2+model.tower_tables=separate+model.serve=first"
    "+loss.codistillation=1",
    "anti_distillation": "model.towers=3+loss.anti_distillation=0.01",
    "averaging": "optimizer.averaging=0.98",
    "distillation": "loss.distillation=1+loss.num_teachers=3",
}
"""What a name stands for: values of a configuration with + between them."""


def with_technique(config: TrainConfig, technique: str) -> TrainConfig:
    """A configuration with a technique applied.

    Args:
        config: without it.
        technique: a name of `TECHNIQUES`, or values with + between them:
            `optimizer.learning_rate=0.01+model.dropout=0.1`. Names and values may be
            mixed.

    Returns:
        The changed configuration.

    Raises:
        ValueError: an unknown name or key, or a value of another type.

    Examples:
        >>> with_technique(TrainConfig(), "layer_norm").model.normalization
        'layer'
    """
    values = dataclasses.asdict(config)
    for part in technique.split("+"):
        changes = TECHNIQUES.get(part, part)
        for change in filter(None, changes.split("+")):
            key, equals, text = change.partition("=")
            if not equals:
                raise ValueError(
                    f"technique: expected one of {', '.join(TECHNIQUES)} or "
                    f"SECTION.FIELD=VALUE, received {part!r}."
                )
            _set(values, key, text)
    return from_json_values(TrainConfig, values, "config")


def _set(values: dict[str, Any], key: str, text: str) -> None:
    """Puts a value, given as text, into the nested values of a configuration."""
    section, _, field = key.partition(".")
    hints = typing.get_type_hints(TrainConfig)
    kind = (
        typing.get_type_hints(hints[section]).get(field) if section in hints else None
    )
    if kind is None:
        raise ValueError(
            f"technique: expected a key of the configuration, received {key!r}."
        )
    try:
        values[section][field] = _PARSERS[kind](text)
    except (KeyError, ValueError):
        raise ValueError(
            f"technique: expected a value for {key}, received {text!r}."
        ) from None


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text]


_PARSERS: dict[Any, Any] = {
    int: int,
    float: float,
    str: str,
    bool: _flag,
    tuple[int, ...]: lambda text: tuple(int(item) for item in text.split(":")),
    tuple[str, ...]: lambda text: tuple(text.split(";")),
}
