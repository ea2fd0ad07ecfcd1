"""The activations as functions of tensors. Knows no Keras."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec

import numpy as np
import tensorflow as tf

from ._keras_flavour import flavour_of
from .densities import SMOOTHED, squareplus_scale
from .elementwise import check_floating, check_numbers, floating, is_number, parameter
from .transitions import GSMELU, SMELU

MAX_WIDTH = 1e38  # twice as much is a float32 still

_MAX = float(np.finfo(np.float32).max)

DENSITIES = ("uniform", *SMOOTHED)

# What makes the layer for a Keras and a function; each Keras's module enters its own.
LAYERS: dict[tuple[str, str], Callable[..., Any]] = {}

_P = ParamSpec("_P")


def _also_symbolic(function: Callable[_P, tf.Tensor]) -> Callable[_P, tf.Tensor]:
    """The function, which on a Keras model's symbolic tensors calls its layer."""

    @functools.wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> tf.Tensor:
        x = args[0] if args else kwargs.get("x")
        flavour = None if isinstance(x, tf.Tensor) else flavour_of(x, "KerasTensor")
        if flavour is None:
            return function(*args, **kwargs)
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
        dtype = tf.as_dtype(arguments.pop("x").dtype)
        check_floating(dtype, function.__name__)
        make = LAYERS.get((flavour, function.__name__))
        if make is None:
            raise ValueError(
                f"{function.__name__}: expected smelu_tf.{flavour}_layers to be "
                f"imported before a symbolic tensor of {flavour} is received."
            )
        policy = f"mixed_{dtype.name}" if dtype.size < 4 else dtype.name
        return make(**arguments, dtype=policy)(x)

    return wrapper


@_also_symbolic
def smelu(x: Any, beta: Any = 1.0) -> tf.Tensor:
    """Smooth ReLU: 0 left of -beta, x right of beta, a parabola between.

        smelu(x) = x where x > beta, else beta · r²
        r = clip((x + beta) / (2 · beta), 0, 1)

    First and second derivatives are right in x and in beta.

    Args:
        x: a floating-point tensor of any shape.
        beta: half-width of the transition, from 0 to 1e38, a number or a tensor that
            broadcasts to x's shape (one value a channel, say); 0 is ReLU. It has a
            meaning only relative to the scale of x. The slope is taken from the output,
            which in float16 must not overflow: beta up to 2.6e5 there.

    Returns:
        A tensor of x's shape and dtype. NaN stays NaN; -inf gives 0, +inf +inf.

    Raises:
        ValueError: beta is a number out of range or none, x is not floating-point, or
            beta does not broadcast to x's shape.

    Source: Shamir & Lin, arXiv 2202.06499.

    Examples:
        >>> smelu(tf.constant([-2.0, -0.5, 0.0, 2.0]), beta=1.0).numpy()
        array([0.    , 0.0625, 0.25  , 2.    ], dtype=float32)
    """
    check_smelu(beta)
    x = floating(x, "smelu")
    return SMELU(x, parameter(beta, x, "beta"))


@_also_symbolic
def gsmelu(
    x: Any,
    alpha: Any = 1.0,
    beta: Any = 1.0,
    g_minus: Any = 0.0,
    g_plus: Any = 1.0,
    t: Any = 0.0,
) -> tf.Tensor:
    """Generalised SmeLU: two lines of any slopes, joined by a parabola.

        gsmelu(x) = t + g_minus · (x + alpha)              left of -alpha
                    t + (x + alpha) · (g_minus + (g_plus - g_minus) · r / 2)
                    t + (alpha + beta) · (g_minus + g_plus) / 2
                      + g_plus · (x - beta)                right of beta
        r = clip((x + alpha) / (alpha + beta), 0, 1)

    The defaults are smelu(x). A leaky SmeLU, whose tails are lines through 0, has
    alpha = beta and t = -g_minus · alpha. First and second derivatives are right in x
    and in every parameter. Each parameter is a number or a tensor that broadcasts to
    x's shape.

    Args:
        x: a floating-point tensor of any shape.
        alpha: where the transition begins, at x = -alpha.
        beta: where it ends, at x = beta; alpha + beta is 0 or more, and 0 a kink.
        g_minus: the slope on the left.
        g_plus: the slope on the right.
        t: the value at x = -alpha.

    Returns:
        A tensor of x's shape and dtype. NaN stays NaN; at ±inf it is the limit.

    Raises:
        ValueError: a parameter is no finite number or does not broadcast to x's shape,
            alpha + beta is a negative number, or x is not floating-point.

    Source: Shamir & Lin, arXiv 2202.06499.

    Examples:
        >>> x = tf.constant([-2.0, 0.0, 2.0])
        >>> gsmelu(x, g_minus=0.5, t=-0.5).numpy()
        array([-1.   ,  0.125,  2.   ], dtype=float32)
    """
    check_gsmelu(alpha, beta, g_minus, g_plus, t)
    x = floating(x, "gsmelu")
    return GSMELU(
        x,
        parameter(alpha, x, "alpha"),
        parameter(beta, x, "beta"),
        parameter(g_minus, x, "g_minus"),
        parameter(g_plus, x, "g_plus"),
        parameter(t, x, "t"),
    )


@_also_symbolic
def rescu(x: Any, beta: Any = 1.0, density: str = "uniform") -> tf.Tensor:
    """Rectified smooth continuous unit: ReLU convolved with a probability density.

        rescu(x) = E[max(x - U, 0)],    U distributed by the density of width beta

    Its slope is the distribution function. First and second derivatives are right in x
    and in beta.

    | density | rescu(x) |
    |---|---|
    | uniform on -beta … beta | smelu(x, beta) |
    | triangular on -beta … beta | twice smoothed: beta · (1 + x/beta)³ / 6 left of 0 |
    | epanechnikov on -beta … beta | beta · (2r³ - r⁴), r as in smelu |
    | normal of deviation beta | x · Φ(x/beta) + beta · φ(x/beta) |
    | logistic of scale beta | softplus: beta · log(1 + exp(x/beta)) |
    | squareplus | (x + sqrt(x² + beta)) / 2 |
    | laplace of scale beta | relu(x) + beta/2 · exp(-abs(x)/beta) |

    Args:
        x: a floating-point tensor of any shape.
        beta: the width, from 0 to 1e38, a number or a tensor that broadcasts to x's
            shape; 0 is ReLU (there squareplus's gradient in beta is taken as 0).
        density: one of the names above.

    Returns:
        A tensor of x's shape and dtype. NaN stays NaN; -inf gives 0, +inf +inf.

    Raises:
        ValueError: beta is a number out of range or none or does not broadcast to x's
            shape, the density is unknown, or x is not floating-point.

    Source: Shamir & Lin, arXiv 2202.06499; squareplus: Barron, arXiv 2112.11687.

    Examples:
        >>> rescu(tf.constant([-1.0, 0.0, 1.0]), beta=1.0, density="triangular").numpy()
        array([0.        , 0.16666667, 1.        ], dtype=float32)
    """
    check_rescu(beta, density)
    x = floating(x, "rescu")
    beta = parameter(beta, x, "beta")
    if density == "uniform":
        return SMELU(x, beta)
    if density == "squareplus":
        beta = squareplus_scale(beta)
    return SMOOTHED[density](x, beta)


def check_smelu(beta: Any) -> None:
    """Raises a ValueError if a number beta is none that smelu takes."""
    check_numbers(beta, "beta", 0, MAX_WIDTH)


def check_gsmelu(alpha: Any, beta: Any, g_minus: Any, g_plus: Any, t: Any) -> None:
    """Raises a ValueError if a number among them is none that gsmelu takes."""
    check_numbers(alpha, "alpha", -MAX_WIDTH, MAX_WIDTH)
    check_numbers(beta, "beta", -MAX_WIDTH, MAX_WIDTH)
    check_numbers(g_minus, "g_minus", -_MAX, _MAX)
    check_numbers(g_plus, "g_plus", -_MAX, _MAX)
    check_numbers(t, "t", -_MAX, _MAX)
    if not is_number(alpha) or not is_number(beta):
        return
    try:
        width = np.add(alpha, beta)
    except ValueError:
        raise ValueError(
            "alpha, beta: expected shapes that broadcast to one another, received "
            f"{np.shape(alpha)} and {np.shape(beta)}."
        ) from None
    if np.any(width < 0):
        raise ValueError(
            "alpha + beta: expected 0 or more, the width of the transition, received "
            f"{alpha!r} + {beta!r}."
        )


def check_rescu(beta: Any, density: Any) -> None:
    """Raises a ValueError if rescu does not take a number beta, or the density."""
    check_numbers(beta, "beta", 0, MAX_WIDTH)
    if not isinstance(density, str) or density not in DENSITIES:
        nearest = difflib.get_close_matches(str(density), DENSITIES, n=1, cutoff=0.0)
        raise ValueError(
            f"density: expected one of {', '.join(DENSITIES)}, received {density!r}; "
            f"the nearest is {nearest[0]}."
        )
