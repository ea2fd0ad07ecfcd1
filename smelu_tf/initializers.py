"""Initial weights that keep the signal through a stack of smooth activations.

The wider SmeLU's transition, the more of its output is an offset, E[f(z)], that all
examples share, and the less a signal that tells them apart; weights drawn as for ReLU
keep the offset and lose the signal. A kernel whose columns sum to 0 is blind to what
all its inputs share, and with

    gain = scale / sqrt(Var[f(scale · z)]),    z ~ N(0, 1),    weights ~ N(0, gain² / n)

for n inputs, pre-activations keep their variance from layer to layer, over units and
over examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .names import get


def gain(activation: str | Callable[[Any], Any], scale: float = 1.0) -> float:
    """What a zero-sum kernel behind an activation is scaled by to keep the variance.

    Args:
        activation: as `smelu_tf.get` takes it; one that acts on each element alone.
        scale: the standard deviation of the pre-activations.

    Returns:
        scale / sqrt(Var[activation(scale · z)]) for a standard normal z.

    Raises:
        ValueError: scale is not a finite number above 0, or the variance is not.

    Examples:
        >>> [round(gain(name), 3) for name in ("linear", "relu", "smelu", "smelu:4")]
        [1.0, 1.713, 1.793, 1.969]
    """
    if not 0 < scale < np.inf:
        raise ValueError(f"scale: expected a number above 0, received {scale!r}.")
    z = np.linspace(-12, 12, 20_001)
    density = np.exp(-z * z / 2)
    density /= np.sum(density)
    with tf.init_scope():  # a value, inside a function that is being traced too
        y = np.asarray(get(activation)(tf.constant(scale * z)), np.float64)
    variance = np.sum(y * y * density) - np.sum(y * density) ** 2
    if not 0 < variance < np.inf:
        raise ValueError(
            f"activation: expected one whose output varies, received {activation!r} "
            f"with a variance of {variance}."
        )
    return float(scale / np.sqrt(variance))


class SignalPreservingMixin:
    """Normal kernels with zero-sum columns that keep the variance behind an activation.

    It is for the kernel of the layer that *follows* the activation; `"linear"` is for a
    first layer whose inputs have a variance of 1. What it keeps is the variance of the
    pre-activations, from layer to layer, over units and over examples.

    Args:
        activation: the name of the activation before the layer: `smelu:0.5`, `relu`.
        scale: the standard deviation of the pre-activations to be kept.
        seed: of the random numbers.

    Raises:
        ValueError: an unknown activation or a scale that is none; when called, a shape
            that is no kernel's: of one axis, or with fewer than two inputs.

    Source: for ReLU and without the zero sums, He et al., arXiv 1502.01852.

    Examples:
        >>> kernel = SignalPreserving("smelu:0.5", seed=0)((512, 256))
        >>> float(tf.reduce_max(tf.abs(tf.reduce_sum(kernel, axis=0)))) < 1e-4
        True
        >>> round(float(tf.math.reduce_std(kernel)) * 512**0.5, 2)
        1.74
    """

    # What each flavour sets.
    _keras: Any

    def __init__(
        self, activation: str, scale: float = 1.0, seed: int | None = None
    ) -> None:
        if not isinstance(activation, str):
            raise ValueError(
                f"activation: expected a name, received {type(activation).__name__}."
            )
        self.activation = activation
        self.scale = scale
        self.seed = seed
        get(activation)
        if not 0 < scale < np.inf:
            raise ValueError(f"scale: expected a number above 0, received {scale!r}.")

    def __call__(
        self, shape: Sequence[int], dtype: Any = None, **kwargs: Any
    ) -> tf.Tensor:
        """A kernel.

        Args:
            shape: its last axis is the outputs', all others are inputs'.
            dtype: of the kernel; None is the Keras's own default.
            **kwargs: of Keras's `RandomNormal`, which draws the numbers.

        Returns:
            A tensor of this shape and dtype.

        Raises:
            ValueError: a shape of one axis, or with fewer than two inputs.
        """
        fan_in = int(np.prod(shape[:-1]))
        if len(shape) < 2 or fan_in < 2:
            raise ValueError(
                "SignalPreserving: expected the shape of a kernel with two inputs or "
                f"more, received {tuple(shape)}."
            )
        normal = self._keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        kernel = tf.convert_to_tensor(normal(shape, dtype="float32", **kwargs))
        inputs = list(range(len(shape) - 1))
        kernel -= tf.reduce_mean(kernel, axis=inputs, keepdims=True)
        # The mean that is taken away was one part in fan_in of the variance.
        kernel *= gain(self.activation, self.scale) / np.sqrt(fan_in - 1)
        return tf.cast(kernel, dtype or self._keras.backend.floatx())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "activation": self.activation,
            "scale": self.scale,
            "seed": self.seed,
        }
