"""The one transform: raw columns in, features out, in TensorFlow ops.

Every reader, and every signature of an exported model, calls it; there is no
second implementation that could differ. A raw column is a float64 tensor with NaN
where a numeric value is missing, or a string tensor, empty where a categorical one
is missing; a multi-valued one is the values with its separator between them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from .schema import Categorical, Cross, MultiValued, Numeric, Schema

MISSING_ID = 0
UNKNOWN_ID = 1  # the first of them
PADDING = -1

_SEVERAL = list | tuple | np.ndarray  # of values in one row


class Batch(NamedTuple):
    """What a model is trained on; a tuple as Keras's `fit` takes it.

    Attributes:
        features: `numeric`, float32 (B, 2N): value and missing flag of each numeric
            column, in the schema's order; `ids`, int32 (B, C): each column's own ids,
            in the order of the schema's `id_columns`; and of each multi-valued column,
            under its name, int32 (B, max_values), padded with -1.
        label: float32 (B,), 0 or 1.
        weight: float32 (B,).
    """

    features: dict[str, tf.Tensor]
    label: tf.Tensor
    weight: tf.Tensor


class Transform(tf.Module):
    """Raw columns to features, as a schema says; holds the vocabularies' tables.

    Args:
        schema: a complete schema: its vocabularies are counted.

    Raises:
        ValueError: a vocabulary is not counted yet, or a mean not measured.

    Example:
        >>> schema = Schema("ads", (Numeric("age"),), (Categorical("site", 100),))
        >>> features = Transform(schema)({"age": [3.0, np.nan], "site": ["a", ""]})
        >>> features["numeric"].numpy()
        array([[1.3862944, 0.       ],
               [0.       , 1.       ]], dtype=float32)
        >>> features["ids"].numpy()
        array([[32],
               [ 0]], dtype=int32)
    """

    def __init__(self, schema: Schema) -> None:
        super().__init__(name="transform")
        self._schema = schema
        check_complete(schema)
        self._tables = {
            column.name: _vocabulary_table(column)
            for column in schema.text_columns
            if column.vocabulary is not None
        }

    @property
    def schema(self) -> Schema:
        """The schema that the features follow."""
        return self._schema

    def __call__(self, raw: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The features of a batch of raw columns, as `Batch.features` says.

        Args:
            raw: each numeric column, float64 (B,), NaN where missing; each
                categorical one, string (B,), empty where missing. Others are
                ignored.
        """
        schema = self._schema
        values = {c.name: tf.cast(raw[c.name], tf.float64) for c in schema.numeric}
        text = {c.name: tf.convert_to_tensor(raw[c.name]) for c in schema.text_columns}
        ids = {c.name: self._ids(c, text[c.name]) for c in schema.categorical}
        for column in schema.binned:
            ids[f"{column.name}_bin"] = _bin_ids(column, values[column.name])
        for cross in schema.crosses:
            ids[cross.name] = self._cross_ids(cross, ids)
        size = tf.shape((*values.values(), *text.values())[0])[0]
        return {
            "numeric": _numeric(schema, values, size),
            "ids": (
                tf.stack([ids[name] for name in schema.id_columns], axis=1)
                if ids
                else tf.zeros([size, 0], tf.int32)
            ),
            **{c.name: self._many_ids(c, text[c.name]) for c in schema.multivalued},
        }

    def _ids(self, column: Categorical, text: tf.Tensor) -> tf.Tensor:
        if column.name not in self._tables:
            ids = 1 + self._hashed(text, column.name, column.buckets - 1)
            return tf.where(text == "", MISSING_ID, ids)
        ids = self._tables[column.name].lookup(text)
        if column.oov_buckets == 1:
            return ids
        unknown = UNKNOWN_ID + self._hashed(text, column.name, column.oov_buckets)
        return tf.where(ids == UNKNOWN_ID, unknown, ids)

    def _many_ids(self, column: MultiValued, text: tf.Tensor) -> tf.Tensor:
        values = tf.strings.split(text, column.separator)
        values = tf.ragged.boolean_mask(values, values != "")
        ids = values.with_flat_values(self._ids(column, values.flat_values))
        size = tf.shape(text)[0]
        dense = ids.to_tensor(PADDING, shape=[None, column.max_values])
        first = tf.where(dense[:, :1] == PADDING, MISSING_ID, dense[:, :1])
        dense = tf.concat([first, dense[:, 1:]], axis=1)
        return tf.reshape(dense, [size, column.max_values])

    def _cross_ids(self, cross: Cross, ids: Mapping[str, tf.Tensor]) -> tf.Tensor:
        parts = tf.stack([ids[name] for name in cross.columns], axis=1)
        text = tf.strings.reduce_join(
            tf.strings.as_string(parts), axis=1, separator=","
        )
        hashed = 1 + self._hashed(text, cross.name, cross.buckets - 1)
        is_missing = tf.reduce_all(parts == MISSING_ID, axis=1)
        return tf.where(is_missing, MISSING_ID, hashed)

    def _hashed(self, text: tf.Tensor, name: str, buckets: int) -> tf.Tensor:
        """0 … buckets - 1, by the column's own hash."""
        key = [self._schema.seed, zlib.crc32(name.encode())]
        hashed = tf.strings.to_hash_bucket_strong(text, buckets, key)
        return tf.cast(hashed, tf.int32)


def check_complete(schema: Schema) -> None:
    """Raises a ValueError that names a column of which something is to be learned."""
    for column in schema.columns:
        if not column.is_complete:
            what = (
                "mean is not measured"
                if isinstance(column, Numeric)
                else "vocabulary is not counted"
            )
            raise ValueError(
                f"column {column.name}: its {what} yet; call "
                "smelu_tf.pipelines.complete_schema(schema, data) first."
            )


def transformed(column: Numeric, value: tf.Tensor) -> tf.Tensor:
    """A numeric column clipped and transformed, but not standardized.

    Args:
        column: says how.
        value: float64, finite.
    """
    if column.clip is not None:
        value = tf.clip_by_value(value, *(np.float64(bound) for bound in column.clip))
    if column.transform == "log1p":
        # float64: in float32 log1p depends on an element's place in the tensor.
        value = tf.math.log1p(tf.maximum(value, np.float64(0)))
    return value


def label_of(raw: Mapping[str, tf.Tensor], schema: Schema) -> tf.Tensor:
    """The label of raw columns, float32 (B,): 0 or 1."""
    value, label = raw[schema.label.name], schema.label
    if label.positive:
        hits = [value == text for text in label.positive]
        return tf.cast(tf.reduce_any(hits, axis=0), tf.float32)
    if label.at_least is not None:
        value = value >= label.at_least
    return tf.cast(value, tf.float32)


def weight_of(raw: Mapping[str, tf.Tensor], schema: Schema) -> tf.Tensor:
    """The weight of raw columns, float32 (B,): 1 if the schema has none."""
    if schema.weight:
        return tf.cast(raw[schema.weight], tf.float32)
    return tf.ones_like(raw[schema.label.name], tf.float32)


def to_batch(
    schema: Schema, transform: Callable[[dict[str, tf.Tensor]], Any] | None = None
) -> Callable[[dict[str, tf.Tensor]], Batch]:
    """The function from raw columns, label and weight among them, to a `Batch`.

    Args:
        schema: a complete schema.
        transform: what makes features of raw columns; by default the schema's.
    """
    features = transform or Transform(schema)
    return lambda raw: Batch(
        features(raw), label_of(raw, schema), weight_of(raw, schema)
    )


def raw_columns(data: Mapping[str, Any], schema: Schema) -> dict[str, np.ndarray]:
    """The raw columns of a dict of arrays or a DataFrame.

    Numeric columns become float64 with NaN for what is missing (None, NaN, NA);
    categorical ones text, numbers by `str`.

    Args:
        data: the schema's feature columns by name, each of shape (B,); others are
            ignored.
        schema: says which columns there are.

    Raises:
        ValueError: a column is absent, is not one-dimensional, differs in length
            from the others, or holds a numeric value that is none.
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
            missing. Of a multi-valued column also lists of them.
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
        parts = [_text(part, name, None) for part in value if part is not None]
        if any(between in part for part in parts):
            raise ValueError(
                f"column {name}: expected values without the separator {separator!r}, "
                f"received {value!r}."
            )
        return between.join(parts)
    if isinstance(value, bytes):
        return value
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).encode()


def number_values(values: Any, name: str) -> np.ndarray:
    """A numeric column's values, float64 (B,), NaN where missing."""
    array, missing = _column(values, name)
    try:
        return np.where(missing, np.nan, array).astype(np.float64)
    except (TypeError, ValueError):
        (received, *_) = [
            value
            for value, is_missing in zip(array, missing, strict=True)
            if not is_missing and not isinstance(value, int | float | np.number)
        ] or [array.dtype]
        raise ValueError(
            f"column {name}: expected numbers, received {received!r}."
        ) from None


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


def _numeric(
    schema: Schema, values: Mapping[str, tf.Tensor], size: tf.Tensor
) -> tf.Tensor:
    """Value and missing flag of every numeric column."""
    if not values:
        return tf.zeros([size, 0], tf.float32)
    columns = tf.stack([values[column.name] for column in schema.numeric], axis=1)
    missing = ~tf.math.is_finite(columns)
    # Not a branch of the last `where`: its gradient would be NaN.
    columns = tf.where(missing, tf.zeros_like(columns), columns)
    columns = _per_column(columns, schema.numeric)
    fill = np.array([column.fill for column in schema.numeric])
    columns = tf.where(missing, fill, columns)
    pairs = tf.stack([columns, tf.cast(missing, tf.float64)], axis=2)
    return tf.cast(tf.reshape(pairs, [size, 2 * len(schema.numeric)]), tf.float32)


def _per_column(columns: tf.Tensor, numeric: tuple[Numeric, ...]) -> tf.Tensor:
    """Finite values (B, N) transformed and standardized."""
    if len({(column.transform, column.clip) for column in numeric}) == 1:
        columns = transformed(numeric[0], columns)
    else:
        parts = tf.unstack(columns, num=len(numeric), axis=1)
        parts = [transformed(c, part) for c, part in zip(numeric, parts, strict=True)]
        columns = tf.stack(parts, axis=1)
    if any(column.standardize for column in numeric):
        mean = np.array([column.mean or 0.0 for column in numeric])
        deviation = np.array([column.standard_deviation or 1.0 for column in numeric])
        # Not a division, which TensorFlow's graphs may turn into this, bits and all.
        columns = (columns - mean) * (1.0 / deviation)
    return columns


def _vocabulary_table(column: Categorical) -> tf.lookup.StaticHashTable:
    vocabulary = column.vocabulary or ()
    first = UNKNOWN_ID + column.oov_buckets
    keys = tf.constant(["", *vocabulary], tf.string)
    ranks = tf.range(first, first + len(vocabulary))
    values = tf.concat([[MISSING_ID], ranks], axis=0)
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, values), default_value=UNKNOWN_ID
    )


def _bin_ids(column: Numeric, value: tf.Tensor) -> tf.Tensor:
    """1 + the bin of a value: exact, unlike the floor of a logarithm."""
    missing = ~tf.math.is_finite(value)
    present = tf.where(missing, tf.zeros_like(value), value)
    boundaries = tf.constant(column.bin_boundaries, tf.float64)
    bins = tf.searchsorted(boundaries, present, side="right")
    return tf.where(missing, MISSING_ID, 1 + bins)
