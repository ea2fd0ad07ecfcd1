"""Parameters of activations as layers have them: each one fixed or trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .elementwise import is_number

# Trained widths stay above it, so that they never are 0 or less.
MIN_TRAINED_WIDTH = 1e-3

_WIDTHS = ("alpha", "beta")


class ParametersMixin:
    """Parameters of an activation, each fixed or trained.

    A trained width is softplus(weight) + 0.001: whatever value the optimizer gives the
    weight, the width is valid. Other parameters are their weights.
    """

    # What each flavour sets: its Keras, and how it keeps a weight out of autocasting,
    # which would round a parameter to half precision.
    _keras: Any
    _NO_AUTOCAST: dict[str, bool]

    def _set_parameters(
        self,
        initial: dict[str, Any],
        trainable_parameters: bool | str | Sequence[str],
        shared_axes: int | Sequence[int] | None,
        regularizer: Any,
    ) -> None:
        """Checks the constructor's arguments and keeps them.

        Args:
            initial: each parameter's value, or the one it starts from, by its name.
            trainable_parameters: as the layers take it, and the others too.
            shared_axes: of trained parameters.
            regularizer: of trained parameters.
        """
        for name, value in initial.items():
            if not is_number(value):
                raise ValueError(
                    f"{name}: expected a number or a list of numbers, received a "
                    f"{type(value).__name__}."
                )
        trained = _names(trainable_parameters, list(initial))
        _check_widths(initial, trained)
        self._initial = {n: np.asarray(v).tolist() for n, v in initial.items()}
        self.trainable_parameters = trained
        self.shared_axes = _axes(shared_axes)
        self.regularizer = self._keras.regularizers.get(regularizer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Makes a weight for each trained parameter."""
        self.built = True
        if not self.trainable_parameters:
            return
        shape = self._parameter_shape(tuple(input_shape))
        for name in self.trainable_parameters:
            initial = np.asarray(self._initial[name])
            try:
                initial = np.broadcast_to(initial, shape)
            except ValueError:
                raise ValueError(
                    f"{name}: expected a shape that broadcasts to the parameter's, "
                    f"{shape}, received {initial.shape}."
                ) from None
            weight = self.add_weight(  # type: ignore[attr-defined]
                name=f"raw_{name}",
                shape=shape,
                initializer=self._keras.initializers.Constant(_to_raw(name, initial)),
                regularizer=self._regularizer_of(name),
                **self._NO_AUTOCAST,
            )
            setattr(self, f"_raw_{name}", weight)

    def _parameter_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int, ...]:
        if self.shared_axes is None:
            return ()
        rank = len(input_shape)
        shared = {axis % rank for axis in self.shared_axes if -rank <= axis < rank}
        if len(shared) < len(self.shared_axes) or 0 in shared:
            raise ValueError(
                f"shared_axes: expected different axes from 1 to {rank - 1} of inputs "
                f"of shape {input_shape}, received {list(self.shared_axes)}."
            )
        shape = [1 if i in shared else input_shape[i] for i in range(1, rank)]
        if None in shape:
            raise ValueError(
                "shared_axes: expected all axes whose size is not known, of inputs "
                f"of shape {input_shape}, received {list(self.shared_axes)}."
            )
        return tuple(int(size) for size in shape if size is not None)

    def _regularizer_of(self, name: str) -> Any:
        """The regularizer of a parameter, as one of its weight."""
        if (of_value := self.regularizer) is None:
            return None

        class OfRaw(self._keras.regularizers.Regularizer):  # type: ignore[name-defined]
            # Not a lambda: older Keras wants a regularizer of its own kind.
            def __call__(self, raw: Any) -> Any:
                return of_value(_from_raw(name, tf.convert_to_tensor(raw)))

        return OfRaw()

    def parameters(self) -> dict[str, Any]:
        """The parameters' values by their names.

        Returns:
            Numbers, or lists of them, where fixed; tensors where trained, once the
            layer is built.
        """
        return {name: self._parameter(name) for name in self._initial}

    @property
    def beta(self) -> Any:
        """The one that all have: a number where fixed, a tensor where trained."""
        return self._parameter("beta")

    def _parameter(self, name: str) -> Any:
        if name not in self.trainable_parameters or not self.built:
            return self._initial[name]
        raw = getattr(self, f"_raw_{name}")
        return _from_raw(name, tf.convert_to_tensor(raw))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),  # type: ignore[misc]
            **{name: _plain(value) for name, value in self._initial.items()},
            "trainable_parameters": list(self.trainable_parameters),
            "shared_axes": _plain(self.shared_axes),
            "regularizer": self._keras.regularizers.serialize(self.regularizer),
        }

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape


def _names(trainable_parameters: Any, known: list[str]) -> list[str]:
    """The names of the trained parameters."""
    if isinstance(trainable_parameters, bool):
        return known if trainable_parameters else []
    is_name = isinstance(trainable_parameters, str)
    names = [trainable_parameters] if is_name else trainable_parameters
    if not isinstance(names, Sequence) or any(name not in known for name in names):
        raise ValueError(
            f"trainable_parameters: expected True, False or names among "
            f"{', '.join(known)}, received {trainable_parameters!r}."
        )
    # Of a name that is given twice the last place counts: models that tf-keras saved
    # with two weights for it have the second one there.
    return list(reversed(dict.fromkeys(reversed(names))))


def _check_widths(initial: dict[str, Any], trained: list[str]) -> None:
    """Raises a ValueError if a width starts where no trained one may be."""
    for name in [name for name in trained if name in _WIDTHS]:
        if np.min(initial[name]) <= MIN_TRAINED_WIDTH:
            raise ValueError(
                f"{name}: expected more than {MIN_TRAINED_WIDTH} where it is "
                f"trained, received {initial[name]!r}."
            )
        for other in [other for other in initial if other in _WIDTHS]:
            if np.min(initial[other]) < 0:
                raise ValueError(
                    f"{other}: expected 0 or more where {name} is trained, "
                    f"received {initial[other]!r}."
                )


def _axes(shared_axes: Any) -> list[int] | None:
    """The axes, of which one alone need not be in a list."""
    axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
    if axes is None:
        return None
    is_list = isinstance(axes, Sequence) and not isinstance(axes, str)
    if not is_list or not all(type(axis) is int for axis in axes):
        raise ValueError(
            f"shared_axes: expected None or whole numbers, received {shared_axes!r}."
        )
    return list(axes)


def _plain(value: Any) -> Any:
    """A value without the wrappers that Keras puts around lists."""
    return None if value is None else np.asarray(value).tolist()


def _to_raw(name: str, value: np.ndarray) -> np.ndarray:
    """The weight behind a parameter's value, whose inverse is `_from_raw`."""
    if name not in _WIDTHS:
        return value
    value = np.asarray(value, np.float64) - MIN_TRAINED_WIDTH
    return value + np.log(-np.expm1(-value))


def _from_raw(name: str, raw: tf.Tensor) -> tf.Tensor:
    """The parameter's value, of its weight."""
    return tf.nn.softplus(raw) + MIN_TRAINED_WIDTH if name in _WIDTHS else raw
