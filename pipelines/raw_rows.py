"""Rows that come as typed columns: which are well-formed, and what of the others.

The text reader checks lines by their form. Here the same rules hold for columns that
already have types: those of Parquet files and of `tf.train.Example`s.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from .bad_rows import BadRows
from .parallel import in_parallel, unconverted, untuned
from .python_steps import numpy_function
from .schema import Schema
from .text import EXPECTED, kind_of, without_missing_text

RawColumns = dict[str, tf.Tensor]


def feature_specs(schema: Schema) -> dict[str, tf.TensorSpec]:
    """The specs of the raw feature columns."""
    dtypes = {column.name: tf.float64 for column in schema.numeric}
    dtypes |= {column.name: tf.string for column in schema.text_columns}
    return {n: tf.TensorSpec([None], dtype, name=n) for n, dtype in dtypes.items()}


def raw_specs(schema: Schema) -> dict[str, tf.TensorSpec]:
    """The specs of all raw columns: features, label, weight and time."""
    label_dtype = tf.string if schema.label.positive else tf.float64
    dtypes = {schema.label.name: label_dtype}
    dtypes |= {name: tf.float64 for name in (schema.weight, schema.time) if name}
    others = {n: tf.TensorSpec([None], dtype, name=n) for n, dtype in dtypes.items()}
    return {**feature_specs(schema), **others}


def without_bad_rows(
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

    names = sorted(raw_specs(schema))

    def drop(path: bytes, first: np.ndarray, good: np.ndarray, *columns: Any) -> Any:
        for index in np.flatnonzero(~good):
            row = {n: _plain(c[index]) for n, c in zip(names, columns, strict=True)}
            where = f"{os.fsdecode(path)}, {what} {first + index}"
            text = json.dumps(row, ensure_ascii=False).encode(
                "utf-8", "surrogateescape"
            )
            bad_rows.add(where, _describe_fault(row, schema), text)
        return good

    @unconverted
    def drop_bad(
        path: tf.Tensor, first: tf.Tensor, raw: RawColumns, good: tf.Tensor
    ) -> RawColumns:
        def dropped() -> RawColumns:
            columns = [raw[name] for name in names]
            seen = numpy_function(drop, [path, first, good, *columns], tf.bool)
            keep = tf.ensure_shape(seen, [None])
            return {name: tf.boolean_mask(raw[name], keep) for name in raw}

        return tf.cond(tf.reduce_all(good), lambda: dict(raw), dropped)

    good = in_parallel(chunks, check).map(drop_bad)
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


def _describe_fault(row: Mapping[str, Any], schema: Schema) -> str:
    """Says why a row is none of the schema's: what was expected, what came."""
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
            what = EXPECTED.get(kind_of(field, schema), "a value of another form")
            shown = "nothing" if value is None else repr(value)[:40]
            return f"field {field}: expected {what}, received {shown}."
    return f"expected a row of schema {schema.name}, received {dict(row)}."


def _fits(value: float, dtype: str) -> bool:
    if not math.isfinite(value):
        return False
    return dtype == "float64" or (float(value).is_integer() and abs(value) < 1e18)
