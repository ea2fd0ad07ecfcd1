"""Checks of a configuration's values: each raises a ValueError that names the field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def check(good: bool, name: str, expected: str, received: Any) -> None:
    """Raises a ValueError unless something holds of a field's value."""
    if not good:
        raise ValueError(f"{name}: expected {expected}, received {received!r}.")


def check_choice(options: Any, group: str, name: str, choices: Sequence[str]) -> None:
    """Checks that a field is one of several words."""
    value = getattr(options, name)
    check(value in choices, f"{group}.{name}", f"one of {', '.join(choices)}", value)


def check_integers(options: Any, group: str, least: int, *names: str) -> None:
    """Checks that fields are integers, and at least so large."""
    for name in names:
        value = getattr(options, name)
        good = isinstance(value, int) and value >= least
        check(good, f"{group}.{name}", f"an integer of {least} or more", value)


def check_positive(options: Any, group: str, *names: str) -> None:
    """Checks that fields are finite numbers above 0."""
    for name in names:
        value = getattr(options, name)
        good = math.isfinite(value) and value > 0
        check(good, f"{group}.{name}", "a number above 0", value)


def check_not_negative(options: Any, group: str, *names: str) -> None:
    """Checks that fields are finite numbers of 0 or more."""
    for name in names:
        value = getattr(options, name)
        good = math.isfinite(value) and value >= 0
        check(good, f"{group}.{name}", "a number of 0 or more", value)


def check_texts(options: Any, group: str, *names: str) -> None:
    """Checks that fields are tuples of texts."""
    for name in names:
        texts = getattr(options, name)
        good = isinstance(texts, tuple) and all(isinstance(t, str) for t in texts)
        check(good, f"{group}.{name}", "a tuple of texts", texts)
