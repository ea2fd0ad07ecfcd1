"""Raw columns: rows as the transform takes them, of whatever file."""

from __future__ import annotations

import tensorflow as tf

from .schema import Schema

RawColumns = dict[str, tf.Tensor]
"""Columns by name: float64 (B,), NaN where missing, or string (B,), empty there."""


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


def without_missing_text(values: tf.Tensor, schema: Schema) -> tf.Tensor:
    """Columns whose text that stands for a missing value is one; others as they are."""
    if values.dtype != tf.string or not schema.missing:
        return values
    return tf.where(values == schema.missing, "", values)
