"""The loss scale of a training in float16, whose gradients would vanish without one.

float16 has no numbers below 6e-8. So the loss is multiplied by a scale before its
gradient is taken, and the gradients, by then float32, are divided by it. The scale is
Keras's `LossScaleOptimizer`'s, which has it in its checkpoints: 2^15 at first; a step
whose gradients are not all finite, on any replica, changes no weight and no slot and
halves it, to no less than 1; 2000 steps in a row that are finite double it.

A skipped step counts in `optimizer.iterations`: its batch was read, predicted and
counted into the figures. So a run goes on where it was, schedules follow the batches,
and a moving average takes such a step for one that left the weights as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from .optimizers import WideDeepOptimizer

AnyOptimizer = Any
"""A `WideDeepOptimizer`, or Keras's `LossScaleOptimizer` around one."""

_MIN_SCALE = 1.0


def wrapped(optimizer: WideDeepOptimizer, policy: Any) -> AnyOptimizer:
    """The optimizer for models of a dtype policy, as Keras's `compile` wraps it.

    Args:
        optimizer: not wrapped yet.
        policy: the model's `dtype_policy`.
    """
    if policy.name != "mixed_float16":
        return optimizer
    return tf_keras.mixed_precision.LossScaleOptimizer(optimizer)


def unwrapped(optimizer: AnyOptimizer) -> WideDeepOptimizer:
    """The optimizer itself, without a loss scale around it."""
    return optimizer.inner_optimizer if _has_scale(optimizer) else optimizer


def check_strategy(compute_dtype: str, strategy: tf.distribute.Strategy) -> None:
    """Raises a ValueError where float16 is asked of a strategy without a common scale.

    Workers of parameter servers do not wait for one another: the scale that one of them
    has multiplied with may be another one when it divides. TPUs have bfloat16.

    Args:
        compute_dtype: `train.compute_dtype`.
        strategy: what distributes the run.
    """
    without = {
        tf.distribute.ParameterServerStrategy: "parameter_server",
        tf.distribute.TPUStrategy: "tpu",
    }
    for kind, name in without.items():
        if compute_dtype == "float16" and isinstance(strategy, kind):
            raise ValueError(
                "train.compute_dtype: expected float32, bfloat16 or auto with "
                f"strategy={name}, received float16."
            )


def minimize(
    optimizer: AnyOptimizer,
    loss: tf.Tensor,
    variables: Sequence[tf.Variable],
    tape: tf.GradientTape,
) -> tf.Tensor:
    """Makes a step, or skips it where gradients in float16 are not finite.

    Args:
        optimizer: makes it.
        loss: a scalar: this replica's part.
        variables: what is trained.
        tape: has recorded the loss.

    Returns:
        A bool scalar: false if not even the gradients of the unscaled loss are finite.
    """
    if not _has_scale(optimizer):
        optimizer.minimize(loss, variables, tape=tape)
        return tf.constant(True)
    before = optimizer.loss_scale
    optimizer.minimize(loss, variables, tape=tape)
    return (before > _MIN_SCALE) | tf.logical_not(_is_at_its_end(optimizer))


def exhausted_text(optimizer: AnyOptimizer) -> str:
    """What is wrong where no scale is small enough, for an error; else empty."""
    if not _has_scale(optimizer) or not bool(_is_at_its_end(optimizer)):
        return ""
    return (
        "expected finite gradients in float16, received others at every loss scale "
        "down to 1 (float32 or bfloat16 may do: train.compute_dtype)"
    )


def _is_at_its_end(optimizer: AnyOptimizer) -> tf.Tensor:
    # Steps in a row are counted from a doubling, too, but behind one the scale is 2.
    num_good_steps = tf.convert_to_tensor(optimizer.dynamic_counter)
    return (optimizer.loss_scale <= _MIN_SCALE) & (num_good_steps == 0)


def _has_scale(optimizer: AnyOptimizer) -> bool:
    return isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
