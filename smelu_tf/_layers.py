"""The layers' logic, without a Keras: each flavour mixes it into its own base class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .elementwise import is_number
from .functional import check_gsmelu, check_rescu, check_smelu, gsmelu, rescu, smelu

# Trained widths stay above it, so that they never are 0 or less.
MIN_TRAINED_WIDTH = 1e-3

_WIDTHS = ("alpha", "beta")


class _ParametersMixin:
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
        for name, value in initial.items():
            if not is_number(value):
                raise ValueError(
                    f"{name}: expected a number or a list of numbers, received a "
                    f"{type(value).__name__}."
                )
        trained = _names(trainable_parameters, list(initial))
        for name in set(trained) & set(_WIDTHS):
            if np.min(initial[name]) <= MIN_TRAINED_WIDTH:
                raise ValueError(
                    f"{name}: expected more than {MIN_TRAINED_WIDTH} where it is "
                    f"trained, received {initial[name]!r}."
                )
            for other in set(initial) & set(_WIDTHS):
                if np.min(initial[other]) < 0:
                    raise ValueError(
                        f"{other}: expected 0 or more where {name} is trained, "
                        f"received {initial[other]!r}."
                    )
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
        if self.regularizer is None:
            return None
        return lambda raw: self.regularizer(_from_raw(name, tf.convert_to_tensor(raw)))

    def parameters(self) -> dict[str, Any]:
        """The parameters' values: numbers where fixed, tensors where trained."""
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
    return list(names)


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
    if name not in _WIDTHS:
        return value
    value = np.asarray(value, np.float64) - MIN_TRAINED_WIDTH
    return value + np.log(-np.expm1(-value))


def _from_raw(name: str, raw: tf.Tensor) -> tf.Tensor:
    return tf.nn.softplus(raw) + MIN_TRAINED_WIDTH if name in _WIDTHS else raw


class SmeLUMixin(_ParametersMixin):
    """Smooth ReLU as a layer: 0 left of -beta, x right of beta, a parabola between.

        y = x where x > beta, else beta · r²
        r = clip((x + beta) / (2 · beta), 0, 1)

    Args:
        beta: half-width of the transition, from 0 to 1e38; 0 is ReLU. A number, or a
            list that broadcasts to the input: one for each channel, say.
        trainable_parameters: whether beta is trained, from this value on. It stays
            above 0.001.
        shared_axes: of a trained beta, the axes along which it is one value, as in
            PReLU; 1 is the first after the batch's. `[]` gives each unit its own,
            `[1, 2]` each channel of images, None is one for the layer.
        regularizer: of a trained beta (of its value, not of the weight behind it).
        **kwargs: of the base layer: `name`, `dtype` …

    Input shape: any.
    Output shape: the input's.

    Raises:
        ValueError: beta is no number in its range, or axes do not fit the input.

    Source: Shamir & Lin, arXiv 2202.06499.

    Example:
        >>> SmeLU(beta=0.5)(tf.constant([-1.0, 0.0, 1.0])).numpy()
        array([0.   , 0.125, 1.   ], dtype=float32)
    """

    def __init__(
        self,
        beta: Any = 1.0,
        trainable_parameters: bool | str | Sequence[str] = False,
        shared_axes: int | Sequence[int] | None = None,
        regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_smelu(beta)
        self._set_parameters(
            {"beta": beta}, trainable_parameters, shared_axes, regularizer
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The activation of the inputs."""
        return smelu(inputs, **self.parameters())


class GSmeLUMixin(_ParametersMixin):
    """Generalised SmeLU as a layer: two lines of any slopes, joined by a parabola.

        y = t + g_minus · (x + alpha)              left of -alpha
            t + (x + alpha) · (g_minus + (g_plus - g_minus) · r / 2)
            t + (alpha + beta) · (g_minus + g_plus) / 2
              + g_plus · (x - beta)                right of beta
        r = clip((x + alpha) / (alpha + beta), 0, 1)

    Each parameter is a number or a list that broadcasts to the input.

    Args:
        alpha: where the transition begins, at x = -alpha.
        beta: where it ends, at x = beta; alpha + beta is 0 or more.
        g_minus: the slope on the left.
        g_plus: the slope on the right.
        t: the value at x = -alpha.
        trainable_parameters: the names of those that are trained, from these values
            on; True is all. Trained alpha and beta stay above 0.001.
        shared_axes: of trained parameters, the axes along which they are one value, as
            in PReLU; `[]` gives each unit its own, None is one for the layer.
        regularizer: of each trained parameter's value.
        **kwargs: of the base layer: `name`, `dtype` …

    Input shape: any.
    Output shape: the input's.

    Raises:
        ValueError: a parameter is no number in its range, or axes do not fit the input.

    Source: Shamir & Lin, arXiv 2202.06499.

    Example:
        >>> GSmeLU(g_minus=0.5, t=-0.5)(tf.constant([-2.0, 0.0, 2.0])).numpy()
        array([-1.   ,  0.125,  2.   ], dtype=float32)
    """

    def __init__(
        self,
        alpha: Any = 1.0,
        beta: Any = 1.0,
        g_minus: Any = 0.0,
        g_plus: Any = 1.0,
        t: Any = 0.0,
        trainable_parameters: bool | str | Sequence[str] = False,
        shared_axes: int | Sequence[int] | None = None,
        regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_gsmelu(alpha, beta, g_minus, g_plus, t)
        initial = dict(alpha=alpha, beta=beta, g_minus=g_minus, g_plus=g_plus, t=t)
        self._set_parameters(initial, trainable_parameters, shared_axes, regularizer)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The activation of the inputs."""
        return gsmelu(inputs, **self.parameters())


class RESCUMixin(_ParametersMixin):
    """Rectified smooth continuous unit as a layer: ReLU convolved with a density.

        y = E[max(x - U, 0)],    U distributed by the density of width beta

    Args:
        beta: the width, from 0 to 1e38; 0 is ReLU. A number, or a list that broadcasts
            to the input.
        density: `uniform` (SmeLU), `triangular`, `epanechnikov`, `normal`, `logistic`
            (softplus), `squareplus` or `laplace`.
        trainable_parameters: whether beta is trained, from this value on. It stays
            above 0.001.
        shared_axes: of a trained beta, the axes along which it is one value, as in
            PReLU; `[]` gives each unit its own, None is one for the layer.
        regularizer: of a trained beta's value.
        **kwargs: of the base layer: `name`, `dtype` …

    Input shape: any.
    Output shape: the input's.

    Raises:
        ValueError: beta is no number in its range, the density is unknown, or axes do
            not fit the input.

    Source: Shamir & Lin, arXiv 2202.06499.

    Example:
        >>> RESCU(density="laplace")(tf.constant([-1.0, 0.0, 1.0])).numpy()
        array([0.18393973, 0.5       , 1.1839397 ], dtype=float32)
    """

    def __init__(
        self,
        beta: Any = 1.0,
        density: str = "uniform",
        trainable_parameters: bool | str | Sequence[str] = False,
        shared_axes: int | Sequence[int] | None = None,
        regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_rescu(beta, density)
        self.density = density
        self._set_parameters(
            {"beta": beta}, trainable_parameters, shared_axes, regularizer
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The activation of the inputs."""
        return rescu(inputs, density=self.density, **self.parameters())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "density": self.density}
