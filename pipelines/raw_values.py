"""Raw columns of values in memory: of dicts of arrays, and of DataFrames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from .columns import Categorical, MultiValued
from .schema import Schema

_SEVERAL = list | tuple | np.ndarray  # of values in one row


def raw_columns(data: Mapping[str, Any], schema: Schema) -> dict[str, np.ndarray]:
    """The raw columns of a dict of arrays or a DataFrame.

    Numeric columns become float64 with NaN for what is missing (None, NaN, NA);
    categorical ones text, numbers by `str`.

    Args:
        data: the schema's feature columns by name, each of shape (B,); others are
            ignored.
        schema: says which columns there are.

    Returns:
        By name float64 (B,), NaN where missing, or objects (B,) of UTF-8 bytes, empty
        where missing.

    Raises:
        ValueError: a column is absent, is not one-dimensional, differs in length
            from the others, or holds a numeric value that is none.

    Examples:
        >>> schema = Schema("ads", (Numeric("age"),), (Categorical("site", 100),))
        >>> raw_columns({"age": [31, None], "site": [None, 7]}, schema)
        {'age': array([31., nan]), 'site': array([b'', b'7'], dtype=object)}
    """
    names = [column.name for column in schema.columns]
    absent = [name for name in names if name not in data]
    if absent:
        raise ValueError(
            f"expected the columns of schema {schema.name}, "
            f"received none named {', '.join(absent)}."
        )
    raw: dict[str, np.ndarray] = {}
    for column in schema.numeric:
        raw[column.name] = number_values(data[column.name], column.name)
    for text in schema.text_columns:
        raw[text.name] = text_values(data[text.name], text)
    for name in names:
        if len(raw[name]) != len(raw[names[0]]):
            raise ValueError(
                f"column {name}: expected {len(raw[names[0]])} values as {names[0]} "
                f"has, received {len(raw[name])}."
            )
    return raw


def text_values(values: Any, column: Categorical) -> np.ndarray:
    """The UTF-8 text of a categorical column's values, empty where missing.

    Args:
        values: (B,): text, bytes, numbers, None, NaN or NA. A float that is an integer
            has the integer's text: pandas turns integers to floats where one is
            missing. A truth value is `true` or `false`, as in Parquet. Of a
            multi-valued column also lists of them.
        column: whose they are.

    Returns:
        An object array (B,) of bytes.

    Raises:
        ValueError: the values have another shape.
    """
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype == object:
        if all(type(value) is bytes for value in values):  # of a reader
            return values
    separator = column.separator if isinstance(column, MultiValued) else None
    if separator and isinstance(values, list | tuple):
        # NumPy would make a matrix of lists of one length.
        values = np.fromiter(values, object, len(values))
    array, missing = _column(values, column.name)
    text = [
        b"" if is_missing else _text(value, column.name, separator)
        for value, is_missing in zip(array, missing, strict=True)
    ]
    return np.array(text, dtype=object)


def _text(value: Any, name: str, separator: str | None) -> bytes:
    if isinstance(value, _SEVERAL):
        if separator is None:
            raise ValueError(
                f"column {name}: expected one value a row, received {value!r}; a "
                "MultiValued column takes several."
            )
        between = separator.encode()
        parts = [_text(v, name, None) for v in value if not _is_missing_value(v)]
        if any(between in part for part in parts):
            raise ValueError(
                f"column {name}: expected values without the separator {separator!r}, "
                f"received {value!r}."
            )
        return between.join(parts)
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool | np.bool_):
        return b"true" if value else b"false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).encode()


def number_values(values: Any, name: str) -> np.ndarray:
    """A numeric column's values, float64 (B,), NaN where missing."""
    array, missing = _column(values, name)
    if array.dtype.kind in "US":  # as text is read where something is missing
        array = array.astype(object)
    try:
        return _as_numbers(array, missing)
    except (TypeError, ValueError):
        raise ValueError(
            f"column {name}: expected numbers, received {_no_number(array, missing)!r}."
        ) from None


def _as_numbers(array: np.ndarray, missing: np.ndarray) -> np.ndarray:
    return np.where(missing, np.nan, array).astype(np.float64)


def _no_number(array: np.ndarray, missing: np.ndarray) -> Any:
    """The first value that is no number by itself, as Python shows it; or the type."""
    for place in range(len(array)):
        one = slice(place, place + 1)
        try:
            _as_numbers(array[one], missing[one])
        except (TypeError, ValueError):
            value = array[place]
            return str(value) if isinstance(value, np.generic) else value  # a date
    return array.dtype.name


def _column(values: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column as an array (B,), and where None, NaN or NA is."""
    if tf.is_tensor(values):
        values = values.numpy()
    missing = values.isna() if hasattr(values, "isna") else None  # pandas
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"column {name}: expected shape (B,), received {array.shape}.")
    if missing is None:
        missing = _is_missing(array)
    return array, np.asarray(missing, dtype=bool)


def _is_missing(array: np.ndarray) -> np.ndarray:
    """Where an array holds None, NaN or pandas' NA."""
    if array.dtype != object:
        is_float = array.dtype.kind == "f"
        return np.isnan(array) if is_float else np.zeros(array.shape, bool)
    return np.array([_is_missing_value(value) for value in array], dtype=bool)


def _is_missing_value(value: Any) -> bool:
    if value is None or isinstance(value, bytes | str | _SEVERAL):
        return value is None
    unequal = value != value
    # NA is neither equal to itself nor unequal.
    return bool(unequal) if isinstance(unequal, bool | np.bool_) else True
