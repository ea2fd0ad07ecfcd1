"""Which Keras an object belongs to, without importing either."""

from __future__ import annotations

from typing import Any


def flavour_of(instance: Any, base: str) -> str | None:
    """The name of the Keras whose class `base` this is an instance of, if any."""
    for cls in type(instance).__mro__:
        root = cls.__module__.partition(".")[0]
        if cls.__name__ == base and root in ("keras", "tf_keras"):
            return root
    return None
