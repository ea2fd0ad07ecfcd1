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

KernelPolicy = Literal["auto", "xla", "ops", "tpu"]
_POLICIES = ("auto", "xla", "ops", "tpu")

# Where the size is known and below this, plain ops are as fast or faster.
_MIN_SIZE = 1 << 16

_policy: KernelPolicy = "auto"


def set_kernel(policy: KernelPolicy) -> None:
    """Sets how activations are run from now on; read when a function is traced.

    Args:
        policy: `auto` (compiled while a gradient is recorded; under a `TPUStrategy`
            as `tpu`), `xla` (always compiled), `ops` (never), or `tpu`: never by
            itself, as a part of a program that XLA compiles for a TPU.

    Raises:
        ValueError: another policy.

    Examples:
        >>> set_kernel("ops")  # XLA is out of the way where one looks for a fault
        >>> get_kernel()
        'ops'
        >>> set_kernel("auto")
    """
    global _policy
    if policy not in _POLICIES:
        raise ValueError(
            f"kernel: expected one of {', '.join(_POLICIES)}, received {policy!r}."
        )
    _policy = policy


def get_kernel() -> KernelPolicy:
    """How activations are run at present.

    Returns:
        The policy that `set_kernel` was last called with, `auto` at first.

    Examples:
        >>> get_kernel()
        'auto'
    """
    return _policy


def wants_gradient() -> bool:
    """Whether the custom gradient is to be put in, by the policy in force.

    Where nobody records a gradient, plain ops do: TensorFlow can differentiate them
    too should it come to that, and a saved model holds no custom gradients.
    """
    return _policy != "auto" or is_recording()


def keeps_input() -> bool:
    """Whether gradients are taken from the input, where they could be from the output.

    In a TPU's program the input costs nothing: the compiler keeps what it likes, and
    computes the output anew from it inside the next matrix product. There SmeLU's step
    has exactly the bytes and the peak memory of ReLU's, and no root, where by the
    output it has 0.8 % more bytes (`scripts/tpu_preflight.py --activation_report`).
    """
    if _policy != "auto":
        return _policy == "tpu"
    # What a TPU runs is always a graph.
    return not tf.executing_eagerly() and isinstance(
        tf.distribute.get_strategy(), tf.distribute.TPUStrategy
    )


def should_compile(x: tf.Tensor) -> bool:
    """Whether the passes over x are to be compiled, by the policy in force.

    Forward and backward pass of SmeLU relative to ReLU's, plain and compiled, on 2
    cores (`scripts/benchmark.py activations --elements=16384,65536,131072,524288`):

    | elements | graph, float32 | bfloat16 | eager, float32 | bfloat16 |
    |---|---|---|---|---|
    | 2¹⁴ | 1.07, 1.12 | 1.07, 1.31 | 2.9, 4.8 | 3.5, 5.4 |
    | 2¹⁶ | 1.24, 1.58 | 1.32, 1.29 | 3.4, 5.9 | 3.9, 4.4 |
    | 2¹⁷ | 1.66, 1.04 | 2.20, 1.18 | 4.4, 2.4 | 10.0, 3.6 |
    | 2¹⁹ | 2.09, 1.12 | 2.59, 0.98 | 4.7, 1.9 | 5.8, 1.7 |

    The other functions take more operations, and gain from 2¹⁶ elements on.
    """
    if not wants_gradient() or keeps_input():
        return False
    if _policy != "auto":
        return _policy == "xla"
    size = x.shape.num_elements()
    return size is None or size >= _MIN_SIZE


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
