"""Steps of an input pipeline that are Python, and how they end with the process.

A thread of TensorFlow's that waits for Python while the interpreter ends is ended with
it, and whoever then deletes its iterator waits for it for ever. So the iterators that
are left are deleted before.
"""

from __future__ import annotations

import atexit
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.data.ops.iterator_ops import OwnedIterator
from tensorflow.python.data.ops.multi_device_iterator_ops import (
    OwnedMultiDeviceIterator,
)

_RESOURCE_OF = {
    OwnedIterator: "_iterator_resource",
    OwnedMultiDeviceIterator: "_multi_device_iterator_resource",
}


def from_generator(
    generator: Callable[[], Iterator[Any]], signature: Any
) -> tf.data.Dataset:
    """The dataset of what a generator yields: `tf.data.Dataset.from_generator`."""
    _delete_iterators_at_exit()
    return tf.data.Dataset.from_generator(generator, output_signature=signature)


def numpy_function(
    function: Callable[..., Any], inputs: list[tf.Tensor], dtype: tf.DType
) -> tf.Tensor:
    """What a function of NumPy arrays returns: `tf.numpy_function`."""
    _delete_iterators_at_exit()
    return tf.numpy_function(function, inputs, dtype)


@functools.cache
def _delete_iterators_at_exit() -> None:
    atexit.register(_delete_iterators)


def _delete_iterators() -> None:
    # Whoever holds them: a variable, or the traceback of the error that ends the
    # process.
    for item in gc.get_objects():
        if type(item) in _RESOURCE_OF:
            setattr(item, _RESOURCE_OF[type(item)], None)
