"""How an activation's elementwise passes are run: compiled by XLA, or as plain ops.

A pass is a function of tensors. Compiled, it reads its input and writes its output
once; as plain ops it makes a temporary tensor at each step. Compiling is worth it
where a gradient is wanted, and only there: at serving it would recompile for every
new batch size, and would put functions marked `_XlaMustCompile` into the exported
model, which a server without XLA cannot run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

from .recording import is_recording

KernelPolicy = Literal["auto", "xla", "ops"]
_POLICIES = ("auto", "xla", "ops")

# Eager calls below this size are dominated by the cost of a call, which a compiled
# function does not lower.
_MIN_EAGER_SIZE = 1 << 16

_policy: KernelPolicy = "auto"


def set_kernel(policy: KernelPolicy) -> None:
    """Sets how activations are run from now on; read when a function is traced.

    Args:
        policy: `auto` (compiled while a gradient is recorded), `xla` (always
            compiled) or `ops` (never).

    Raises:
        ValueError: another policy.
    """
    global _policy
    if policy not in _POLICIES:
        raise ValueError(
            f"kernel: expected one of {', '.join(_POLICIES)}, received {policy!r}."
        )
    _policy = policy


def get_kernel() -> KernelPolicy:
    """The policy in force."""
    return _policy


def wants_gradient() -> bool:
    """Whether the custom gradient is to be put in, by the policy in force.

    Where nobody records a gradient, plain ops do: TensorFlow can differentiate them
    too should it come to that, and a saved model holds no custom gradients.
    """
    return _policy != "auto" or is_recording()


def should_compile(x: tf.Tensor) -> bool:
    """Whether the passes over x are to be compiled, by the policy in force."""
    if _policy != "auto":
        return _policy == "xla"
    if not is_recording():
        return False
    return not tf.executing_eagerly() or x.shape.num_elements() >= _MIN_EAGER_SIZE


class Pass:
    """An elementwise pass that can be run both ways.

    Half-precision tensors are computed in float32.

    Args:
        function: of tensors of one dtype, and Python numbers, to a tensor.
        rounded: whether the result has the first tensor's dtype again.
    """

    def __init__(
        self, function: Callable[..., tf.Tensor], rounded: bool = True
    ) -> None:
        # A partial, not a closure: TensorFlow counts retracings by code object, and
        # would warn of many for the one code of all closures.
        self._ops = functools.partial(_in_compute_dtype, function, rounded)
        self._compiled = tf.function(
            self._ops, jit_compile=True, reduce_retracing=True, autograph=False
        )

    def __call__(self, first: tf.Tensor, *others: Any, compiled: bool) -> tf.Tensor:
        """Runs the pass; a number among the others is taken as a constant."""
        if not compiled:
            return self._ops(first, *others)
        # As a number it would compile anew for each of its values.
        dtype = tf.float64 if first.dtype == tf.float64 else tf.float32
        return self._compiled(
            first,
            *[tf.constant(v, dtype) if isinstance(v, float) else v for v in others],
        )


def _in_compute_dtype(
    function: Callable[..., tf.Tensor], rounded: bool, first: tf.Tensor, *others: Any
) -> tf.Tensor:
    if first.dtype.size >= 4:
        return function(first, *others)
    result = function(*[_in_float32(value) for value in (first, *others)])
    return tf.cast(result, first.dtype) if rounded else result


def _in_float32(value: Any) -> Any:
    return value if isinstance(value, float) else tf.cast(value, tf.float32)
