"""Other activations in a model that exists: a copy with the weights of the original.

The copy is made from the model's config, in which names of activations are plain to
see, however deeply the layers are nested. Only layers with classes of one's own can
hide some; these are searched as objects, before they are built.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from ._activation_configs import ActivationReader
from ._config_rewriter import Account, ConfigRewriter
from ._keras_flavour import flavour_of, is_of_a_library
from ._model_state import copy_state
from ._traced_graph import input_specs, layers_of, nodes_of
from .names import get


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

    Examples:
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
    # Makes our names known to this Keras, which is loaded already.
    importlib.import_module(f"{__package__}.{flavour}_layers")
    keras = sys.modules[flavour]
    reader = ActivationReader(keras, list(model._flatten_layers()))
    new = _checked_mapping(mapping, keras, flavour, reader)
    rewriter = ConfigRewriter(model, keras, reader, new)
    copy = rewriter.copy()
    _check_nothing_is_left(model, copy, new, reader, rewriter.account)
    _check_each_occurs(new, rewriter.account)
    copy_state(model, copy, rewriter.account.new_names)
    return copy


def _checked_mapping(
    mapping: Any, keras: Any, flavour: str, reader: ActivationReader
) -> dict[str, Any]:
    """From the names as the reader has them to functions and layers."""
    if not isinstance(mapping, Mapping):
        raise TypeError(
            "mapping: expected a dictionary from names of activations, received "
            f"{mapping!r}."
        )
    if not mapping:
        raise ValueError("mapping: expected an activation or more, received none.")
    return {
        _checked_name(name, reader): _checked_replacement(replacement, keras, flavour)
        for name, replacement in mapping.items()
    }


def _checked_name(name: Any, reader: ActivationReader) -> str:
    known = reader.canonical(name)
    if known is None:
        raise ValueError(
            "mapping: expected names of activations that Keras knows, "
            f"received {name!r}."
        )
    return known


def _checked_replacement(replacement: Any, keras: Any, flavour: str) -> Any:
    other = flavour_of(replacement, "Layer")
    if other not in (None, flavour):
        raise ValueError(
            f"mapping: expected a layer of {flavour}, as the model is, received "
            f"{type(replacement).__name__}, a layer of {other}."
        )
    if isinstance(replacement, keras.layers.Activation):
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
    return function if is_ours else keras.activations.get(replacement)


def _check_nothing_is_left(
    model: Any,
    copy: Any,
    new: Mapping[str, Any],
    reader: ActivationReader,
    account: Account,
) -> None:
    """Raises unless all that was to be replaced was, in the copy's graph too."""
    telling = _telling_operations(new, reader, account)
    layers = {layer.name: layer for layer in copy._flatten_layers()}
    judged = account.judged | {
        name
        for name, layer in layers.items()
        # PReLU and its like are made of other activations.
        if ".layers.activation" in type(layer).__module__
        and not reader.is_named_after_one(type(layer))
    }
    # Called once, the copy has built whatever it had not yet.
    args, kwargs = input_specs(model)
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
        if op in telling and not judged.intersection(layers_of(node, layers))
    ]
    left = list(dict.fromkeys(account.left + remaining))
    if left:
        raise ValueError(
            f"model: expected activations that can be replaced, received "
            f"{len(left)} that cannot: {'; '.join(left)}."
        )


def _telling_operations(
    new: Mapping[str, Any], reader: ActivationReader, account: Account
) -> set[str]:
    """TensorFlow's operations that only an activation to be replaced consists of."""
    operations = {name.title().replace("_", "") for name in new}
    functions = [f for f in new.values() if flavour_of(f, "Layer") is None]
    kept = [reader.functions[name] for name in account.kept]
    for function in functions + [f for f in kept if is_of_a_library(f)]:
        operations -= {op for _, op in nodes_of(function, tf.TensorSpec((1, 2)))}
    return operations


def _check_each_occurs(new: Mapping[str, Any], account: Account) -> None:
    """Raises if an activation of the mapping is nowhere in the model."""
    absent = sorted(new.keys() - account.replaced)
    if absent:
        # Keras knows ours by names with their package: smelu_tf>smelu.
        nothing_for, found = (
            ", ".join(sorted(name.rpartition(">")[2] for name in names)) or "none"
            for names in (absent, account.kept | account.replaced)
        )
        raise ValueError(
            f"mapping: nothing to replace for {nothing_for}; the model's "
            f"activations are: {found}."
        )
