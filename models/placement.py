"""Where tables are kept that are too large for an accelerator's memory: on the host."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf

_TABLE_DEVICE = contextvars.ContextVar("table_device", default="")


@contextlib.contextmanager
def tables_on(device: str) -> Iterator[None]:
    """Inside, stacked tables are made that are kept, and looked up, on a device.

    What an optimizer keeps of their rows is there too, and updates them there. A
    training step then moves the distinct rows of a batch to the accelerator, and their
    gradients back. What is computed is the same.

    Args:
        device: as `tf.device` takes it: `/CPU:0` is host memory; empty: as without
            this.

    Examples:
        >>> with tables_on("/CPU:0"):
        ...     model = WideDeep(read_manifest("blocks").schema)
        >>> model.deep.embeddings[0].table.device
        '/job:localhost/replica:0/task:0/device:CPU:0'
    """
    token = _TABLE_DEVICE.set(device)
    try:
        yield
    finally:
        _TABLE_DEVICE.reset(token)


def table_device() -> str:
    """The device of tables made here; empty: TensorFlow's choice."""
    return _TABLE_DEVICE.get()


def on_device(device: str) -> contextlib.AbstractContextManager[None]:
    """`tf.device`, or nothing where the device is empty."""
    return tf.device(device) if device else contextlib.nullcontext()


def beside(variable: tf.Variable) -> contextlib.AbstractContextManager[None]:
    """Inside, what is computed of a variable in host memory is computed there.

    TensorFlow would take a tensor that is as large as the table to the accelerator.
    Strategies see to this themselves.
    """
    if tf.distribute.has_strategy():
        return contextlib.nullcontext()
    is_on_host = tf.DeviceSpec.from_string(variable.device).device_type == "CPU"
    return on_device(variable.device if is_on_host else "")
