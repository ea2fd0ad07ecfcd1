"""The weights and other state of a model, given to a copy of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any


def copy_state(old: Any, new: Any, new_names: set[str]) -> None:
    """Gives a model the weights, the other state and the `trainable` of another.

    Args:
        old: the model they come from.
        new: one made from the other's config, with some layers replaced.
        new_names: the names of layers that are in one of the two only.

    Raises:
        ValueError: the two differ in more than those layers, or share layers between
            models in different ways.
    """
    partners: dict[int, Any] = {}
    for source, target in _paired_layers(old, new, new_names):
        if target.trainable != source.trainable:
            target.trainable = source.trainable
        _copy_own_state(source, target, partners)


def _paired_layers(
    old: Any, new: Any, new_names: set[str]
) -> Iterator[tuple[Any, Any]]:
    """Layers of the original and of the copy that are to have the same weights.

    By names in models that keep their layers' names, else by their order.
    """
    if not old.variables and (type(old) is not type(new) or not old.built):
        return  # it was replaced, or is as new itself
    _check_equal(old, "class", type(old), type(new))
    yield old, new
    old_layers, new_layers = (
        [
            layer
            for layer in parent._flatten_layers(include_self=False, recursive=False)
            if layer.name not in new_names
        ]
        for parent in (old, new)
    )
    by_name = {layer.name: layer for layer in new_layers}
    if len(by_name) == len(new_layers) and all(
        layer.name in by_name for layer in old_layers
    ):
        new_layers = [by_name[layer.name] for layer in old_layers]
    _check_equal(old, "layers", len(old_layers), len(new_layers))
    for pair in zip(old_layers, new_layers, strict=True):
        yield from _paired_layers(*pair, new_names)


def _copy_own_state(old: Any, new: Any, partners: dict[int, Any]) -> None:
    """Gives a layer the state of another, that of the layers within it excepted."""
    old_variables, new_variables = _own_variables(old), _own_variables(new)
    _check_equal(
        old,
        "weights of shapes",
        [tuple(variable.shape) for variable in old_variables],
        [tuple(variable.shape) for variable in new_variables],
    )
    for source, target in zip(old_variables, new_variables, strict=True):
        if partners.setdefault(id(source), target) is not target:
            raise ValueError(
                f"model: expected no layer to be part of several models, received "
                f"{old.name!r}, which would come apart in the copy."
            )
        target.assign(source)
    # State that is no variable: statistics in Normalization, or a vocabulary.
    store: dict[str, Any] = {}
    old.save_own_variables(store)
    new.load_own_variables(store)
    if hasattr(old, "load_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)


def _own_variables(layer: Any) -> list[Any]:
    children = layer._flatten_layers(include_self=False, recursive=False)
    others = {id(variable) for child in children for variable in child.variables}
    return [
        variable
        for variable in layer.variables
        if id(variable) not in others and hasattr(variable, "assign")
    ]


def _check_equal(layer: Any, what: str, expected: Any, received: Any) -> None:
    if expected != received:
        raise ValueError(
            f"model: expected {layer.name!r} to be made from its config with the "
            f"{what} {expected}, received {received}."
        )
