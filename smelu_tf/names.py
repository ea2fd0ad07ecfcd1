"""Activations by name, with parameters: `relu`, `smelu:0.5`, `rescu:1:normal`."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from .elementwise import check_numbers
from .functional import check_gsmelu, check_rescu, check_smelu, gsmelu, rescu, smelu

Activation = Callable[[tf.Tensor], tf.Tensor]


def get(identifier: str | Activation) -> Activation:
    """An activation by its name, with parameters after colons, or as it is.

    Args:
        identifier: `smelu`, `smelu:0.5` (beta), `gsmelu:1:1:0.1` or, by name,
            `gsmelu:g_minus=0.1`, `rescu:0.5:normal`, `swish:2`; without parameters
            `relu`, `linear`, `silu`, `gelu`, `softplus`, `elu`, `selu`, `sigmoid` or
            `tanh`; or a function, or a layer.

    Returns:
        A function of a tensor. Both Kerases can serialise those named here.

    Raises:
        ValueError: an unknown name, or a parameter that is none.

    Examples:
        >>> get("smelu:0.5")(tf.constant([0.0])).numpy()
        array([0.125], dtype=float32)
        >>> layer = tf.keras.layers.Dense(8, activation=get("gsmelu:g_minus=0.1"))
        >>> layer.activation
        NamedActivation(identifier='gsmelu:g_minus=0.1')
    """
    if callable(identifier):
        return identifier
    function, arguments = parse(str(identifier))
    if arguments or identifier in _UNKNOWN_TO_KERAS:
        return NamedActivation(str(identifier))
    return function


def trainable_parameters(identifier: str) -> dict[str, float]:
    """The parameters of a named activation that its layer can train, with their values.

    Args:
        identifier: as `get` takes it.

    Raises:
        ValueError: as `get` does.

    Examples:
        >>> trainable_parameters("rescu:0.5:normal"), trainable_parameters("swish:2")
        ({'beta': 0.5}, {})
    """
    function, arguments = parse(identifier)
    if function not in (smelu, gsmelu, rescu):
        return {}
    arguments = arguments or _arguments(identifier, function)
    return {k: value for k, value in arguments.items() if not isinstance(value, str)}


@dataclasses.dataclass(frozen=True)
class NamedActivation:
    """An activation with its parameters, in a form that Keras can serialise.

    Args:
        identifier: as `get` takes it.

    Raises:
        ValueError: as `get` does.
    """

    identifier: str

    def __post_init__(self) -> None:
        parse(self.identifier)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The activation of x."""
        function, arguments = parse(self.identifier)
        return function(x, **arguments)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"identifier": self.identifier}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> NamedActivation:
        """The activation of a configuration."""
        return cls(**config)


def _swish(x: tf.Tensor, beta: float = 1.0) -> tf.Tensor:
    return tf.nn.silu(x, beta)


# Those that take parameters, and what checks them.
_WITH_PARAMETERS: dict[str, tuple[Callable[..., tf.Tensor], Callable[..., None]]] = {
    "smelu": (smelu, check_smelu),
    "gsmelu": (gsmelu, check_gsmelu),
    "rescu": (rescu, check_rescu),
    "swish": (_swish, lambda beta: check_numbers(beta, "beta", -1e38, 1e38)),
}

_BY_NAME: dict[str, Activation] = {
    "smelu": smelu,
    "gsmelu": gsmelu,
    "rescu": rescu,
    "relu": tf.nn.relu,
    "linear": tf.identity,
    "swish": tf.nn.silu,
    "silu": tf.nn.silu,
    "gelu": tf.nn.gelu,
    "softplus": tf.nn.softplus,
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "sigmoid": tf.nn.sigmoid,
    "tanh": tf.nn.tanh,
}


# Keras would save these functions under names that it does not find again.
_UNKNOWN_TO_KERAS = ("linear", "swish", "silu")


@functools.lru_cache
def parse(identifier: str) -> tuple[Callable[..., tf.Tensor], dict[str, Any]]:
    """The function that is named, and its arguments; none where the name is all.

    Args:
        identifier: as `get` takes it.

    Raises:
        ValueError: as `get` does.
    """
    name, *fields = identifier.split(":")
    if name not in _BY_NAME:
        nearest = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"activation: expected one of {', '.join(_BY_NAME)}, received "
            f"{identifier!r}; the nearest is {nearest}."
        )
    if not fields:
        return _BY_NAME[name], {}
    if name not in _WITH_PARAMETERS:
        raise ValueError(
            f"activation: expected {name} without a parameter, received {identifier!r}."
        )
    function, check = _WITH_PARAMETERS[name]
    arguments = _arguments(identifier, function)
    check(**arguments)
    return function, arguments


def _arguments(identifier: str, function: Callable[..., tf.Tensor]) -> dict[str, Any]:
    """All parameters of a function, by default where the identifier is silent."""
    name, *fields = identifier.split(":")
    _, *parameters = inspect.signature(function).parameters.values()
    values = {parameter.name: parameter.default for parameter in parameters}
    if len(fields) > len(parameters):
        raise ValueError(
            f"activation: expected at most {len(parameters)} parameters after {name} "
            f"({', '.join(values)}), received {identifier!r}."
        )
    given: list[str] = []
    for i, (parameter, field) in enumerate(zip(parameters, fields, strict=False)):
        key, equals, text = field.rpartition("=")
        if equals and key not in values:
            raise ValueError(
                f"activation: expected one of {', '.join(values)} before =, received "
                f"{identifier!r}."
            )
        key = key or parameter.name
        if not equals and any("=" in earlier for earlier in fields[:i]):
            raise ValueError(
                "activation: expected parameters without a name before those with one, "
                f"received {identifier!r}."
            )
        if key in given:
            raise ValueError(
                f"activation: expected {key} once, received {identifier!r}."
            )
        given.append(key)
        if isinstance(values[key], str):
            values[key] = text
            continue
        try:
            values[key] = float(text)
        except ValueError:
            before = ":".join([name, *fields[:i], key + "=" if equals else ""])
            raise ValueError(
                f"activation: expected a number after {before}, received "
                f"{identifier!r}."
            ) from None
    return values
