"""The form of a line: its fields, and the regular expressions that it matches."""

from __future__ import annotations

import csv
import re

import tensorflow as tf

from .files import reason_of
from .schema import Schema


def split_line(line: str, schema: Schema) -> list[str]:
    """The fields of one line."""
    if schema.quoted:
        reader = csv.reader([line], delimiter=schema.delimiter, strict=True)
        return next(reader, [])
    fields = line.split(schema.delimiter)
    return [field.strip(" ") for field in fields] if schema.strip else fields


def stripped(lines: tf.Tensor, schema: Schema) -> tf.Tensor:
    """Lines without the spaces around fields, where the schema says so."""
    if not schema.strip:
        return lines
    lines = tf.strings.regex_replace(lines, "^ +| +$", "")
    around = f" *{re.escape(schema.delimiter)} *"
    return tf.strings.regex_replace(lines, around, schema.delimiter)


def line_patterns(schema: Schema) -> list[str]:
    """What a line matches in full: the fields' forms and, where need be, their number.

    The forms alone do not say the number where a column's own pattern may take the
    delimiter, or a quote.
    """
    d = re.escape(schema.delimiter)
    forms = d.join(_form(schema, field) for field in schema.fields)
    if all(_is_plain(c.pattern, schema.delimiter) for c in schema.text_columns):
        return [forms]
    return [number_pattern(schema, len(schema.fields)), forms]


def number_pattern(schema: Schema, num_fields: int) -> str:
    """What a line of so many fields matches in full, whatever they hold."""
    d = re.escape(schema.delimiter)
    field = f'(?:[^"{d}\\n]*|"(?:[^"]|"")*")' if schema.quoted else f"[^{d}]*"
    return f"(?:{field}{d}){{{num_fields - 1}}}{field}"


def _form(schema: Schema, field: str) -> str:
    """A field's regular expression, its quotes included."""
    pattern = f"(?:{schema.pattern(field)})"
    if not schema.quoted:
        return pattern
    is_free = schema.pattern(field).startswith("[^")
    inner = pattern[-2] if is_free else ""  # the quantifier: * or +
    quoted = f'"(?:[^"]|""){inner}"' if is_free else f'"{pattern}"'
    return f"(?:{pattern}|{quoted})"


def _is_plain(pattern: str, delimiter: str) -> bool:
    """Whether a pattern is seen to match letters, digits, - and _ alone."""
    item = r"\w|-|[|?*+()]|\{[0-9,]+\}|\[(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|\w)+\]"
    is_plain = re.fullmatch(f"(?:{item})*", pattern, re.ASCII)
    return bool(is_plain) and not (delimiter.isalnum() or delimiter in "-_")


def check_patterns(schema: Schema) -> None:
    """Raises a ValueError where TensorFlow cannot match a column's pattern."""
    for column in schema.categorical:
        try:
            tf.strings.regex_full_match("", column.pattern)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"column {column.name}: expected a pattern in the syntax of RE2, "
                f"received {column.pattern!r} ({reason_of(error)})"
            ) from None
