"""The layers' logic, without a Keras: each flavour mixes it into its own base class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ._layer_parameters import ParametersMixin
from .functional import check_gsmelu, check_rescu, check_smelu, gsmelu, rescu, smelu


class SmeLUMixin(ParametersMixin):
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

    Examples:
        >>> SmeLU(beta=0.5)(tf.constant([-1.0, 0.0, 1.0])).numpy()
        array([0.   , 0.125, 1.   ], dtype=float32)

        A beta for each of three channels, trained from 0.5 on:

        >>> layer = SmeLU(0.5, trainable_parameters=True, shared_axes=[1, 2])
        >>> layer(tf.zeros([8, 4, 5, 3])).shape
        TensorShape([8, 4, 5, 3])
        >>> layer.beta.numpy().round(4)
        array([[[0.5, 0.5, 0.5]]], dtype=float32)
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


class GSmeLUMixin(ParametersMixin):
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

    Examples:
        >>> GSmeLU(g_minus=0.5, t=-0.5)(tf.constant([-2.0, 0.0, 2.0])).numpy()
        array([-1.   ,  0.125,  2.   ], dtype=float32)

        The slope on the left is trained, all else is fixed:

        >>> layer = GSmeLU(g_minus=0.1, trainable_parameters="g_minus")
        >>> layer.build((None, 3))
        >>> [name for name, value in layer.parameters().items() if tf.is_tensor(value)]
        ['g_minus']
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


class RESCUMixin(ParametersMixin):
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

    Examples:
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
