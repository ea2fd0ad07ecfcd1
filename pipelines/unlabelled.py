"""Lines to be scored, which have no label: raw columns of them."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from .line_forms import number_pattern, stripped
from .raw_rows import RawColumns, without_missing_text
from .schema import Schema

_NAN = np.float64(math.nan)


def parse_unlabelled(lines: tf.Tensor, schema: Schema) -> RawColumns:
    """Raw feature columns of lines to be scored, which have no label.

    More forgiving than the reader, since a server cannot ask back: a number that
    does not parse is missing, and text may be anything.

    Args:
        lines: string (B,): the schema's fields but label and weight.
        schema: the schema.

    Returns:
        By name float64 (B,), NaN where missing, or string (B,), empty where missing.

    Raises:
        InvalidArgumentError: a line has another number of fields; names the row.

    Examples:
        >>> schema = Schema("ads", (Numeric("age"),), (Categorical("site", 100),))
        >>> raw = parse_unlabelled(tf.constant(["31\\ta", "old\\tb"]), schema)
        >>> raw["age"].numpy(), raw["site"].numpy()
        (array([31., nan]), array([b'a', b'b'], dtype=object))
    """
    names = schema.feature_fields
    lines = tf.strings.regex_replace(lines, r"\r|\n$", "")  # as the reader does
    lines = stripped(lines, schema)
    columns = (_quoted_columns if schema.quoted else _plain_columns)(lines, schema)
    raw = {}
    for column in schema.text_columns:
        text = columns[names.index(column.name)]
        raw[column.name] = without_missing_text(text, schema)
    for dtype in {column.dtype: None for column in schema.numeric}:
        alike = [column for column in schema.numeric if column.dtype == dtype]
        text = tf.stack([columns[names.index(column.name)] for column in alike])
        is_number = tf.strings.regex_full_match(text, alike[0].pattern)
        value = tf.strings.to_number(tf.where(is_number, text, "0"), tf.as_dtype(dtype))
        value = tf.where(is_number, tf.cast(value, tf.float64), _NAN)
        rows = tf.unstack(value, num=len(alike))
        raw |= {column.name: row for column, row in zip(alike, rows, strict=True)}
    return raw


def _plain_columns(lines: tf.Tensor, schema: Schema) -> list[tf.Tensor]:
    """The fields of lines to be scored, column by column."""
    width = len(schema.feature_fields)
    fields = tf.strings.split(lines, schema.delimiter)
    received = fields.row_lengths()
    wrong = tf.where(received != width)[:1, 0]  # the first one, if any
    message = tf.strings.format(
        f"row {{}} of the batch, from 0: expected {width} fields "
        f"({schema.name}), received {{}}.",
        (tf.reduce_sum(wrong), tf.reduce_sum(tf.gather(received, wrong))),
    )
    check = tf.debugging.Assert(tf.equal(tf.size(wrong), 0), [message])
    with tf.control_dependencies([check]):
        columns = tf.reshape(fields.flat_values, [-1, width])
    return tf.unstack(columns, num=width, axis=1)


def _quoted_columns(lines: tf.Tensor, schema: Schema) -> list[tf.Tensor]:
    """As `_plain_columns`, the quotes around fields taken off."""
    width = len(schema.feature_fields)
    # RE2 matches no bytes but UTF-8's, of which neither delimiter nor quote is a part.
    text = tf.strings.unicode_transcode(lines, "UTF-8", "UTF-8")
    good = tf.strings.regex_full_match(text, number_pattern(schema, width))
    wrong = tf.where(~good)[:1, 0]
    message = tf.strings.format(
        f"row {{}} of the batch, from 0: expected {width} fields ({schema.name}) with "
        "quotes in pairs around them, received another number, other quotes or an end "
        "of line outside of them.",
        (tf.reduce_sum(wrong),),
    )
    check = tf.debugging.Assert(tf.equal(tf.size(wrong), 0), [message])
    with tf.control_dependencies([check]):
        lines = tf.identity(lines)
    return tf.io.decode_csv(lines, [[""]] * width, field_delim=schema.delimiter)
