"""Gradients that TensorFlow is recording, and those it is told of.

It uses private names of TensorFlow: its module of tapes, and its list of gradients.
Without them, in some later version, all works as before, slower and with more memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

try:
    from tensorflow.python.eager import record as _record
except ImportError:
    _record = None

try:
    from tensorflow.python.framework.ops import gradient_registry as _registry

    _registered: dict[str, Any] = _registry._registry
except (ImportError, AttributeError):
    _registered = {}

Gradient = Callable[[tf.Tensor], Sequence[tf.Tensor]]


def is_recording() -> bool:
    """Whether a gradient is being recorded, as far as can be told; if not sure, no."""
    return _record is not None and _record.could_possibly_record()


def paused() -> contextlib.AbstractContextManager[None]:
    """Inside, no gradient is recorded, as far as that can be had."""
    if _record is None:
        return contextlib.nullcontext()
    return _record.stop_recording()


def with_gradient(
    function: Callable[..., tf.Tensor], gradient: Gradient, inputs: Sequence[tf.Tensor]
) -> tf.Tensor:
    """The result of a function of tensors, with a gradient of one's own.

    Args:
        function: of the inputs; nothing in it is recorded.
        gradient: of the result's gradient, to those of the inputs.
        inputs: tensors.
    """
    if _record is not None and tf.executing_eagerly():
        # What `tf.custom_gradient` does, for less: small tensors feel it.
        with _record.stop_recording():
            result = function(*inputs)
        _record.record_operation("Elementwise", [result], list(inputs), gradient)
        return result

    @tf.custom_gradient
    def custom(*inputs: tf.Tensor) -> Any:
        # Not `stop_gradient` of the inputs: what rewrites a graph without its custom
        # gradients (vectorized_map, forward mode) differentiates what stands here.
        return function(*inputs), gradient

    return custom(*inputs)


@contextlib.contextmanager
def registered_gradients(names: set[str]) -> Iterator[None]:
    """Adds the names of the custom gradients that are made inside, in graphs.

    TensorFlow holds them, and with each the whole graph that it is in, until the
    process ends or `forget_gradients` is told their names.
    """
    before = set(_registered)
    try:
        yield
    finally:
        new = _registered.keys() - before
        names.update(name for name in new if name.startswith("CustomGradient"))


def forget_gradients(names: set[str]) -> None:
    """Lets go of custom gradients of graphs that will not be differentiated again."""
    for name in names:
        _registered.pop(name, None)
