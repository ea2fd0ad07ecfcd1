"""Dataclasses from JSON's values, with every key and every type checked."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

T = TypeVar("T")


def parse_json(text: str | bytes, where: str) -> dict[str, Any]:
    """The JSON object that a text holds; a ValueError says where it is not one."""
    try:
        values = json.loads(text)
    except ValueError as error:  # UnicodeDecodeError is one too
        raise ValueError(f"{where}: expected JSON, received {error}.") from None
    if not isinstance(values, dict):
        raise ValueError(
            f"{where}: expected a JSON object, received a {type(values).__name__}."
        )
    return values


def load_json(path: str | os.PathLike[str], make: Callable[[dict[str, Any]], T]) -> T:
    """What `make` makes of the JSON object of a file; a ValueError names the file."""
    values = parse_json(Path(path).read_bytes(), os.fspath(path))
    try:
        return make(values)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def from_json_values(cls: type[T], values: Any, where: str) -> T:
    """An instance of a dataclass from JSON's values.

    Nested dataclasses are made of objects, tuples of lists; an integer may stand for
    a float. Keys that have a default may be absent.

    Args:
        cls: a dataclass whose fields are str, int, float, bool, literals, tuples of
            one of them, dataclasses, or one of these or None.
        values: what `dataclasses.asdict` or `json.loads` gives.
        where: what the values are, for messages; their keys are named behind it.

    Raises:
        ValueError: an unknown or an absent key, or a value of another type.

    Examples:
        >>> @dataclasses.dataclass
        ... class Point:
        ...     x: float = 0.0
        >>> from_json_values(Point, {"x": 1}, "point")
        Point(x=1.0)
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: expected an object of keys, received {values!r}.")
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    for key in values:
        if key not in hints:
            raise unknown_key(where, key, hints)
    for field in fields:
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if not has_default and field.name not in values:
            raise ValueError(
                f"{where}: expected the key {field.name}, received none of this name."
            )
    return cls(
        **{
            key: _converted(value, hints[key], f"{where}.{key}")
            for key, value in values.items()
        }
    )


def unknown_key(where: str, key: Any, known: Iterable[str]) -> ValueError:
    """The error of a key that is not known; it tells the nearest one that is.

    Args:
        where: what the key is of.
        key: the key.
        known: the keys that there are.
    """
    nearest = difflib.get_close_matches(str(key), list(known), n=1, cutoff=0.0)[0]
    return ValueError(
        f"expected a known key, received {where}.{key}; "
        f"the nearest is {where}.{nearest}."
    )


def _converted(value: Any, hint: Any, where: str) -> Any:
    """A value as its field's type has it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_json_values(typing.cast(type, hint), value, where)
    if origin in (Union, types.UnionType):  # only of the form `X | None`
        (hint,) = (a for a in arguments if a is not types.NoneType)
        return None if value is None else _converted(value, hint, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where}: expected a list, received {value!r}.")
        return tuple(
            _converted(item, arguments[0], f"{where}[{i}]")
            for i, item in enumerate(value)
        )
    if origin is Literal:
        if value not in arguments:
            expected = ", ".join(map(str, arguments))
            raise ValueError(
                f"{where}: expected one of {expected}, received {value!r}."
            )
        return value
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        expected = {
            str: "text",
            int: "an integer",
            float: "a number",
            bool: "true or false",
        }[hint]
        raise ValueError(f"{where}: expected {expected}, received {value!r}.")
    return value
