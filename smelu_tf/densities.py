"""The densities whose convolution with ReLU makes the activations of `rescu`.

With p a symmetric density of scale 1, U distributed by it, and a = |x| / β,

    y = relu(x) + β · E[max(U - a, 0)]

so that dy/dx is p's distribution function at x / β. For each density there are three
functions of the distance from 0, so that no sum with x rounds what is small far out
(the normal density's excess is itself a difference, of relative error 1e-4 at six
deviations, in float32): y's excess over ReLU, the upper tail probability P(U > a), and
dy/dβ = excess + a · tail, all for β = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from .elementwise import Elementwise, Parameter, at_least_tiny

_OfDistance = Callable[[tf.Tensor], tf.Tensor]


class Density(NamedTuple):
    """A symmetric density of scale 1, as `rescu` needs it.

    Attributes:
        excess: E[max(U - a, 0)].
        tail: P(U > a).
        scale_slope: excess + a · tail.
        limit: of a, beyond which all three are 0 in float64. If it is 1 they are
            functions not of a but of 1 - a, which is exact near the edge.
    """

    excess: _OfDistance
    tail: _OfDistance
    scale_slope: _OfDistance
    limit: float


def _normal_density(a: tf.Tensor) -> tf.Tensor:
    return tf.exp(-a * a / 2) / math.sqrt(2 * math.pi)


def _normal_tail(a: tf.Tensor) -> tf.Tensor:
    return tf.math.erfc(a / math.sqrt(2)) / 2


def _root(a: tf.Tensor) -> tf.Tensor:
    # sqrt(1 + a²), without the square's overflow.
    return tf.maximum(tf.sqrt(1 + tf.minimum(a, 1e18) ** 2), a)


_DENSITIES = {
    # Two uniform ones convolved: p = 1 - a.
    "triangular": Density(
        excess=lambda d: d**3 / 6,
        tail=lambda d: d**2 / 2,
        scale_slope=lambda d: d**2 * (3 - 2 * d) / 6,
        limit=1,
    ),
    # p = ¾ (1 - a²).
    "epanechnikov": Density(
        excess=lambda d: (d / 2) ** 3 * (2 - d / 2),
        tail=lambda d: (d / 2) ** 2 * (3 - d),
        scale_slope=lambda d: 3 * (d / 2 * (1 - d / 2)) ** 2,
        limit=1,
    ),
    "normal": Density(
        excess=lambda a: _normal_density(a) - a * _normal_tail(a),
        tail=_normal_tail,
        scale_slope=_normal_density,
        limit=40,
    ),
    "logistic": Density(
        excess=lambda a: tf.math.log1p(tf.exp(-a)),
        tail=lambda a: tf.sigmoid(-a),
        scale_slope=lambda a: tf.math.log1p(tf.exp(-a)) + a * tf.sigmoid(-a),
        limit=800,
    ),
    # Student's t with 2 degrees of freedom, times sqrt(½): p = ½ (1 + a²)^(-3/2).
    "squareplus": Density(
        excess=lambda a: 0.5 / (a + _root(a)),
        tail=lambda a: 0.5 / (a + _root(a)) / _root(a),
        scale_slope=lambda a: 0.5 / _root(a),
        limit=math.inf,
    ),
    "laplace": Density(
        excess=lambda a: tf.exp(-a) / 2,
        tail=lambda a: tf.exp(-a) / 2,
        scale_slope=lambda a: (1 + a) * tf.exp(-a) / 2,
        limit=800,
    ),
}


def _distance(x: tf.Tensor, beta: tf.Tensor, limit: float) -> tf.Tensor:
    # At 0 TensorFlow differentiates the first of the two, which makes the gradients
    # below right there as well: those of relu(x) and of the tail, taken for x <= 0.
    distance = tf.maximum(-x, x)
    if limit == 1:
        return tf.maximum(beta - distance, 0) / at_least_tiny(beta, x)
    beta = tf.convert_to_tensor(beta, x.dtype)
    # At beta 0 all is beyond the limit, x = 0 too: the activation is ReLU.
    offset = tf.where(beta > 0, tf.zeros_like(beta), math.inf)
    return tf.minimum(distance / at_least_tiny(beta, x) + offset, limit)


def _activation(density: Density) -> Elementwise:
    def value(x: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        excess = density.excess(_distance(x, beta, density.limit))
        return tf.maximum(tf.zeros([], x.dtype), x) + beta * excess

    def slope(x: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        tail = density.tail(_distance(x, beta, density.limit))
        return tf.where(x > 0, 1 - tail, tail)

    def beta_slope(x: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        return density.scale_slope(_distance(x, beta, density.limit))

    return Elementwise(value, [slope, beta_slope])


SMOOTHED = {name: _activation(density) for name, density in _DENSITIES.items()}


def squareplus_scale(beta: Parameter) -> Parameter:
    """The scale of squareplus's density, the square root of its parameter."""
    if isinstance(beta, float):
        return math.sqrt(beta)
    is_positive = beta > 0
    # No infinite derivative at 0.
    root = tf.sqrt(tf.where(is_positive, beta, tf.ones_like(beta)))
    return tf.where(is_positive, root, tf.zeros_like(beta))
