"""Which Keras, or other library, an object belongs to, without importing any."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def flavour_of(instance: Any, base: str) -> str | None:
    """The name of the Keras whose class `base` this is an instance of, if any."""
    for cls in type(instance).__mro__:
        root = cls.__module__.partition(".")[0]
        if cls.__name__ == base and root in ("keras", "tf_keras"):
            return root
    return None


def is_of_a_library(symbol: Any) -> bool:
    """Whether a class or a function is TensorFlow's, Keras's or ours, not a user's."""
    root = str(getattr(symbol, "__module__", "")).partition(".")[0]
    return root in ("keras", "tf_keras", "tensorflow", "smelu_tf")


def flavour_of_tensorflow() -> str:
    """The name of the Keras that `tf.keras` is, which TensorFlow has loaded already."""
    return str(tf.keras.Model.__module__).partition(".")[0]


def check_backend(keras: Any) -> None:
    """Raises an ImportError where Keras 3 does not run on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            "smelu_tf: expected Keras to run on TensorFlow, received the backend "
            f"{keras.backend.backend()!r}; set the environment variable "
            "KERAS_BACKEND=tensorflow before Keras is first imported."
        )
