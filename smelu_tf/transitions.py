"""SmeLU and gSmeLU: lines joined by a parabola.

SmeLU in the form used here, with r = (clip(x, -β, β) + β) / 2β:

    y = max(r · β·r, x),    dy/dx = r,    dy/dβ = r · (1 - r)

It is exact in both tails, right at ±∞ and at β = 0, where it is ReLU; differentiated
as it stands it is right at the joints too. Since r = sqrt(min(y / β, 1)), the gradient
needs the output alone, which the next layer keeps anyway: SmeLU costs no more memory
than ReLU. In a TPU's program it is taken from the input (`kernel.keeps_input`).

gSmeLU with u = clip(x, -α, β), r = (u + α) / (α + β) (1 where x > β) and Δ = g₊ - g₋:

    y = t + (x - u) · (g₊ where x > β, else g₋) + (u + α) · (g₋ + Δ · r/2)
    dy/dx = g₋ + Δ·r,    dy/dα = g₋ + Δ·(r - r²/2),    dy/dβ = -Δ·r²/2,    dy/dt = 1
    dy/dg₋ = min(x + α, 0) + (u + α) · (1 - r/2)
    dy/dg₊ = max(x - β, 0) + (u + α) · r/2
"""

from __future__ import annotations

import math

import tensorflow as tf

from .elementwise import TINY, Elementwise, Parameter, at_least_tiny


# In eager mode TensorFlow's operators take a Python number at several times the cost of
# the operation behind them.
def _add(a: tf.Tensor, b: Parameter) -> tf.Tensor:
    return tf.raw_ops.AddV2(x=a, y=b)


def _multiply(a: tf.Tensor, b: Parameter) -> tf.Tensor:
    return tf.raw_ops.Mul(x=a, y=b)


def _divide(a: tf.Tensor, b: Parameter) -> tf.Tensor:
    return tf.raw_ops.RealDiv(x=a, y=b)


def _smelu_share(x: tf.Tensor, beta: Parameter) -> tf.Tensor:
    """r; 0 where there is no transition."""
    # x is clipped, not r: the quotient stays finite, and so does its derivative.
    inside = tf.minimum(tf.maximum(x, -beta), beta)
    return _divide(_add(inside, beta), at_least_tiny(2 * beta, x))


def _smelu(x: tf.Tensor, beta: Parameter) -> tf.Tensor:
    r = _smelu_share(x, beta)
    # Where both are equal, at x = beta, TensorFlow differentiates the first.
    return tf.maximum(_multiply(r, _multiply(r, beta)), x)


def _smelu_in_x(x: tf.Tensor, beta: Parameter) -> tf.Tensor:
    r = _smelu_share(x, beta)
    # At the left joint TensorFlow is to differentiate the tail.
    r = tf.where(x <= -beta, tf.zeros_like(r), r)
    return tf.where(x > beta, tf.ones_like(r), r)


def _smelu_in_beta(x: tf.Tensor, beta: Parameter) -> tf.Tensor:
    r = _smelu_in_x(x, beta)
    return r * (1 - r)


def _smelu_slope(y: tf.Tensor, beta: Parameter) -> tf.Tensor:
    tiny = TINY[y.dtype]
    # The root of a square of 0 is 0 exactly, but has a derivative that is not infinite:
    # the chain rule will multiply it by 0.
    square = tf.maximum(_divide(y, at_least_tiny(beta, y)), tiny)
    # Clipped at last: next to the maximum, older XLA would make one clamp of the two,
    # and that loses NaN.
    return tf.minimum(_add(tf.sqrt(square), -math.sqrt(tiny)), 1.0)


def _smelu_beta_slope(y: tf.Tensor, beta: Parameter) -> tf.Tensor:
    r = _smelu_slope(y, beta)
    return r * (1 - r)


SMELU = Elementwise(
    _smelu,
    [_smelu_in_x, _smelu_in_beta],
    from_output=[_smelu_slope, _smelu_beta_slope],
)


def _transition(
    x: tf.Tensor, alpha: Parameter, beta: Parameter
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """x - u, u + α and r."""
    inside = tf.minimum(tf.maximum(x, -alpha), beta)
    within = inside + alpha
    # Divided by infinity, a transition of no width has a share and a derivative of 0.
    width = tf.convert_to_tensor(alpha + beta, x.dtype)
    r = within / tf.where(width > 0, width, math.inf)
    return x - inside, within, tf.where(x > beta, tf.ones_like(r), r)


def _gsmelu(
    x: tf.Tensor, alpha: Parameter, beta: Parameter, *lines: Parameter
) -> tf.Tensor:
    g_minus, g_plus, t = (tf.convert_to_tensor(line, x.dtype) for line in lines)
    beyond, within, r = _transition(x, alpha, beta)
    # Not NaN where x is infinite and the slope 0.
    outside = tf.math.multiply_no_nan(beyond, tf.where(x > beta, g_plus, g_minus))
    return t + outside + within * (g_minus + (g_plus - g_minus) * (r / 2))


def _in_x(
    x: tf.Tensor, alpha: Parameter, beta: Parameter, *lines: Parameter
) -> tf.Tensor:
    g_minus, g_plus, _ = lines
    r = _transition(x, alpha, beta)[2]
    return g_minus + (g_plus - g_minus) * r


def _in_alpha(
    x: tf.Tensor, alpha: Parameter, beta: Parameter, *lines: Parameter
) -> tf.Tensor:
    g_minus, g_plus, _ = lines
    r = _transition(x, alpha, beta)[2]
    return g_minus + (g_plus - g_minus) * (r - r * r / 2)


def _in_beta(
    x: tf.Tensor, alpha: Parameter, beta: Parameter, *lines: Parameter
) -> tf.Tensor:
    g_minus, g_plus, _ = lines
    r = _transition(x, alpha, beta)[2]
    return (g_minus - g_plus) * (r * r / 2)


def _in_g_minus(
    x: tf.Tensor, alpha: Parameter, beta: Parameter, *lines: Parameter
) -> tf.Tensor:
    beyond, within, r = _transition(x, alpha, beta)
    return tf.where(x > beta, tf.zeros_like(x), beyond) + within * (1 - r / 2)


def _in_g_plus(
    x: tf.Tensor, alpha: Parameter, beta: Parameter, *lines: Parameter
) -> tf.Tensor:
    beyond, within, r = _transition(x, alpha, beta)
    return tf.where(x > beta, beyond, tf.zeros_like(x)) + within * (r / 2)


def _in_t(x: tf.Tensor, *parameters: Parameter) -> tf.Tensor:
    return tf.ones_like(x)


GSMELU = Elementwise(
    _gsmelu, [_in_x, _in_alpha, _in_beta, _in_g_minus, _in_g_plus, _in_t]
)
