"""Activations that layers of one's own classes hold, where no config tells of them."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import tensorflow as tf

from ._activation_configs import Config, is_activation_key
from ._keras_flavour import is_of_a_library

# What the Kerases keep their own records in; they hold each layer a second time.
_RECORDS = ("_layers", "_self_", "_obj_")


class HeldLayers:
    """Replaces the activations that new, unbuilt layers hold as their attributes.

    Args:
        keras: the layers' Keras.
        new_activation: from an activation's name (None for a function of one's own),
            the settings of the layer that holds it, and the attribute, to what comes in
            its place: the name itself if nothing does.
        new_layer: from a layer of Keras's own, or ours, to what comes in its place.
    """

    def __init__(
        self,
        keras: Any,
        new_activation: Callable[[str | None, Config, str], Any],
        new_layer: Callable[[Any], Any],
    ) -> None:
        self._keras = keras
        self._new_activation = new_activation
        self._new_layer = new_layer
        # The old ones too, so that their ids stay theirs.
        self._renewals: dict[int, tuple[Any, Any]] = {}

    def replace_in(self, layer: Any) -> None:
        """Replaces what a layer of a class of one's own holds."""
        if getattr(layer, "inputs", None):  # functional: its calls are made already
            return
        for attribute, value in list(vars(layer).items()):
            if attribute.startswith(_RECORDS):
                continue
            if isinstance(value, FunctionType) and is_activation_key(attribute):
                name = value.__name__ if is_of_a_library(value) else None
                owner = {"name": layer.name, "dtype": layer.dtype_policy.name}
                new = self._new_activation(name, owner, attribute)
                if new != name:
                    setattr(layer, attribute, self._keras.activations.get(new))
            elif isinstance(value, list | tuple | dict) or self._is_layer(value):
                new = tf.nest.map_structure(self._renewed, value)
                _put(layer, attribute, new)

    def _is_layer(self, value: Any) -> bool:
        return isinstance(value, self._keras.layers.Layer)

    def _renewed(self, layer: Any) -> Any:
        """A layer that another one holds, with the activations replaced."""
        if not self._is_layer(layer):
            return layer
        if not is_of_a_library(type(layer)):
            self.replace_in(layer)
            return layer
        if id(layer) not in self._renewals:
            self._renewals[id(layer)] = (layer, self._new_layer(layer))
        return self._renewals[id(layer)][1]


def _put(layer: Any, attribute: str, value: Any) -> None:
    """Sets an attribute that holds layers, at the place that the old ones have.

    The order of a layer's weights is that of its layers.
    """
    old = getattr(layer, attribute)
    pairs = list(zip(tf.nest.flatten(old), tf.nest.flatten(value), strict=True))
    if all(before is after for before, after in pairs):
        return
    if hasattr(layer, "_tracker"):
        for before, after in pairs:
            if before is not after and layer._tracker.is_in_store("layers", before):
                layer._tracker.replace_tracked_value("layers", before, after)
        setattr(layer, attribute, value)
        return
    positions = [id(held) for held in layer._self_tracked_trackables]
    setattr(layer, attribute, value)
    tracked = layer._self_tracked_trackables
    tracked.insert(positions.index(id(old)), tracked.pop())
