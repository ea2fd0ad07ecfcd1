"""Updates of whole weights by TensorFlow's own operations, a rule each.

What they compute is that of `update_rules`, but Adam is not lazy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from .update_rules import BETA_1, BETA_2, EPSILON, adam_powers


def _apply_ftrl(
    grad: tf.Tensor,
    var: tf.Variable,
    slots: Sequence[tf.Variable],
    rate: tf.Tensor,
    l1: tf.Tensor,
    l2: tf.Tensor,
) -> tf.Operation:
    accumulator, linear = slots
    return tf.raw_ops.ResourceApplyFtrlV2(
        var=var.handle,
        accum=accumulator.handle,
        linear=linear.handle,
        grad=grad,
        lr=rate,
        l1=l1,
        l2=l2,
        l2_shrinkage=tf.zeros([], var.dtype),
        lr_power=tf.constant(-0.5, var.dtype),
        use_locking=True,
    )


def _apply_adagrad(
    grad: tf.Tensor, var: tf.Variable, slots: Sequence[tf.Variable], rate: tf.Tensor
) -> tf.Operation:
    (accumulator,) = slots
    return tf.raw_ops.ResourceApplyAdagradV2(
        var=var.handle,
        accum=accumulator.handle,
        lr=rate,
        epsilon=tf.cast(EPSILON, var.dtype),
        grad=grad,
        use_locking=True,
    )


def _apply_adam(
    grad: tf.Tensor,
    var: tf.Variable,
    slots: Sequence[tf.Variable],
    rate: tf.Tensor,
    step: tf.Tensor,
) -> tf.Operation:
    m, v = slots
    power_1, power_2 = adam_powers(step, var.dtype)
    return tf.raw_ops.ResourceApplyAdam(
        var=var.handle,
        m=m.handle,
        v=v.handle,
        beta1_power=power_1,
        beta2_power=power_2,
        lr=rate,
        beta1=tf.cast(BETA_1, var.dtype),
        beta2=tf.cast(BETA_2, var.dtype),
        epsilon=tf.cast(EPSILON, var.dtype),
        grad=grad,
        use_locking=True,
    )


DENSE_UPDATES: dict[str, Callable[..., tf.Operation]] = {
    "adam": _apply_adam,
    "adagrad": _apply_adagrad,
    "ftrl": _apply_ftrl,
}
"""By rule: of a gradient, a weight, its slots, and the settings of `ROW_UPDATES`."""
