"""The rules that change rows of weights: FTRL-proximal, Adagrad and lazy Adam.

Each takes a gradient, the rows and what is kept of them, and returns the rows and what
is kept of them behind the step. All are of one shape and dtype.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

EPSILON = 1e-7
"""What Adam's and Adagrad's roots are kept from 0 by."""

BETA_1, BETA_2 = 0.9, 0.999
"""Adam's decays of the mean and of the mean square of gradients."""

SLOTS: dict[str, tuple[str, ...]] = {
    "adam": ("m", "v"),
    "adagrad": ("accumulator",),
    "ftrl": ("accumulator", "linear"),
}
"""What each rule keeps of a weight, as checkpoints name it."""

NUM_SLOTS = {rule: len(slots) for rule, slots in SLOTS.items()}
"""How many numbers each rule keeps of a weight."""


def ftrl(
    grad: tf.Tensor,
    row: tf.Tensor,
    n: tf.Tensor,
    z: tf.Tensor,
    rate: tf.Tensor,
    l1: tf.Tensor,
    l2: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """FTRL-proximal.

        n' = n + g²,    z' = z + g - (sqrt(n') - sqrt(n)) / rate · w
        w' = 0                                                      |z'| ≤ l1
        w' = -(z' - sign(z') l1) / (sqrt(n') / rate + 2 l2)         otherwise

    Args:
        grad: g.
        row: w.
        n: the sum of squares.
        z: the sum of gradients, less what the weights' changes amount to.
        rate: a scalar.
        l1: a scalar.
        l2: a scalar.
    """
    new_n = n + tf.square(grad)
    root = tf.sqrt(new_n)
    z += grad - (root - tf.sqrt(n)) / rate * row
    shrunk = tf.clip_by_value(z, -l1, l1) - z
    return tf.math.divide_no_nan(shrunk, root / rate + 2.0 * l2), new_n, z


def ftrl_sums(
    weight: tf.Tensor, n: float, rate: tf.Tensor, l1: tf.Tensor, l2: tf.Tensor
) -> tf.Tensor:
    """The sums z that give the weights that are there: FTRL makes weights of sums.

    Zero for weights of zero; of a warm start's they keep its first update from
    throwing them away.

    Args:
        weight: w.
        n: the sum of squares, that of all weights.
        rate: as in `ftrl`.
        l1: as there.
        l2: as there.
    """
    scale = tf.sqrt(tf.cast(n, weight.dtype)) / rate + 2.0 * l2
    return -weight * scale - tf.sign(weight) * l1


def adagrad(
    grad: tf.Tensor, row: tf.Tensor, total: tf.Tensor, rate: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Adagrad: n' = n + g², w' = w - rate · g / (sqrt(n') + EPSILON).

    Args:
        grad: g.
        row: w.
        total: n.
        rate: a scalar.
    """
    total += tf.square(grad)
    step = grad / (tf.sqrt(total) + EPSILON)
    return row - rate * step, total


def lazy_adam(
    grad: tf.Tensor,
    row: tf.Tensor,
    m: tf.Tensor,
    v: tf.Tensor,
    rate: tf.Tensor,
    step: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Adam, of the rows that are given: m and v of others stay as they are.

        m' = β1 m + (1 - β1) g,    v' = β2 v + (1 - β2) g²
        w' = w - rate · sqrt(1 - β2^t) / (1 - β1^t) · m' / (sqrt(v') + EPSILON)

    Args:
        grad: g.
        row: w.
        m: the mean gradient.
        v: the mean square.
        rate: a scalar.
        step: t, from 1 on.
    """
    power_1, power_2 = adam_powers(step, row.dtype)
    rate = rate * tf.sqrt(1.0 - power_2) / (1.0 - power_1)
    m = BETA_1 * m + (1.0 - BETA_1) * grad
    v = BETA_2 * v + (1.0 - BETA_2) * tf.square(grad)
    return row - rate * m / (tf.sqrt(v) + EPSILON), m, v


def adam_powers(step: tf.Tensor, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """β1^t and β2^t.

    Args:
        step: t.
        dtype: of what is returned.
    """
    step = tf.cast(step, dtype)
    return tf.pow(tf.cast(BETA_1, dtype), step), tf.pow(tf.cast(BETA_2, dtype), step)


ROW_UPDATES: dict[str, Callable[..., tuple[tf.Tensor, ...]]] = {
    "adam": lazy_adam,
    "adagrad": adagrad,
    "ftrl": ftrl,
}
"""The rules by name: of a gradient, rows, those of `SLOTS`, and settings."""
