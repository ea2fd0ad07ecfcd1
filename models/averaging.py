"""The moving average of weights, exact for rows that few batches look up."""

from __future__ import annotations

import math

import tensorflow as tf


def part_kept(decay: float, since: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """The part of its distance to a weight that an average keeps between two steps.

    The average after t steps weighs the weights of step i by d^(t - i):

        a_t = sum over i = 1 … t of d^(t - i) · w_i  ÷  sum of d^(t - i)
            = d_t · a_(t-1) + (1 - d_t) · w_t,    d_t = d · (1 - d^(t-1)) / (1 - d^t)

    so that d_1 = 0: the initial weights do not count. The product of these factors from
    step s + 1 to step t is what is returned:

        d^(t - s) · (1 - d^s) / (1 - d^t)

    It is 0 for s = 0: the average of a weight that never changed is that weight.

    Args:
        decay: d, 0 < d < 1.
        since: s, integers of any shape, 0 ≤ s ≤ t.
        step: t, integers that broadcast to it.

    Returns:
        float64, of the shape of `since`.

    Source: of the correction, Kingma & Ba, arXiv 1412.6980, section 3.

    Examples:
        >>> part_kept(0.5, tf.constant([0, 1, 2]), tf.constant(2)).numpy()
        array([0.        , 0.33333333, 1.        ])
    """
    log_decay = math.log(decay)
    s, t = tf.cast(since, tf.float64), tf.cast(step, tf.float64)
    # 1 - d^s to all its digits, where d is nearly 1.
    started = tf.math.divide_no_nan(
        tf.math.expm1(s * log_decay), tf.math.expm1(t * log_decay)
    )
    return tf.exp((t - s) * log_decay) * started


def moved_average(
    decay: float,
    average: tf.Tensor,
    weight: tf.Tensor,
    since: tf.Tensor,
    step: tf.Tensor,
) -> tf.Tensor:
    """The average some steps later, in which the weight was what it is.

        a_t = w + (a_s - w) · part_kept(d, s, t)

    Args:
        decay: d.
        average: a_s, (rows, …).
        weight: w, of the same shape.
        since: s, integers (rows,), or a scalar for a scalar weight.
        step: t, a scalar, or as `since`.

    Returns:
        a_t, of the shape and dtype of `weight`.
    """
    kept = tf.cast(part_kept(decay, since, step), weight.dtype)
    kept = kept[(..., *[tf.newaxis] * (weight.shape.rank - kept.shape.rank))]
    return weight + (average - weight) * kept
