"""Other activations in a model that exists: a copy with the weights of the original.

The copy is made from the model's config, in which names of activations are plain to
see, however deeply the layers are nested. Only layers with classes of one's own can
hide some; these are searched as objects, before they are built.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Mapping
from types import FunctionType, SimpleNamespace
from typing import Any

import tensorflow as tf

from ._keras_flavour import flavour_of
from ._model_state import copy_state
from ._traced_graph import input_specs, layers_of, nodes_of
from .names import get

_Config = dict[str, Any]

# What the Kerases keep their own records in; they hold each layer a second time.
_RECORDS = ("_layers", "_self_", "_obj_")


def replace_activations(model: Any, mapping: Mapping[str, Any]) -> Any:
    """A copy of a Keras model, with the same weights and other activations.

    Replaced are the activations of layers (`activation`, `recurrent_activation` …),
    layers that are an activation (`Activation`, `ReLU` …), and, in functional models,
    calls of one (`keras.ops.relu(x)`, `tf.nn.relu(x)`). Names, dtypes and `trainable`
    stay, as does all state. The model is left as it is and shares nothing with the
    copy, which is not compiled.

    A subclassed model or layer needs a `get_config` that its class can be made from.
    An activation that it calls in its own code cannot be replaced. It is found all the
    same if TensorFlow has an operation for it (Relu, Elu, Tanh …, but not for gelu or
    silu) that neither a replacement nor another activation of the model consists of.

    Args:
        model: a built model of Keras 3 or tf-keras.
        mapping: from the names of activations, as Keras knows them, to what comes
            instead: a name that `smelu_tf.get` knows, a function of a tensor of any
            shape, or a layer of the model's Keras, of which every place gets its own,
            new copy.

    Returns:
        The copy, of the model's class.

    Raises:
        TypeError: the model is none of either Keras, or a replacement is no activation.
        ValueError: the model is not built; the mapping is empty, has an unknown name
            or one that occurs nowhere, or a layer of the other Keras; activations
            would be left, all of which are listed; or weights cannot be carried over.

    Example:
        >>> dense = tf.keras.layers.Dense(1, "relu", kernel_initializer="ones")
        >>> model = tf.keras.Sequential([tf.keras.layers.Input((1,)), dense])
        >>> smooth = replace_activations(model, {"relu": "smelu:0.5"})
        >>> smooth(tf.constant([[-1.0], [0.0], [1.0]])).numpy().ravel()
        array([0.   , 0.125, 1.   ], dtype=float32)
    """
    flavour = flavour_of(model, "Model")
    if flavour is None:
        raise TypeError(
            f"model: expected a Keras model, received {type(model).__name__}."
        )
    if not model.built:
        raise ValueError(
            f"model: expected a built model, received {model.name!r}, which has no "
            "weights yet; call it on data, or build it, first."
        )
    rewriter = _Rewriter(model, flavour, mapping)
    copy = rewriter.copy()
    rewriter.check_nothing_is_left(copy)
    copy_state(model, copy, rewriter.new_names)
    return copy


class _Rewriter:
    """Rewrites the config of one model, and keeps account of what it meets there."""

    def __init__(self, model: Any, flavour: str, mapping: Mapping[str, Any]) -> None:
        self._model = model
        self._keras = sys.modules[flavour]
        # Makes our names known to this Keras, which is loaded already.
        importlib.import_module(f"{__package__}.{flavour}_layers")
        self._functions: dict[str, Any] = {}
        self._names_by_class = {
            name.replace("_", ""): name
            for name in [*dir(self._keras.activations), "leaky_relu", "relu6", "silu"]
        }
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
            and not _is_of_a_library(value)
            and self._canonical(value.__name__) is None
        }
        if not isinstance(mapping, Mapping):
            raise TypeError(
                "mapping: expected a dictionary from names of activations, received "
                f"{mapping!r}."
            )
        if not mapping:
            raise ValueError("mapping: expected an activation or more, received none.")
        self._new = {
            self._checked_name(name): self._checked(replacement, flavour)
            for name, replacement in mapping.items()
        }
        self._found: set[str] = set()
        self._replaced: set[str] = set()
        self._left: list[str] = []
        self._judged: set[str] = set()
        self.new_names: set[str] = set()
        self._renewals: dict[int, tuple[Any, Any]] = {}

    def copy(self) -> Any:
        """The model made anew, with the other activations and new weights."""
        config = self._rewritten(self._serialized(self._model))
        return self._deserialized(config)

    def check_nothing_is_left(self, copy: Any) -> None:
        """Raises unless all that was to be replaced was, in the copy's graph too."""
        by_op = {name.title().replace("_", ""): name for name in self._new}
        functions = [new for new in self._new.values() if not self._is_layer(new)]
        others = [self._functions[name] for name in self._found]
        for function in functions + [f for f in others if _is_of_a_library(f)]:
            for _, op in nodes_of(function, tf.TensorSpec((1, 2))):
                by_op.pop(op, None)
        layers = {layer.name: layer for layer in copy._flatten_layers()}
        judged = self._judged | {
            name
            for name, layer in layers.items()
            # PReLU and its like are made of other activations.
            if ".layers.activation" in type(layer).__module__
            and type(layer).__name__.lower() not in self._names_by_class
        }
        # Called once, the copy has built whatever it had not yet.
        args, kwargs = input_specs(self._model)
        try:
            nodes = nodes_of(copy, *args, training=False, **kwargs)
        except Exception as error:
            raise ValueError(
                f"model: expected a copy that can be called on {args or kwargs}, "
                f"received {error}"
            ) from error
        remaining = [
            f"{node} ({op})"
            for node, op in nodes
            if op in by_op and not judged.intersection(layers_of(node, layers))
        ]
        left = list(dict.fromkeys(self._left + remaining))
        if left:
            raise ValueError(
                f"model: expected activations that can be replaced, received "
                f"{len(left)} that cannot: {'; '.join(left)}."
            )
        absent = sorted(self._new.keys() - self._replaced)
        if absent:
            # Keras knows ours by names with their package: smelu_tf>smelu.
            nothing_for, found = (
                ", ".join(sorted(name.rpartition(">")[2] for name in names)) or "none"
                for names in (absent, self._found | self._replaced)
            )
            raise ValueError(
                f"mapping: nothing to replace for {nothing_for}; the model's "
                f"activations are: {found}."
            )

    def _canonical(self, activation: Any) -> str | None:
        """One name for all the names, or configs, of a function; None if it is none."""
        is_function = _class_name(activation) == "function"
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
        self._functions[name] = function
        return name

    def _checked_name(self, name: Any) -> str:
        known = self._canonical(name)
        if known is None:
            raise ValueError(
                "mapping: expected names of activations that Keras knows, "
                f"received {name!r}."
            )
        return known

    def _checked(self, replacement: Any, flavour: str) -> Any:
        other = flavour_of(replacement, "Layer")
        if other not in (None, flavour):
            raise ValueError(
                f"mapping: expected a layer of {flavour}, as the model is, received "
                f"{type(replacement).__name__}, a layer of {other}."
            )
        if isinstance(replacement, self._keras.layers.Activation):
            return replacement.activation
        if callable(replacement) and not isinstance(replacement, type):
            return replacement
        if not isinstance(replacement, str):
            raise TypeError(
                "mapping: expected a name, a function or a layer to replace with, "
                f"received {replacement!r}."
            )
        function = get(replacement)
        # TensorFlow's functions are saved under names that Keras does not know.
        is_ours = function.__module__.startswith("smelu_tf.")
        return function if is_ours else self._keras.activations.get(replacement)

    def _is_layer(self, value: Any) -> bool:
        return isinstance(value, self._keras.layers.Layer)

    def _serialized(self, layer: Any) -> _Config:
        return self._keras.saving.serialize_keras_object(layer)

    def _deserialized(self, config: _Config) -> Any:
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
        if name in self._new:
            return self._layer_in_place_of(node, name)
        node = {key: value for key, value in node.items() if key != "compile_config"}
        owner = node["config"]
        node["config"] = {
            key: self._rewritten_value(value, owner, key)
            for key, value in owner.items()
        }
        cls = self._classes.get((node.get("module") or "__main__", node["class_name"]))
        if cls is not None and not _is_of_a_library(cls):
            node.pop("build_config", None)  # built when called, with the right dtypes
            # A name of this call's own: a registered one would win over ours.
            node["registered_name"] = f"{__name__}>{cls.__module__}>{cls.__name__}"
            self._custom_objects[node["registered_name"]] = SimpleNamespace(
                from_config=functools.partial(self._searched, cls)
            )
        return node

    def _rewritten_value(self, value: Any, owner: _Config, key: str) -> Any:
        in_tf_keras_lambda = "function_type" in owner
        if in_tf_keras_lambda and key in ("function", "function_type"):
            name = self._reference(owner["name"], "function")
            settings = {"function": name, "function_type": "function"}
            return settings[key] if name else value
        # The second is all that Keras writes of a lambda as an activation.
        if _class_name(value) == "__lambda__" or _is_dict_of(value, "value"):
            name = self._reference(owner["name"], key)
            settings = {"config": name, "registered_name": "function"}
            function = {"module": "builtins", "class_name": "function", **settings}
            return function if name else value
        if _is_activation_key(key):
            return self._activation_config(value, owner, key)
        return self._rewritten(value)

    def _reference(self, layer: str, attribute: str) -> str | None:
        """A name for a function of the model: made from its code it lacks its scope."""
        name = f"{__name__}>{layer}>{attribute}"
        self._custom_objects[name] = self._agreed_on(layer, attribute)
        return name if self._custom_objects[name] is not None else None

    def _agreed_on(self, name: str, attribute: str) -> Any:
        """The attribute of the model's layers of a name, if they have the same."""
        layers = [x for x in self._model._flatten_layers() if x.name == name]
        values = {id(v): v for v in (getattr(x, attribute, None) for x in layers)}
        return values.popitem()[1] if len(values) == 1 else None

    def _activation_config(self, value: Any, owner: _Config, key: str) -> Any:
        """What to write for an activation's config that stands under a key."""
        name = self._canonical(value)
        if name is None and isinstance(value, dict) and "class_name" in value:
            name = self._name_of_layer(value)
        if name not in self._new:
            self._found.update([name] if name else [])
            return self._rewritten(value)
        self._replaced.add(name)
        config = value["config"] if isinstance(value, dict) else None
        if isinstance(config, dict) and "name" in config:  # a layer
            self.new_names.add(config["name"])  # to be in neither model
        return self._new_config(name, f"{owner.get('name', name)}_{key}", owner)

    def _new_config(self, name: str, wanted: str, owner: _Config) -> Any:
        """A replacement's config: a layer's with a name that nothing else has."""
        new = self._new[name]
        if not self._is_layer(new):
            return new
        number, unique = 0, wanted
        while unique in self.new_names or unique in self._layers:
            number, unique = number + 1, f"{wanted}_{number + 1}"
        self.new_names.add(unique)
        self._judged.add(unique)
        return self._template(new, {"name": unique, "dtype": owner.get("dtype")})

    def _template(self, new: Any, settings: _Config) -> _Config:
        node = self._serialized(new)
        node.pop("build_config", None)
        settings = {key: value for key, value in settings.items() if value is not None}
        node["config"] = {**node["config"], **settings}
        if not _is_of_a_library(type(new)):
            self._custom_objects.setdefault(node["registered_name"], type(new))
        return node

    def _layer_in_place_of(self, node: _Config, name: str) -> _Config:
        """The config of a replacement that takes a whole layer's, or call's, place."""
        self._replaced.add(name)
        config = node["config"]
        self._judged.add(config["name"])
        if "dtype" not in config:  # a call in Keras 3 is no layer; now it will be one
            self.new_names.add(config["name"])
        settings = {
            "name": config["name"],
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

    def _dtype(self, node: _Config) -> Any:
        """The dtype of a layer, or of a call, which has none of its own."""
        if node["class_name"] == "TFOpLambda":
            layer = self._layers.get(node["config"]["name"])
            dtype = layer.output.dtype.name if layer else None
        elif "dtype" in node["config"]:
            return node["config"]["dtype"]
        else:
            dtype = node["inbound_nodes"][0]["args"][0]["config"]["dtype"]
        return f"mixed_{dtype}" if dtype in ("float16", "bfloat16") else dtype

    def _name_of_layer(self, node: _Config) -> str | None:
        """The activation that a layer or a call is; None if it is no plain one."""
        described, arguments = self._described(node)
        name = self._canonical(described)
        if name is None or name not in self._new:
            self._found.update([name] if name else [])
            return name
        parameters = inspect.signature(self._functions[name]).parameters
        others = {
            key: value
            for key, value in arguments.items()
            if not _is_default(value, parameters.get(key, parameters.get("alpha")))
        }
        if not others:
            return name
        where = node["config"].get("name", name)
        self._judged.add(where)
        listed = ", ".join(f"{key}={value!r}" for key, value in others.items())
        self._left.append(f"{where} ({node['class_name']} with {listed})")
        return None

    def _described(self, node: _Config) -> tuple[Any, _Config]:
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
            function = self._agreed_on(config["name"], "function")
            name = function.__name__ if _is_of_a_library(function) else None
            return name, {**config["arguments"], **call}
        if class_name == "ReLU" and own["max_value"] == 6:
            others = {k: v for k, v in own.items() if k != "max_value" and v != 0}
            return "relu6", {**others, **call}
        return self._names_by_class.get(class_name.lower()), {**own, **call}

    def _searched(self, cls: Any, config: _Config) -> Any:
        """A layer of a class of one's own from its config."""
        layer = cls.from_config(config)
        self._replace_in_object(layer)
        return layer

    def _replace_in_object(self, layer: Any) -> None:
        """Replaces what a new, unbuilt layer of a class of one's own holds."""
        if getattr(layer, "inputs", None):  # functional: its calls are made already
            return
        for attribute, value in list(vars(layer).items()):
            if attribute.startswith(_RECORDS):
                continue
            if isinstance(value, FunctionType) and _is_activation_key(attribute):
                name = value.__name__ if _is_of_a_library(value) else None
                owner = {"name": layer.name, "dtype": layer.dtype_policy.name}
                new = self._activation_config(name, owner, attribute)
                if new != name:
                    setattr(layer, attribute, self._keras.activations.get(new))
            elif isinstance(value, list | tuple | dict) or self._is_layer(value):
                new = tf.nest.map_structure(self._renewed, value)
                _put(layer, attribute, new)

    def _renewed(self, layer: Any) -> Any:
        """A layer that another one holds, with the activations replaced."""
        if not self._is_layer(layer):
            return layer
        if not _is_of_a_library(type(layer)):
            self._replace_in_object(layer)
            return layer
        if id(layer) not in self._renewals:
            config = self._serialized(layer)
            rewritten = self._rewritten(config)
            new = layer if rewritten == config else self._deserialized(rewritten)
            self._renewals[id(layer)] = (layer, new)
        return self._renewals[id(layer)][1]


def _is_of_a_library(symbol: Any) -> bool:
    root = str(getattr(symbol, "__module__", "")).partition(".")[0]
    return root in ("keras", "tf_keras", "tensorflow", "smelu_tf")


def _is_activation_key(key: str) -> bool:
    return key == "activation" or key.endswith("_activation")


def _class_name(config: Any) -> Any:
    return config.get("class_name") if isinstance(config, dict) else None


def _is_dict_of(config: Any, key: str) -> bool:
    return isinstance(config, dict) and set(config) == {key}


def _is_default(value: Any, parameter: inspect.Parameter | None) -> bool:
    if value is None or parameter is None:
        return value is None
    if isinstance(value, int | float) and isinstance(parameter.default, int | float):
        # tf-keras keeps these in float32.
        return abs(value - parameter.default) < 1e-6
    return bool(value == parameter.default)


def _call_arguments(calls: list[Any]) -> _Config:
    """What a layer or an operation is called with beside its first input."""
    arguments: _Config = {}
    for call in calls:
        if isinstance(call, dict):  # Keras 3
            arguments.update({"inputs": call["args"]} if call["args"][1:] else {})
            arguments.update(call["kwargs"])
        else:  # tf-keras: [name, node, tensor, arguments], for layers in a list
            arguments.update((call if isinstance(call[0], str) else call[0])[3])
    return {k: v for k, v in arguments.items() if v is not None and k != "name"}


def _call_with_first_input(call: Any) -> Any:
    if isinstance(call, dict):
        return {"args": call["args"][:1], "kwargs": {}}
    first = call if isinstance(call[0], str) else call[0]
    return [[*first[:3], {}]]


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
