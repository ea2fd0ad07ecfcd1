"""The config of a model with other activations, and the model that is made from it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from types import FunctionType, SimpleNamespace
from typing import Any

from ._activation_configs import (
    ActivationReader,
    Config,
    class_name_of,
    is_activation_key,
)
from ._held_layers import HeldLayers
from ._keras_flavour import is_of_a_library


@dataclasses.dataclass
class Account:
    """What was met in a config while it was rewritten.

    Attributes:
        replaced: names of activations that something came in place of.
        kept: names of the other activations.
        left: places of activations that should be replaced and cannot be.
        judged: names of layers that are dealt with: replaced, or among those left.
        new_names: names of layers that are in one of the two models only.
    """

    replaced: set[str] = dataclasses.field(default_factory=set)
    kept: set[str] = dataclasses.field(default_factory=set)
    left: list[str] = dataclasses.field(default_factory=list)
    judged: set[str] = dataclasses.field(default_factory=set)
    new_names: set[str] = dataclasses.field(default_factory=set)


class ConfigRewriter:
    """Rewrites the config of one model, and keeps account of what it meets there.

    Args:
        model: a built model; it is left as it is.
        keras: its Keras.
        reader: of its configs.
        new: from the names of activations, as the reader has them, to functions and
            layers.
    """

    def __init__(
        self, model: Any, keras: Any, reader: ActivationReader, new: Mapping[str, Any]
    ) -> None:
        self._model = model
        self._keras = keras
        self._reader = reader
        self._new = new
        self.account = Account()
        layers = list(model._flatten_layers())
        self._layers = {layer.name: layer for layer in layers}
        self._classes = {
            (cls.__module__, cls.__name__): cls for cls in map(type, layers)
        }
        self._custom_objects: dict[str, Any] = {
            value.__name__: value
            for layer in layers
            for value in vars(layer).values()
            if isinstance(value, FunctionType)
            and not is_of_a_library(value)
            and reader.canonical(value.__name__) is None
        }
        self._held = HeldLayers(keras, self._activation_config, self._renewed)

    def copy(self) -> Any:
        """The model made anew, with the other activations and new weights."""
        return self._deserialized(self._rewritten(self._serialized(self._model)))

    def _is_layer(self, value: Any) -> bool:
        return isinstance(value, self._keras.layers.Layer)

    def _serialized(self, layer: Any) -> Config:
        return self._keras.saving.serialize_keras_object(layer)

    def _deserialized(self, config: Config) -> Any:
        # Lambdas are no danger: they come from a model that is running already.
        return self._keras.saving.deserialize_keras_object(
            config, custom_objects=self._custom_objects, safe_mode=False
        )

    def _rewritten(self, node: Any) -> Any:
        """A config, or any part of one, with the activations replaced."""
        if isinstance(node, list | tuple):
            return type(node)([self._rewritten(part) for part in node])
        if not isinstance(node, dict):
            return node
        if "class_name" not in node or not isinstance(node.get("config"), dict):
            return {key: self._rewritten(value) for key, value in node.items()}
        name = self._name_of_layer(node)
        if name is not None and name in self._new:
            return self._layer_in_place_of(node, name)
        node = {key: value for key, value in node.items() if key != "compile_config"}
        owner = node["config"]
        node["config"] = {
            key: self._rewritten_value(value, owner, key)
            for key, value in owner.items()
        }
        cls = self._classes.get((node.get("module") or "__main__", node["class_name"]))
        if cls is not None and not is_of_a_library(cls):
            node.pop("build_config", None)  # built when called, with the right dtypes
            # A name of this call's own: a registered one would win over ours.
            node["registered_name"] = f"{__name__}>{cls.__module__}>{cls.__name__}"
            self._custom_objects[node["registered_name"]] = SimpleNamespace(
                from_config=functools.partial(self._made, cls)
            )
        return node

    def _rewritten_value(self, value: Any, owner: Config, key: str) -> Any:
        in_tf_keras_lambda = "function_type" in owner
        if in_tf_keras_lambda and key in ("function", "function_type"):
            name = self._reference(owner["name"], "function")
            settings = {"function": name, "function_type": "function"}
            return settings[key] if name else value
        # The second is all that Keras writes of a lambda as an activation.
        if class_name_of(value) == "__lambda__" or _is_dict_of(value, "value"):
            name = self._reference(owner["name"], key)
            settings = {"config": name, "registered_name": "function"}
            function = {"module": "builtins", "class_name": "function", **settings}
            return function if name else value
        if is_activation_key(key):
            return self._activation_config(value, owner, key)
        return self._rewritten(value)

    def _reference(self, layer: str, attribute: str) -> str | None:
        """A name for a function of the model: made from its code it lacks its scope."""
        name = f"{__name__}>{layer}>{attribute}"
        self._custom_objects[name] = self._reader.agreed_on(layer, attribute)
        return name if self._custom_objects[name] is not None else None

    def _activation_config(self, value: Any, owner: Config, key: str) -> Any:
        """What to write for an activation's config that stands under a key."""
        name = self._reader.canonical(value)
        if name is None and isinstance(value, dict) and "class_name" in value:
            name = self._name_of_layer(value)
        if name is None or name not in self._new:
            self.account.kept.update([name] if name else [])
            return self._rewritten(value)
        self.account.replaced.add(name)
        config = value["config"] if isinstance(value, dict) else None
        if isinstance(config, dict) and "name" in config:  # a layer
            self.account.new_names.add(config["name"])  # to be in neither model
        return self._new_config(name, f"{owner.get('name', name)}_{key}", owner)

    def _new_config(self, name: str, wanted: str, owner: Config) -> Any:
        """A replacement's config: a layer's with a name that nothing else has."""
        new = self._new[name]
        if not self._is_layer(new):
            return new
        number, unique = 0, wanted
        while unique in self.account.new_names or unique in self._layers:
            number, unique = number + 1, f"{wanted}_{number + 1}"
        self.account.new_names.add(unique)
        self.account.judged.add(unique)
        return self._template(new, {"name": unique, "dtype": owner.get("dtype")})

    def _template(self, new: Any, settings: Config) -> Config:
        node = self._serialized(new)
        node.pop("build_config", None)
        settings = {key: value for key, value in settings.items() if value is not None}
        node["config"] = {**node["config"], **settings}
        if not is_of_a_library(type(new)):
            self._custom_objects.setdefault(node["registered_name"], type(new))
        return node

    def _layer_in_place_of(self, node: Config, name: str) -> Config:
        """The config of a replacement that takes a whole layer's, or call's, place."""
        self.account.replaced.add(name)
        config = node["config"]
        own_name = _own_name(node)
        self.account.judged.add(own_name)
        if "dtype" not in config:  # a call in Keras 3 is no layer; now it will be one
            self.account.new_names.add(own_name)
        settings = {
            "name": own_name,
            "trainable": config.get("trainable"),
            "dtype": self._dtype(node),
        }
        new = self._new[name]
        if self._is_layer(new):
            rewritten = self._template(new, settings)
        else:
            settings["activation"] = self._new_config(name, "", {})
            rewritten = self._template(
                self._keras.layers.Activation("linear"), settings
            )
        if "inbound_nodes" in node:
            rewritten["name"] = node["name"]
            rewritten["inbound_nodes"] = [
                _call_with_first_input(call) for call in node["inbound_nodes"]
            ]
        return rewritten

    def _dtype(self, node: Config) -> Any:
        """The dtype of a layer, or of a call, which has none of its own."""
        if node["class_name"] == "TFOpLambda":
            layer = self._layers.get(node["config"]["name"])
            dtype = layer.output.dtype.name if layer else None
        elif "dtype" in node["config"]:
            return node["config"]["dtype"]
        else:
            dtype = node["inbound_nodes"][0]["args"][0]["config"]["dtype"]
        return f"mixed_{dtype}" if dtype in ("float16", "bfloat16") else dtype

    def _name_of_layer(self, node: Config) -> str | None:
        """The activation that a layer or a call is; None if it is no plain one."""
        name, arguments = self._reader.of_layer(node)
        if name is None or name not in self._new:
            self.account.kept.update([name] if name else [])
            return name
        others = self._reader.not_default(name, arguments)
        if not others:
            return name
        where = _own_name(node) or name
        self.account.judged.add(where)
        listed = ", ".join(f"{key}={value!r}" for key, value in others.items())
        self.account.left.append(f"{where} ({node['class_name']} with {listed})")
        return None

    def _made(self, cls: Any, config: Config) -> Any:
        """A layer of a class of one's own from its config."""
        layer = cls.from_config(config)
        self._held.replace_in(layer)
        return layer

    def _renewed(self, layer: Any) -> Any:
        """A layer that one of a class of one's own holds, or another in its place."""
        config = self._serialized(layer)
        rewritten = self._rewritten(config)
        return layer if rewritten == config else self._deserialized(rewritten)


def _own_name(node: Config) -> Any:
    """The name of a layer or of a call, which some Kerases put beside its config."""
    return node["config"].get("name", node.get("name"))


def _is_dict_of(config: Any, key: str) -> bool:
    return isinstance(config, dict) and set(config) == {key}


def _call_with_first_input(call: Any) -> Any:
    if isinstance(call, dict):
        return {"args": call["args"][:1], "kwargs": {}}
    first = call if isinstance(call[0], str) else call[0]
    return [[*first[:3], {}]]
