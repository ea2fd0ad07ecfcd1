"""Why a row is none of a schema's: what was expected, and what came."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from typing import Any

from .line_forms import split_line
from .schema import Schema

_EXPECTED = {
    "label": "0 or 1",
    "number": "a finite decimal number",
    "weight": "a number of 0 or more",
    "int64": "an integer of at most 18 digits, or nothing",
    "float64": "a finite decimal number, or nothing",
    "(?:[0-9a-f]{8})?": "8 hexadecimal digits in lower case, or nothing",
}


def fault_of_line(line: bytes, schema: Schema) -> str:
    """Says why a line is not a row of the schema: what was expected, what came."""
    if not line:
        return f"expected {len(schema.fields)} fields ({schema.name}), received none."
    try:
        values = split_line(line.decode("utf-8"), schema)
    except UnicodeDecodeError as error:
        return f"expected UTF-8 text, received {error.object[error.start :][:8]!r}."
    except csv.Error:
        return f"expected quotes in pairs, around a field, received {line[:80]!r}."
    if len(values) != len(schema.fields):
        kind = {"\t": "tab", ",": "comma"}.get(schema.delimiter, repr(schema.delimiter))
        return (
            f"expected {len(schema.fields)} {kind}-separated fields "
            f"({schema.name}), received {len(values)}."
        )
    for field, value in zip(schema.fields, values, strict=True):
        if not re.fullmatch(schema.pattern(field), value):
            what = _expected_of(field, schema)
            return f"field {field}: expected {what}, received {value[:40]!r}."
    return f"expected a row of schema {schema.name}, received {line[:80]!r}."


def fault_of_values(row: Mapping[str, Any], schema: Schema) -> str:
    """As `fault_of_line`, of a row's values by column, None where missing."""
    dtypes = {column.name: column.dtype for column in schema.numeric}
    free = {column.name for column in schema.text_columns if not column.pattern}
    for field, value in row.items():
        if field in free:
            continue
        if field in dtypes:
            is_good = value is None or _fits(value, dtypes[field])
        else:
            text = "" if value is None else str(value)
            is_good = bool(re.fullmatch(schema.pattern(field), text))
        if not is_good:
            what = _expected_of(field, schema)
            shown = "nothing" if value is None else repr(value)[:40]
            return f"field {field}: expected {what}, received {shown}."
    return f"expected a row of schema {schema.name}, received {dict(row)}."


def _fits(value: float, dtype: str) -> bool:
    if not math.isfinite(value):
        return False
    return dtype == "float64" or (float(value).is_integer() and abs(value) < 1e18)


def _expected_of(field: str, schema: Schema) -> str:
    """What a field should have held."""
    return _EXPECTED.get(_kind_of(field, schema), "a value of another form")


def _kind_of(field: str, schema: Schema) -> str:
    """What a field holds: a key of `_EXPECTED`, or a regular expression."""
    label = schema.label
    if field == label.name and not label.positive:
        return "label" if label.at_least is None else "number"
    if field in (schema.weight, schema.time):
        return "weight" if field == schema.weight else "number"
    for column in schema.numeric:
        if column.name == field:
            return column.dtype
    return schema.pattern(field)
