"""The values of flags that are lists."""

from __future__ import annotations

from collections.abc import Sequence


def items(values: Sequence[str]) -> tuple[str, ...]:
    """The values of a list without the spaces around them and without empty ones."""
    return tuple(value.strip() for value in values if value.strip())


def positive_integer(flag: str, text: str) -> int:
    """The number in a flag that is a list of them."""
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(
            f"--{flag}: expected whole numbers above 0, received {text!r}."
        )
    return int(text)
