"""The TensorFlow operations that a model consists of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from ._keras_flavour import flavour_of


def nodes_of(function: Any, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
    """Name and operation of all nodes of a function and of those it calls."""
    traced = tf.function(lambda *args, **kwargs: function(*args, **kwargs))
    graph = traced.get_concrete_function(*args, **kwargs).graph.as_graph_def()
    nodes = [(node.name, node.op) for node in graph.node]
    for called in graph.library.function:
        scope = called.signature.name
        nodes += [(f"{scope}/{node.name}", node.op) for node in called.node_def]
    return nodes


def layers_of(node: str, layers: Mapping[str, Any]) -> set[str]:
    """The names of the layers that a node is in; TensorFlow numbers repeated ones."""
    names = set()
    for scope in node.split("/"):
        while scope not in layers and re.search(r"_\d+$", scope):
            scope = scope.rpartition("_")[0]
        names.add(scope)
    return names


def input_specs(model: Any) -> tuple[Any, dict[str, Any]]:
    """What a model is called with, as far as it is known."""
    if hasattr(model, "save_spec") and model.save_spec():  # tf-keras
        return model.save_spec()
    if getattr(model, "inputs", None):
        is_sequential = flavour_of(model, "Sequential") is not None
        inputs = model.inputs[0] if is_sequential else model.input
        return (tf.nest.map_structure(_spec, inputs),), {}
    config = model.get_build_config()
    if "input_shape" in config:
        return (_specs_of(config["input_shape"]),), {}
    shapes = config["shapes_dict"].items()
    return (), {key.removesuffix("_shape"): _specs_of(shape) for key, shape in shapes}


def _spec(tensor: Any) -> Any:
    spec = tf.SparseTensorSpec if tensor.sparse else tf.TensorSpec
    return spec(tensor.shape, tensor.dtype)


def _specs_of(shape: Any) -> Any:
    """Specs of floating-point tensors, in the structure of the shapes."""
    if isinstance(shape, dict):
        return {key: _specs_of(part) for key, part in shape.items()}
    if any(isinstance(part, list | tuple) for part in shape):
        return [_specs_of(part) for part in shape]
    return tf.TensorSpec(shape)
