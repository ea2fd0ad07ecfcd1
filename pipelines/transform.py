"""The one transform: raw columns in, features out, in TensorFlow ops.

Every reader, and every signature of an exported model, calls it; there is no
second implementation that could differ. A raw column is a float64 tensor with NaN
where a numeric value is missing, or a string tensor, empty where a categorical one
is missing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from .schema import BIN_BOUNDARIES, Categorical, Schema

MISSING_ID = 0
UNKNOWN_ID = 1


class Batch(NamedTuple):
    """What a model is trained on; a tuple as Keras's `fit` takes it.

    Attributes:
        features: `numeric`, float32 (B, 2N): value and missing flag of each numeric
            column, in the schema's order; `ids`, int32 (B, C): each column's own ids.
        label: float32 (B,), 0 or 1.
        weight: float32 (B,).
    """

    features: dict[str, tf.Tensor]
    label: tf.Tensor
    weight: tf.Tensor


class Transform(tf.Module):
    """Raw columns to features, as a schema says; holds the vocabularies' tables.

    Args:
        schema: a schema whose vocabularies are counted.

    Raises:
        ValueError: a vocabulary is not counted yet.

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
        for column in schema.categorical:
            column.num_ids  # noqa: B018 (raises where a vocabulary is not counted)
        self._tables = {
            column.name: _vocabulary_table(column.vocabulary)
            for column in schema.categorical
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
        values = [tf.cast(raw[column.name], tf.float64) for column in schema.numeric]
        ids = [self._ids(column, raw[column.name]) for column in schema.categorical]
        ids += [
            _bin_ids(value)
            for column, value in zip(schema.numeric, values, strict=True)
            if column.binned
        ]
        size = tf.shape((values or ids)[0])[0]
        return {
            "numeric": self._numeric(values, size),
            "ids": tf.stack(ids, axis=1) if ids else tf.zeros([size, 0], tf.int32),
        }

    def _numeric(self, values: list[tf.Tensor], size: tf.Tensor) -> tf.Tensor:
        if not values:
            return tf.zeros([size, 0], tf.float32)
        columns = tf.stack(values, axis=1)
        missing = ~tf.math.is_finite(columns)
        columns = tf.where(missing, tf.zeros_like(columns), columns)
        is_log = [column.transform == "log1p" for column in self._schema.numeric]
        # float64: in float32 log1p depends on an element's place in the tensor.
        logs = tf.math.log1p(tf.maximum(columns, 0.0))
        columns = tf.where(tf.constant(is_log), logs, columns)
        pairs = tf.stack([columns, tf.cast(missing, tf.float64)], axis=2)
        return tf.cast(tf.reshape(pairs, [size, 2 * len(values)]), tf.float32)

    def _ids(self, column: Categorical, text: tf.Tensor) -> tf.Tensor:
        text = tf.convert_to_tensor(text, tf.string)
        if column.name in self._tables:
            return self._tables[column.name].lookup(text)
        key = [self._schema.seed, zlib.crc32(column.name.encode())]
        hashed = tf.strings.to_hash_bucket_strong(text, column.buckets - 1, key)
        return tf.where(text == "", MISSING_ID, 1 + tf.cast(hashed, tf.int32))


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
        raw[column.name] = _numbers(data[column.name], column.name)
    for categorical in schema.categorical:
        raw[categorical.name] = text_values(data[categorical.name], categorical.name)
    for name in names:
        if len(raw[name]) != len(raw[names[0]]):
            raise ValueError(
                f"column {name}: expected {len(raw[names[0]])} values as {names[0]} "
                f"has, received {len(raw[name])}."
            )
    return raw


def text_values(values: Any, name: str) -> np.ndarray:
    """The UTF-8 text of a categorical column's values, empty where missing.

    Args:
        values: (B,): text, bytes, numbers, None, NaN or NA. A float that is an integer
            has the integer's text: pandas turns integers to floats where one is
            missing.
        name: of the column, for messages.

    Returns:
        An object array (B,) of bytes.

    Raises:
        ValueError: the values have another shape.
    """
    array, missing = _column(values, name)
    text = [
        b"" if is_missing else _text(value)
        for value, is_missing in zip(array, missing, strict=True)
    ]
    return np.array(text, dtype=object)


def _text(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).encode()


def _numbers(values: Any, name: str) -> np.ndarray:
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
    is_none = np.array([value is None for value in array], dtype=bool)
    try:
        return is_none | (array != array)
    except TypeError:  # NA is neither equal to itself nor unequal
        unequal = [value != value for value in array]
        is_nan = [u if isinstance(u, bool | np.bool_) else True for u in unequal]
        return is_none | np.array(is_nan, dtype=bool)


def _vocabulary_table(vocabulary: tuple[str, ...]) -> tf.lookup.StaticHashTable:
    keys = tf.constant(["", *vocabulary], tf.string)
    ranks = tf.range(UNKNOWN_ID + 1, UNKNOWN_ID + 1 + len(vocabulary))
    values = tf.concat([[MISSING_ID], ranks], axis=0)
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, values), default_value=UNKNOWN_ID
    )


def _bin_ids(value: tf.Tensor) -> tf.Tensor:
    """1 + the log-spaced bin of a value: exact, unlike the floor of a logarithm."""
    missing = ~tf.math.is_finite(value)
    present = tf.where(missing, tf.zeros_like(value), value)
    boundaries = tf.constant(BIN_BOUNDARIES, tf.float64)
    bins = tf.searchsorted(boundaries, present, side="right")
    return tf.where(missing, MISSING_ID, 1 + bins)
