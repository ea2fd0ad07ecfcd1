"""Which activation a part of a Keras config stands for."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from ._keras_flavour import is_of_a_library

Config = dict[str, Any]


class ActivationReader:
    """Reads what is an activation in the configs of one model, and by which name.

    Args:
        keras: the model's Keras.
        layers: all of the model's layers, nested ones too.
    """

    def __init__(self, keras: Any, layers: Sequence[Any]) -> None:
        self._keras = keras
        self._layers = layers
        # Of the names that have been read.
        self.functions: dict[str, Any] = {}
        self._names_by_class = {
            name.replace("_", ""): name
            for name in [*dir(keras.activations), "leaky_relu", "relu6", "silu"]
        }

    def canonical(self, activation: Any) -> str | None:
        """One name for all the names, or configs, of a function; None if it is none."""
        is_function = class_name_of(activation) == "function"
        if not isinstance(activation, str) and not is_function:
            return None
        activations = self._keras.activations
        try:
            function = activations.get(activation)
            name = activations.serialize(function)
        except (TypeError, ValueError):
            return None
        name = name["config"] if isinstance(name, dict) else name
        if not isinstance(name, str):
            return None
        self.functions[name] = function
        return name

    def is_named_after_one(self, cls: type) -> bool:
        """Whether a layer's class has the name of an activation's function."""
        return cls.__name__.lower() in self._names_by_class

    def of_layer(self, node: Config) -> tuple[str | None, Config]:
        """The name of the activation that a layer or a call is, and its arguments.

        None where it is no activation. Arguments are those of the config and the call.
        """
        described, arguments = self._described(node)
        return self.canonical(described), arguments

    def not_default(self, name: str, arguments: Config) -> Config:
        """Those of the arguments that are not the function's own default."""
        parameters = inspect.signature(self.functions[name]).parameters
        return {
            key: value
            for key, value in arguments.items()
            if not _is_default(value, parameters.get(key, parameters.get("alpha")))
        }

    def agreed_on(self, name: str, attribute: str) -> Any:
        """The attribute of the model's layers of a name, if they have the same."""
        layers = [layer for layer in self._layers if layer.name == name]
        values = {id(v): v for v in (getattr(x, attribute, None) for x in layers)}
        return values.popitem()[1] if len(values) == 1 else None

    def _described(self, node: Config) -> tuple[Any, Config]:
        """The activation that a layer's class is named after, and its arguments."""
        class_name, config = node["class_name"], node["config"]
        module = str(node.get("module"))
        if not isinstance(config, dict):  # a function's name
            return None, {}
        settings = ("name", "trainable", "dtype", "batch_input_shape")
        own = {key: value for key, value in config.items() if key not in settings}
        call = _call_arguments(node.get("inbound_nodes", []))
        if module.startswith("smelu_tf.") and class_name == "NamedActivation":
            name, _, parameters = config["identifier"].partition(":")
            return name, {"parameters": parameters} if parameters else {}
        if module.startswith("smelu_tf."):
            own = {key: value for key, value in own.items() if value not in ([], None)}
            return class_name.lower(), {**own, **call}
        if not module.startswith(("keras.", "tf_keras.")):
            return None, {}
        if class_name == "Activation":
            return config["activation"], call
        if class_name == "TFOpLambda":
            return config["function"].rpartition(".")[2], call
        if class_name == "Lambda":
            function = self.agreed_on(config["name"], "function")
            name = function.__name__ if is_of_a_library(function) else None
            return name, {**config["arguments"], **call}
        if class_name == "ReLU" and own["max_value"] == 6:
            others = {k: v for k, v in own.items() if k != "max_value" and v != 0}
            return "relu6", {**others, **call}
        return self._names_by_class.get(class_name.lower()), {**own, **call}


def is_activation_key(key: str) -> bool:
    """Whether a setting, or an attribute, of this name holds an activation."""
    return key == "activation" or key.endswith("_activation")


def class_name_of(config: Any) -> Any:
    """The class that a config is of; None if it is no layer's and no function's."""
    return config.get("class_name") if isinstance(config, dict) else None


def _is_default(value: Any, parameter: inspect.Parameter | None) -> bool:
    if value is None or parameter is None:
        return value is None
    if isinstance(value, int | float) and isinstance(parameter.default, int | float):
        # tf-keras keeps these in float32.
        return abs(value - parameter.default) < 1e-6
    return bool(value == parameter.default)


def _call_arguments(calls: list[Any]) -> Config:
    """What a layer or an operation is called with beside its first input."""
    arguments: Config = {}
    for call in calls:
        if isinstance(call, dict):  # Keras 3
            arguments.update({"inputs": call["args"]} if call["args"][1:] else {})
            arguments.update(call["kwargs"])
        else:  # tf-keras: [name, node, tensor, arguments], for layers in a list
            arguments.update((call if isinstance(call[0], str) else call[0])[3])
    return {k: v for k, v in arguments.items() if v is not None and k != "name"}
