"""The one transform: raw columns in, features out, in TensorFlow ops.

Every reader, and every signature of an exported model, calls it; there is no
second implementation that could differ. A raw column is a float64 tensor with NaN
where a numeric value is missing, or a string tensor, empty where a categorical one
is missing; a multi-valued one is the values with its separator between them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from .columns import Categorical, Cross, MultiValued, Numeric
from .raw_rows import RawColumns
from .schema import Schema

MISSING_ID = 0
UNKNOWN_ID = 1  # the first of them
PADDING = -1

Features = Mapping[str, tf.Tensor]
"""What a model reads of a batch: as `Batch.features`."""


class Batch(NamedTuple):
    """What a model is trained on; a tuple as Keras's `fit` takes it.

    Attributes:
        features: `numeric`, float32 (B, 2N): value and missing flag of each numeric
            column, in the schema's order; `ids`, int32 (B, C): each column's own ids,
            in the order of the schema's `id_columns`; and of each multi-valued column,
            under its name, int32 (B, max_values), padded with -1.
        label: float32 (B,), 0 or 1.
        weight: float32 (B,).

    Examples:
        >>> batch = next(iter(read_blocks("blocks", batch_size=100)))
        >>> {name: tuple(values.shape) for name, values in batch.features.items()}
        {'numeric': (100, 26), 'ids': (100, 39)}
        >>> batch.label.dtype, batch.weight.dtype
        (tf.float32, tf.float32)
    """

    features: dict[str, tf.Tensor]
    label: tf.Tensor
    weight: tf.Tensor


class Transform(tf.Module):
    """Raw columns to features, as a schema says; holds the vocabularies' tables.

        number:      log1p(max(x, 0)) or x, in float64; fill and flag 1 if missing
        hashed id:   1 + hash(text) mod (buckets - 1); 0 if missing
        counted id:  1 + oov_buckets + rank; 1 … oov_buckets if unknown, 0 if missing

    Called with raw columns by name, float64 (B,) or string (B,), it returns features as
    in `Batch`.

    Args:
        schema: a complete schema: its vocabularies are counted.

    Raises:
        ValueError: a vocabulary is not counted yet, or a mean not measured.

    Examples:
        >>> schema = Schema("ads", (Numeric("age"),), (Categorical("site", 100),))
        >>> features = Transform(schema)({"age": [3.0, np.nan], "site": ["a", ""]})
        >>> features["numeric"].numpy()
        array([[1.3862944, 0.       ],
               [0.       , 1.       ]], dtype=float32)
        >>> features["ids"].numpy()
        array([[11],
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

        Raises:
            ValueError: a column has another rank.
        """
        schema = self._schema
        values = [
            tf.cast(_checked(raw[c.name], c.name), tf.float64) for c in schema.numeric
        ]
        text = {c.name: _checked(raw[c.name], c.name) for c in schema.text_columns}
        size = tf.shape((*values, *text.values())[0])[0]
        # Until the end a column is a row: one operation for many columns costs little
        # more than for one of them.
        numbers = tf.stack(values) if values else tf.zeros([0, size], tf.float64)
        missing = ~tf.math.is_finite(numbers)
        # Not a branch of a later `where`: its gradient would be NaN.
        numbers = tf.where(missing, np.float64(0), numbers)
        ids = self._id_rows(text, numbers, missing, size)
        return {
            "numeric": _numeric(schema.numeric, numbers, missing, size),
            "ids": transposed(ids),
            **{c.name: self._many_ids(c, text[c.name]) for c in schema.multivalued},
        }

    def _id_rows(
        self,
        text: Mapping[str, tf.Tensor],
        numbers: tf.Tensor,
        missing: tf.Tensor,
        size: tf.Tensor,
    ) -> tf.Tensor:
        """The ids of the schema's `id_columns`, int32 (C, B)."""
        schema = self._schema
        parts = []
        if schema.categorical:
            own = [text[column.name] for column in schema.categorical]
            parts.append(self._ids(schema.categorical, own))
        if schema.binned:
            places = [schema.numeric.index(column) for column in schema.binned]
            if len(places) < len(schema.numeric):
                numbers, missing = (tf.gather(x, places) for x in (numbers, missing))
            bins = _bins(schema.binned, numbers)
            parts.append(tf.where(missing, MISSING_ID, 1 + bins))
        if not parts:
            return tf.zeros([0, size], tf.int32)
        ids = tf.concat(parts, axis=0)
        crosses = [self._cross_ids(cross, ids) for cross in schema.crosses]
        return tf.concat([ids, crosses], axis=0) if crosses else ids

    def _ids(
        self, columns: Sequence[Categorical], text: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """The ids of columns, int32 (C, n), of the text of each, (n,)."""
        hashed = [i for i, c in enumerate(columns) if c.name not in self._tables]
        known = [i for i, c in enumerate(columns) if c.name in self._tables]
        parts = []
        if hashed:
            rows = [
                self._hashed(text[i], columns[i].name, columns[i].buckets - 1)
                for i in hashed
            ]
            missing = tf.stack([text[i] == "" for i in hashed])
            ids = 1 + tf.cast(tf.stack(rows), tf.int32)
            parts.append((hashed, tf.where(missing, MISSING_ID, ids)))
        if known:
            rows = [self._looked_up(columns[i], text[i]) for i in known]
            parts.append((known, tf.stack(rows)))
        return _in_order(parts)

    def _looked_up(self, column: Categorical, text: tf.Tensor) -> tf.Tensor:
        ids = self._tables[column.name].lookup(text)
        if column.oov_buckets == 1:
            return ids
        hashed = self._hashed(text, column.name, column.oov_buckets)
        unknown = UNKNOWN_ID + tf.cast(hashed, tf.int32)
        return tf.where(ids == UNKNOWN_ID, unknown, ids)

    def _many_ids(self, column: MultiValued, text: tf.Tensor) -> tf.Tensor:
        values = tf.strings.split(text, column.separator)
        values = tf.ragged.boolean_mask(values, values != "")
        ids = values.with_flat_values(self._ids([column], [values.flat_values])[0])
        size = tf.shape(text)[0]
        dense = ids.to_tensor(PADDING, shape=[None, column.max_values])
        first = tf.where(dense[:, :1] == PADDING, MISSING_ID, dense[:, :1])
        dense = tf.concat([first, dense[:, 1:]], axis=1)
        return tf.reshape(dense, [size, column.max_values])

    def _cross_ids(self, cross: Cross, ids: tf.Tensor) -> tf.Tensor:
        """A cross's ids, (B,), of those of the other id columns, (C, B)."""
        names = self._schema.id_columns
        parts = tf.gather(ids, [names.index(name) for name in cross.columns])
        text = tf.strings.reduce_join(
            tf.strings.as_string(parts), axis=0, separator=","
        )
        hashed = 1 + tf.cast(
            self._hashed(text, cross.name, cross.buckets - 1), tf.int32
        )
        is_missing = tf.reduce_all(parts == MISSING_ID, axis=0)
        return tf.where(is_missing, MISSING_ID, hashed)

    def _hashed(self, text: tf.Tensor, name: str, buckets: int) -> tf.Tensor:
        """0 … buckets - 1, int64, by the column's own hash."""
        key = [self._schema.seed, zlib.crc32(name.encode())]
        return tf.strings.to_hash_bucket_strong(text, buckets, key)


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


def transposed(ids: tf.Tensor) -> tf.Tensor:
    """A matrix of int32 with rows for columns.

    Of `tf.transpose` TensorFlow says on standard error, on some processors, that oneDNN
    has no such operation for whole numbers.
    """
    return tf.einsum("cb->bc", ids)


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
    schema: Schema, transform: Callable[[RawColumns], Any] | None = None
) -> Callable[[RawColumns], Batch]:
    """The function from raw columns, label and weight among them, to a `Batch`.

    Args:
        schema: a complete schema.
        transform: what makes features of raw columns; by default the schema's.
    """
    features = transform or Transform(schema)
    return lambda raw: Batch(
        features(raw), label_of(raw, schema), weight_of(raw, schema)
    )


def _checked(values: Any, name: str) -> tf.Tensor:
    """A raw column as a tensor; a ValueError where it is no vector."""
    column = tf.convert_to_tensor(values)
    if column.shape.rank not in (1, None):
        shape = tuple(column.shape)
        raise ValueError(f"column {name}: expected shape (B,), received {shape}.")
    return column


def _numeric(
    columns: tuple[Numeric, ...],
    numbers: tf.Tensor,
    missing: tf.Tensor,
    size: tf.Tensor,
) -> tf.Tensor:
    """Value and missing flag of every numeric column, float32 (B, 2N).

    Args:
        columns: the columns.
        numbers: float64 (N, B), 0 where missing.
        missing: bool (N, B).
        size: B.
    """
    if not columns:
        return tf.zeros([size, 0], tf.float32)
    values = _per_column(numbers, columns)
    fill = np.array([[column.fill] for column in columns], np.float64)
    values = tf.where(missing, fill if fill.any() else np.float64(0), values)
    pairs = tf.stack([tf.cast(values, tf.float32), tf.cast(missing, tf.float32)], 1)
    # Transposed last, it would become part of a product that follows in the same graph,
    # which then rounds otherwise.
    return tf.reshape(tf.transpose(pairs, [2, 0, 1]), [size, 2 * len(columns)])


def _per_column(numbers: tf.Tensor, columns: tuple[Numeric, ...]) -> tf.Tensor:
    """Finite values (N, B) transformed and standardized."""
    if len({(column.transform, column.clip) for column in columns}) == 1:
        numbers = transformed(columns[0], numbers)
    else:
        rows = tf.unstack(numbers, num=len(columns))
        rows = [transformed(c, row) for c, row in zip(columns, rows, strict=True)]
        numbers = tf.stack(rows)
    if any(column.standardize for column in columns):
        mean = np.array([[column.mean or 0.0] for column in columns])
        deviation = np.array([[column.standard_deviation or 1.0] for column in columns])
        # Not a division, which TensorFlow's graphs may turn into this, bits and all.
        numbers = (numbers - mean) * (1.0 / deviation)
    return numbers


def _in_order(parts: Sequence[tuple[Sequence[int], tf.Tensor]]) -> tf.Tensor:
    """One tensor of parts, each of which says where its rows belong."""
    places = [place for own, _ in parts for place in own]
    rows = [part for _, part in parts]
    if len(rows) == 1:
        return rows[0]
    return tf.gather(tf.concat(rows, axis=0), np.argsort(places).astype(np.int32))


def _vocabulary_table(column: Categorical) -> tf.lookup.StaticHashTable:
    vocabulary = column.vocabulary or ()
    first = UNKNOWN_ID + column.oov_buckets
    keys = tf.constant(["", *vocabulary], tf.string)
    ranks = tf.range(first, first + len(vocabulary))
    values = tf.concat([[MISSING_ID], ranks], axis=0)
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, values), default_value=UNKNOWN_ID
    )


def _bins(columns: Sequence[Numeric], numbers: tf.Tensor) -> tf.Tensor:
    """The bins of finite values, (N, B): exact, unlike the floor of a logarithm."""
    alike: dict[tuple[float, ...], list[int]] = {}
    for place, column in enumerate(columns):
        alike.setdefault(column.bin_boundaries, []).append(place)
    parts = []
    for boundaries, places in alike.items():
        rows = numbers if len(alike) == 1 else tf.gather(numbers, places)
        # What `searchsorted` calls, which does not take an empty batch at all places.
        bins = tf.raw_ops.UpperBound(
            sorted_inputs=tf.constant([boundaries], tf.float64),
            values=tf.reshape(rows, [1, -1]),
        )
        parts.append((places, tf.reshape(bins, tf.shape(rows))))
    return _in_order(parts)
