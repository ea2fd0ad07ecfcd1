"""The activations as functions of tensors. Knows no Keras.

SmeLU in the form used here, with r = clip((x + β) / 2β, 0, 1):

    y = x where x > β, else r · β·r,    dy/dx = r,    dy/dβ = r · (1 - r)

It is exact in both tails, right at ±∞ and at β = 0, where it is ReLU; differentiated
as it stands it is right at the joints too. Since
r = sqrt(clip(y / β, 0, 1)), the gradient needs the output alone, which the next layer
keeps anyway: SmeLU costs no more memory than ReLU.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from . import kernel

Activation = Callable[[tf.Tensor], tf.Tensor]

_MAX_BETA = 1e38  # twice as much is a float32 still

_Gradients = tuple[tf.Tensor | None, ...]
_WithGradient = tuple[tf.Tensor, Callable[[tf.Tensor], _Gradients]]


def smelu(x: Any, beta: Any = 1.0) -> tf.Tensor:
    """Smooth ReLU: 0 left of -beta, x right of beta, a parabola between.

        smelu(x) = x where x > beta, else beta · r²
        r = clip((x + beta) / (2 · beta), 0, 1)

    First and second derivatives are right in x and in beta.

    Args:
        x: a floating-point tensor of any shape.
        beta: half-width of the transition, from 0 to 1e38, a number or a tensor that
            broadcasts to x's shape (one value a channel, say); 0 is ReLU. It has a
            meaning only relative to the scale of x.

    Returns:
        A tensor of x's shape and dtype. NaN stays NaN; -inf gives 0, +inf +inf.

    Raises:
        ValueError: beta is a number out of range or none, x is not floating-point, or
            beta does not broadcast to x's shape.

    Source: Shamir & Lin, arXiv 2202.06499.

    Example:
        >>> smelu(tf.constant([-2.0, -0.5, 0.0, 2.0]), beta=1.0).numpy()
        array([0.    , 0.0625, 0.25  , 2.    ], dtype=float32)
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise ValueError(
            f"smelu: expected a floating-point tensor, received {x.dtype.name}."
        )
    # A half-precision beta would be off by up to 0.4 %: it stays in float32.
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    is_constant = not tf.is_tensor(beta) and not isinstance(beta, tf.Variable)
    if is_constant:
        beta = tf.constant(checked_beta(beta), dtype)
    beta = tf.cast(beta, dtype)
    _check_broadcast(beta, x)
    if not kernel.wants_gradient():
        return _forward(x, beta, compiled=False)
    return _smelu(x, beta, is_constant, kernel.should_compile(x))


def get(identifier: str | Activation) -> Activation:
    """An activation by its name, with a parameter after a colon, or as it is.

    Args:
        identifier: `smelu`, `smelu:0.5` (beta), `relu`, `swish`, `gelu`, another name
            below, a function, or a layer.

    Returns:
        A function of a tensor.

    Raises:
        ValueError: an unknown name, or a parameter that is none.

    Example:
        >>> get("smelu:0.5")(tf.constant([0.0])).numpy()
        array([0.125], dtype=float32)
    """
    if callable(identifier):
        return identifier
    name, colon, parameter = str(identifier).partition(":")
    if name not in _BY_NAME:
        nearest = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"activation: expected one of {', '.join(_BY_NAME)}, received "
            f"{identifier!r}; the nearest is {nearest}."
        )
    if not colon:
        return _BY_NAME[name]
    if name != "smelu":
        raise ValueError(
            f"activation: expected {name} without a parameter, received {identifier!r}."
        )
    try:
        beta = float(parameter)
    except ValueError:
        raise ValueError(
            f"activation: expected a number after smelu:, received {identifier!r}."
        ) from None
    return functools.partial(smelu, beta=checked_beta(beta))


def checked_beta(beta: Any) -> Any:
    """A Python or NumPy beta, once it is known to be a number from 0 to 1e38."""
    values = tf.nest.flatten(beta.tolist() if hasattr(beta, "tolist") else beta)
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= _MAX_BETA:
            raise ValueError(
                f"beta: expected a finite number of 0 or more, at most {_MAX_BETA:g}, "
                f"received {value!r}."
            )
    return beta


def _check_broadcast(beta: tf.Tensor, x: tf.Tensor) -> None:
    try:
        shape = tf.broadcast_static_shape(beta.shape, x.shape)
        fits = shape.is_compatible_with(x.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"beta: expected a shape that broadcasts to {x.shape}, "
            f"received {beta.shape}."
        )


def _tiny(dtype: tf.DType) -> float:
    """The smallest normal number: the divisor in place of a beta of 0."""
    return float(np.finfo(dtype.as_numpy_dtype).tiny)


def _value(x: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    # x is clipped, not r: the quotient stays finite, and so does its derivative.
    inside = tf.minimum(tf.maximum(x, -beta), beta)
    r = (inside + beta) / tf.maximum(2 * beta, _tiny(x.dtype))
    # Not r * max(x, beta * r): where both are equal, at x = beta, TensorFlow would
    # give the maximum's gradient to one of them and r's besides.
    return tf.where(x > beta, x, r * (beta * r))


def _slope_value(y: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """dy/dx, from the output."""
    return tf.sqrt(tf.clip_by_value(y / tf.maximum(beta, _tiny(y.dtype)), 0, 1))


_forward = kernel.Pass(_value)
_times_slope = kernel.Pass(lambda dy, y, beta: dy * _slope_value(y, beta))
_times_beta_slope = kernel.Pass(
    lambda dy, y, beta: dy * (_slope_value(y, beta) * (1 - _slope_value(y, beta)))
)


def _smelu(
    x: tf.Tensor, beta: tf.Tensor, is_constant: bool, compiled: bool
) -> tf.Tensor:
    """SmeLU with its first and second derivatives, in beta too unless it is constant.

    Two levels: the outer function's gradient uses its *output*, which the inner one
    ties to x, so that the gradient can be differentiated in turn.
    """

    @tf.custom_gradient
    def first_order(x: tf.Tensor, beta: tf.Tensor) -> _WithGradient:
        # A tape goes on recording in here: stopped, the compiled pass is not
        # differentiated, and hands out its output only.
        y = _forward(tf.stop_gradient(x), tf.stop_gradient(beta), compiled=compiled)

        def gradient(dy: tf.Tensor) -> _Gradients:
            return _gradient(dy, y, beta, is_constant, compiled)

        return y, gradient

    @tf.custom_gradient
    def second_order(x: tf.Tensor, beta: tf.Tensor) -> _WithGradient:
        y = first_order(x, beta)

        def gradient(dy: tf.Tensor) -> _Gradients:
            return _gradient(dy, y, beta, is_constant, compiled)

        return y, gradient

    return second_order(x, beta)


def _gradient(
    dy: tf.Tensor, y: tf.Tensor, beta: tf.Tensor, is_constant: bool, compiled: bool
) -> _Gradients:
    """The gradients in x and in beta, themselves differentiable."""

    @tf.custom_gradient
    def in_x(dy: tf.Tensor, y: tf.Tensor, beta: tf.Tensor) -> _WithGradient:
        stopped = [tf.stop_gradient(tensor) for tensor in (dy, y, beta)]

        def gradient(upstream: tf.Tensor) -> _Gradients:
            r, dr_dy, dr_dbeta = _slope_derivatives(y, beta)
            upstream = tf.cast(upstream, beta.dtype)
            product = upstream * tf.cast(dy, beta.dtype)
            return (
                tf.cast(upstream * r, y.dtype),
                tf.cast(product * dr_dy, y.dtype),
                _sum_to(product * dr_dbeta, beta),
            )

        return _times_slope(*stopped, compiled=compiled), gradient

    @tf.custom_gradient
    def in_beta(dy: tf.Tensor, y: tf.Tensor, beta: tf.Tensor) -> _WithGradient:
        stopped = [tf.stop_gradient(tensor) for tensor in (dy, y, beta)]

        def gradient(upstream: tf.Tensor) -> _Gradients:
            r, dr_dy, dr_dbeta = _slope_derivatives(y, beta)
            upstream = tf.cast(upstream, beta.dtype)
            product = upstream * tf.cast(dy, beta.dtype) * (1 - 2 * r)
            return (
                tf.cast(upstream * r * (1 - r), y.dtype),
                tf.cast(product * dr_dy, y.dtype),
                _sum_to(product * dr_dbeta, beta),
            )

        return _times_beta_slope(*stopped, compiled=compiled), gradient

    if is_constant:
        return in_x(dy, y, beta), None
    # Summed in beta's precision: half precision would lose most of a large sum.
    in_beta_everywhere = tf.cast(in_beta(dy, y, beta), beta.dtype)
    return in_x(dy, y, beta), _sum_to(in_beta_everywhere, beta)


def _slope_derivatives(y: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """r, and its derivatives in y and in beta, which are 0 outside the transition."""
    r = _slope_value(tf.cast(y, beta.dtype), beta)
    inside = (r > 0) & (r < 1)
    safe = tf.where(inside, 2 * beta * r, tf.ones_like(r))
    zero = tf.zeros_like(r)
    return r, tf.where(inside, 1 / safe, zero), tf.where(inside, -r * r / safe, zero)


def _sum_to(value: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """The sum of a tensor over the axes that another was broadcast along."""
    if like.shape.rank == 0:
        return tf.reduce_sum(value)
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(like), s1=tf.shape(value))
    return tf.reshape(tf.reduce_sum(value, axes), tf.shape(like))


_BY_NAME: dict[str, Activation] = {
    "smelu": smelu,
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
