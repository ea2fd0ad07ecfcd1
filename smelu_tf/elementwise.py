"""Elementwise functions of x and parameters, with gradients in all of them.

Each is one pass over memory forward and one backward for each gradient wanted. The
passes are differentiable in turn, so that second derivatives are right too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from . import kernel, recording

# The smallest normal numbers, of the dtypes that passes compute in.
TINY = {d: float(np.finfo(d.as_numpy_dtype).tiny) for d in (tf.float32, tf.float64)}

Formula = Callable[..., tf.Tensor]
# A float where it is constant, else a tensor. (`tf.is_tensor` would be slow to tell.)
Parameter = Any


class Elementwise:
    """A function of x and parameters that broadcast to it, with its own gradients.

    Args:
        value: (x, *parameters) -> y, right when TensorFlow differentiates it as it
            stands, at the joints of its pieces too.
        partials: (x, *parameters) -> the partial derivative of y, in x first and then
            in each parameter.
        from_output: (y, *parameters) -> the same, if y determines it. Then y is all
            that is kept for the gradient, where `kernel.keeps_input` does not say
            otherwise.
    """

    def __init__(
        self,
        value: Formula,
        partials: Sequence[Formula],
        from_output: Sequence[Formula] = (),
    ) -> None:
        self._value = kernel.Pass(value)
        self._partials = _passes(partials)
        self._from_output = _passes(from_output)

    # There is nothing here for AutoGraph, which takes its time to find that out.
    @tf.autograph.experimental.do_not_convert
    def __call__(self, x: tf.Tensor, *parameters: Parameter) -> tf.Tensor:
        """y, of x's shape and dtype; parameters are as `parameter` returns them."""
        if not kernel.wants_gradient():
            return self._value(x, *parameters, compiled=False)
        compiled = kernel.should_compile(x)
        from_output = bool(self._from_output) and not kernel.keeps_input()
        of_x, *of_parameters = self._from_output if from_output else self._partials
        # What the gradient is computed from: x, or y in its place, and the parameters,
        # as the function below is given them. Within a branch or a loop these are not
        # the caller's tensors.
        kept: list[Parameter] = []

        def value(x: tf.Tensor, *tensors: tf.Tensor) -> tf.Tensor:
            rest = iter(tensors)
            here = [p if isinstance(p, float) else next(rest) for p in parameters]
            y = self._value(x, *here, compiled=compiled)
            kept[:] = [y if from_output else x, *here]
            return y

        def gradient(dy: tf.Tensor) -> list[tf.Tensor]:
            # A compiled function cannot take a branch's tensors itself, an op can.
            of, *here = kept if tf.executing_eagerly() else map(_identity, kept)
            in_x = of_x(dy, of, *here, compiled=compiled)
            return [in_x] + [
                _sum_to(partial(dy, of, *here, compiled=compiled), p)
                for partial, p in zip(of_parameters, here, strict=True)
                if not isinstance(p, float)
            ]

        tensors = [p for p in parameters if not isinstance(p, float)]
        y = recording.with_gradient(value, gradient, [x, *tensors])
        if from_output:
            # The output as the caller has it: the gradient, computed from it, can be
            # differentiated through it down to x.
            kept[0] = y
        return y


def _passes(partials: Sequence[Formula]) -> list[kernel.Pass]:
    """Partial derivatives times the gradient of y, as passes."""
    return [
        kernel.Pass(_times(partial), rounded=index == 0)
        for index, partial in enumerate(partials)
    ]


def _identity(value: Parameter) -> Parameter:
    return value if isinstance(value, float) else tf.identity(value)


def floating(x: Any, function: str) -> tf.Tensor:
    """x as a tensor, once it is known to be dense and floating-point."""
    if not isinstance(x, tf.Tensor):
        if isinstance(x, tf.RaggedTensor | tf.SparseTensor):
            raise ValueError(
                f"{function}: expected a dense tensor, received a {type(x).__name__}; "
                "apply it to the tensor's values."
            )
        x = tf.convert_to_tensor(x)
    check_floating(x.dtype, function)
    return x


def check_floating(dtype: tf.DType, function: str) -> None:
    """Raises a ValueError if a dtype is not floating-point."""
    if not dtype.is_floating:
        raise ValueError(
            f"{function}: expected a floating-point tensor, received {dtype.name}."
        )


def parameter(value: Any, x: tf.Tensor, name: str) -> Parameter:
    """A parameter in the form that passes take: a Python number, or a tensor.

    Args:
        value: a number, an array, a tensor or a variable that broadcasts to x.
        x: what it is applied to.
        name: for the message.

    Raises:
        ValueError: the shape does not fit.
    """
    if isinstance(value, int | float) or is_number(value) and np.ndim(value) == 0:
        return float(value)
    # Half precision would put a parameter off by up to 0.4 %: it stays in float32.
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    tensor = tf.convert_to_tensor(value)
    if not tensor.dtype.is_floating and not tensor.dtype.is_integer:
        raise ValueError(f"{name}: expected numbers, received {tensor.dtype.name}.")
    tensor = tf.cast(tensor, dtype)
    try:
        shape = tf.broadcast_static_shape(tensor.shape, x.shape)
        fits = shape.is_compatible_with(x.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}: expected a shape that broadcasts to {x.shape}, "
            f"received {tensor.shape}."
        )
    return tensor


def is_number(value: Any) -> bool:
    """Whether a parameter's value is at hand: a number or an array of them."""
    return isinstance(value, int | float) or not (
        tf.is_tensor(value) or isinstance(value, tf.Variable)
    )


def check_numbers(value: Any, name: str, low: float, high: float) -> None:
    """Raises a ValueError if a number, or one in an array, is not in a range.

    Tensors are taken as they are: their values may not be known yet.
    """
    if type(value) is float and low <= value <= high:  # the usual case, at no cost
        return
    if not is_number(value):
        return
    wanted = "a finite number"
    if low == 0:
        wanted += f" of 0 or more, at most {high:g}"
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    bfloat16 = tf.bfloat16.as_numpy_dtype  # of no kind that NumPy has a letter for
    is_numeric = array.dtype.kind in "iuf" or array.dtype == bfloat16
    if is_numeric and array.size:
        array = array.astype(np.float64)
        if np.all((array >= low) & (array <= high)):
            return
    raise ValueError(f"{name}: expected {wanted}, received {value!r}.")


def at_least_tiny(value: Parameter, x: tf.Tensor) -> Parameter:
    """A divisor: the value, or the smallest normal number in place of 0."""
    tiny = TINY[x.dtype]
    return max(value, tiny) if isinstance(value, float) else tf.maximum(value, tiny)


def _times(partial: Formula) -> Formula:
    return lambda dy, kept, *parameters: tf.raw_ops.Mul(
        x=dy, y=partial(kept, *parameters)
    )


def _sum_to(value: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """The sum of a tensor over the axes that another was broadcast along."""
    if like.shape.rank == 0:
        return tf.reduce_sum(value)
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(like), s1=tf.shape(value))
    return tf.reshape(tf.reduce_sum(value, axes), tf.shape(like))
