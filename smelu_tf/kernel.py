"""How an activation's elementwise passes are run: compiled by XLA, or as plain ops.

A pass is a function of tensors. Compiled, it reads its input and writes its output
once; as plain ops it makes a temporary tensor at each step. Compiling is worth it
where a gradient is wanted, and only there: at serving it would recompile for every
new batch size, and would put functions marked `_XlaMustCompile` into the exported
model, which a server without XLA cannot run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

try:  # The one private name in use: is a gradient being recorded?
    from tensorflow.python.eager.record import could_possibly_record as _is_recording
except ImportError:  # moved in some later TensorFlow: plain ops are right, if slower

    def _is_recording() -> bool:
        return False


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
    return _policy != "auto" or _is_recording()


def should_compile(x: tf.Tensor) -> bool:
    """Whether the passes over x are to be compiled, by the policy in force."""
    if _policy != "auto":
        return _policy == "xla"
    if not _is_recording():
        return False
    return not tf.executing_eagerly() or x.shape.num_elements() >= _MIN_EAGER_SIZE


class Pass:
    """An elementwise pass that can be run both ways.

    Half-precision tensors are computed in float32 and rounded at the end.

    Args:
        function: of tensors of one dtype to a tensor of that dtype.
    """

    def __init__(self, function: Callable[..., tf.Tensor]) -> None:
        def in_compute_dtype(*tensors: tf.Tensor) -> tf.Tensor:
            dtype = tensors[0].dtype
            if dtype.size < 4:
                tensors = tuple(tf.cast(tensor, tf.float32) for tensor in tensors)
            return tf.cast(function(*tensors), dtype)

        self._ops = in_compute_dtype
        self._compiled = tf.function(
            in_compute_dtype, jit_compile=True, reduce_retracing=True, autograph=False
        )

    def __call__(self, *tensors: Any, compiled: bool) -> tf.Tensor:
        """Runs the pass on tensors, the first of which gives the result's dtype."""
        return (self._compiled if compiled else self._ops)(*tensors)
