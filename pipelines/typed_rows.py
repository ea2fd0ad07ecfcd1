"""Rows that come as typed columns: which are well-formed, and what of the others.

The text reader checks lines by their form. Here the same rules hold for columns that
already have types: those of Parquet files and of `tf.train.Example`s.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from .bad_rows import BadRows, without_bad_rows
from .parallel import in_parallel, untuned
from .raw_rows import RawColumns, raw_specs, without_missing_text
from .row_faults import fault_of_values
from .schema import Schema


def well_formed_rows(
    chunks: tf.data.Dataset,
    schema: Schema,
    bad_rows: BadRows,
    what: str,
    then: Callable[[RawColumns], Any],
) -> tf.data.Dataset:
    """What `then` makes of the well-formed rows of chunks, in order.

    Args:
        chunks: (path, number of the first row from 1, raw columns).
        schema: says what is well-formed.
        bad_rows: what becomes of the others.
        what: what a row is called: "row", "record".
        then: a function of the raw columns.
    """

    def check(path: tf.Tensor, first: tf.Tensor, raw: RawColumns) -> Any:
        raw = {name: without_missing_text(raw[name], schema) for name in raw}
        return path, first, raw, _well_formed(raw, schema)

    names = sorted(raw_specs(schema))  # as `tf.nest.flatten` has them

    def describe(*values: Any) -> tuple[str, bytes]:
        row = {n: _plain(value) for n, value in zip(names, values, strict=True)}
        text = json.dumps(row, ensure_ascii=False)
        return fault_of_values(row, schema), text.encode("utf-8", "surrogateescape")

    good = without_bad_rows(in_parallel(chunks, check), what, describe, bad_rows)
    return untuned(in_parallel(good, then))


def _well_formed(raw: Mapping[str, tf.Tensor], schema: Schema) -> tf.Tensor:
    label = raw[schema.label.name]
    if schema.label.positive:
        checks = [label != ""]
    elif schema.label.at_least is not None:
        checks = [tf.math.is_finite(label)]
    else:
        checks = [(label == 0) | (label == 1)]
    if schema.weight:
        weight = raw[schema.weight]
        checks.append(tf.math.is_finite(weight) & (weight >= 0))
    if schema.time:
        checks.append(tf.math.is_finite(raw[schema.time]))
    for column in schema.numeric:
        value = raw[column.name]
        checks.append(~tf.math.is_inf(value))
        if column.dtype == "int64":
            is_integer = (value == tf.math.floor(value)) & (tf.abs(value) < 1e18)
            checks.append(is_integer | tf.math.is_nan(value))
    for text in schema.text_columns:
        if text.pattern:
            pattern = schema.pattern(text.name)
            checks.append(tf.strings.regex_full_match(raw[text.name], pattern))
    return tf.reduce_all(checks, axis=0)


def _plain(value: Any) -> str | float | int | None:
    """A value as JSON has it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    number = float(value)
    if math.isnan(number):
        return None
    return int(number) if number.is_integer() else number
