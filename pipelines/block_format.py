"""The bytes of blocks: rows as records and back.

A block holds some thousand rows column by column, each column in its narrowest type, so
that a few ops make a batch of it. docs/blocks.md says every byte.
"""

from __future__ import annotations

import struct

import numpy as np
import tensorflow as tf

from .block_layout import id_sections, id_slots, row_dtype, schema_slots
from .manifest import VERSION, Manifest
from .schema import Schema
from .transform import PADDING, Batch, transposed

_MAGIC = b"SMELUBLK"
_HEADER = struct.Struct("<8sIIQ8s")  # magic, version, rows, index, fingerprint
FRAME = 16  # bytes that TFRecord puts around a record: length and two checksums


def record_size(manifest: Manifest) -> int:
    """The bytes of a full block."""
    row_size = row_dtype(manifest.layout).itemsize
    return _HEADER.size + manifest.rows_per_block * row_size


def _header(num_rows: int, index: int, manifest: Manifest) -> bytes:
    fingerprint = bytes.fromhex(manifest.fingerprint)
    return _HEADER.pack(_MAGIC, VERSION, num_rows, index, fingerprint)


def pack(batch: Batch, manifest: Manifest) -> np.ndarray:
    """The rows of a batch, (B,) of `row_dtype`; a ValueError if they do not fit."""
    schema = manifest.schema
    slots = schema_slots(schema)
    numeric = np.asarray(batch.features["numeric"])
    stored = _stored(batch, schema)
    label, weight = np.asarray(batch.label), np.asarray(batch.weight)
    expected = (len(label), 2 * len(schema.numeric)), (len(label), len(slots))
    if (numeric.shape, stored.shape) != expected:
        raise ValueError(
            f"schema {schema.name}: expected numeric and ids of the shapes {expected}, "
            f"received {numeric.shape} and {stored.shape}."
        )
    value, missing = numeric[:, ::2], numeric[:, 1::2] != 0
    num_values = [slot.num_values for slot in slots]
    for what, fits in (
        ("labels of 0 or 1", (label == 0) | (label == 1)),
        ("weights of 1", bool(schema.weight) | (weight == 1)),
        (
            "numbers, and the column's fill for a missing one",
            np.where(missing, value == _fill(schema), value == value),
        ),
        # Of columns alone: ids of all rows would take as long as all the rest.
        (
            "ids from 0 to num_ids - 1",
            (stored.min(axis=0, initial=0) >= 0)
            & (stored.max(axis=0, initial=0) < num_values),
        ),
    ):
        if not np.all(fits):
            raise ValueError(f"schema {schema.name}: expected {what}, received others.")
    rows = np.empty(len(label), row_dtype(manifest.layout))
    rows["numeric"] = np.where(missing, np.float32(np.nan), value)
    rows["label"] = label[:, None]
    if schema.weight:
        rows["weight"] = weight[:, None]
    places = {slot.name: i for i, slot in enumerate(slots)}
    for section in id_sections(manifest.layout):
        rows[section.name] = stored[:, [places[name] for name in section.columns]]
    return rows


def _stored(batch: Batch, schema: Schema) -> np.ndarray:
    """The ids as they are stored, int32 (B, number of slots)."""
    ids = np.asarray(batch.features["ids"])
    if not schema.multivalued:
        return ids
    several = [np.asarray(batch.features[c.name]) for c in schema.multivalued]
    return np.concatenate(
        [ids, *(part - np.int32(PADDING) for part in several)], axis=1
    )


def encode(rows: np.ndarray, index: int, manifest: Manifest) -> bytes:
    """The record of a block."""
    columns = [rows[section.name].T.tobytes() for section in manifest.layout]
    return b"".join([_header(len(rows), index, manifest), *columns])


def checked(
    record: tf.Tensor,
    num_rows: tf.Tensor,
    index: tf.Tensor,
    path: tf.Tensor,
    manifest: Manifest,
) -> tf.Tensor:
    """The record, once its length and its header are seen to be the block's."""
    row_size = row_dtype(manifest.layout).itemsize
    # The header as four numbers of 64 bits; the second holds version and rows.
    magic, version, _, fingerprint = np.frombuffer(_header(0, 0, manifest), "<i8")
    expected = tf.stack(
        [
            _HEADER.size + num_rows * row_size,
            magic,
            version + num_rows * (1 << 32),
            index,
            fingerprint,
        ]
    )
    header = tf.strings.substr(record, 0, _HEADER.size)
    words = tf.io.decode_raw(header, tf.int64, fixed_length=_HEADER.size)
    length = tf.cast(tf.strings.length(record), tf.int64)
    received = tf.concat([length[tf.newaxis], words], axis=0)

    def refused() -> tf.Tensor:
        texts = [
            tf.strings.reduce_join(tf.strings.as_string(numbers), separator=" ")
            for numbers in (expected, received)
        ]
        where = tf.strings.join([path, tf.strings.as_string(index)], ", block ")
        what = ": expected the length and header "
        parts = ["BlockError: ", where, what, texts[0], ", received ", texts[1], "."]
        check = tf.debugging.Assert(False, [tf.strings.join(parts)])
        with tf.control_dependencies([check]):
            return tf.identity(record)

    # The message is made when it is needed: it takes longer than the check.
    return tf.cond(tf.reduce_all(expected == received), lambda: record, refused)


def rows_of(
    record: tf.Tensor, num_rows: tf.Tensor, manifest: Manifest
) -> dict[str, tf.Tensor]:
    """The rows of a checked record, smaller than the batch that they make.

    Returns:
        `numeric`, float32 (R, N), NaN where missing; `ids`, int32 (R, slots); `label`,
        uint8 (R,); and `weight`, float32 (R,), if the schema has one.
    """
    schema = manifest.schema
    columns = {}
    for section in manifest.layout:
        width = len(section.columns) * np.dtype(section.dtype).itemsize
        start = _HEADER.size + num_rows * section.position
        part = tf.strings.substr(record, start, num_rows * width)
        shape = [len(section.columns), num_rows]
        columns[section.name] = tf.reshape(tf.io.decode_raw(part, section.dtype), shape)
    sections = id_sections(manifest.layout)
    stored = tf.concat([tf.cast(columns[s.name], tf.int32) for s in sections], axis=0)
    names = [slot.name for slot in id_slots(schema, manifest.layout)]
    order = [names.index(slot.name) for slot in schema_slots(schema)]
    if order != sorted(order):
        # Before the transposition, as long as a column's ids follow one another.
        stored = tf.gather(stored, tf.constant(order, tf.int32))
    rows = {
        "numeric": tf.transpose(columns["numeric"]),
        "ids": transposed(stored),
        "label": columns["label"][0],
    }
    if schema.weight:
        rows["weight"] = columns["weight"][0]
    return rows


def to_batch(rows: dict[str, tf.Tensor], manifest: Manifest) -> Batch:
    """The batch of rows as `rows_of` gives them."""
    schema = manifest.schema
    value = rows["numeric"]
    missing = tf.math.is_nan(value)
    value = tf.where(missing, _fill(schema), value)
    # Value and flag as a complex number: interleaved twice as fast as by `tf.stack`.
    pairs = tf.complex(value, tf.cast(missing, tf.float32))
    label = tf.cast(rows["label"], tf.float32)
    width = len(schema.numeric)
    features = {
        "numeric": tf.reshape(
            tf.bitcast(pairs, tf.float32), [tf.shape(label)[0], 2 * width]
        ),
        "ids": rows["ids"],
    }
    if schema.multivalued:
        begin = len(schema.id_columns)
        features["ids"] = rows["ids"][:, :begin]
        for column in schema.multivalued:
            own = rows["ids"][:, begin : begin + column.max_values]
            features[column.name] = own + PADDING
            begin += column.max_values
    return Batch(features, label, rows.get("weight", tf.ones_like(label)))


def _fill(schema: Schema) -> np.ndarray:
    """What a missing value of each numeric column is."""
    return np.array([column.fill for column in schema.numeric], np.float32)
