"""TFRecord files of `tf.train.Example`s, one row each, as other programs write them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from .bad_rows import BadRows
from .batching import batched
from .files import Paths, compression_of, expand_files, is_compressed, reading
from .parallel import in_parallel, unconverted
from .raw_rows import RawColumns, raw_specs, without_missing_text
from .schema import Schema
from .transform import to_batch
from .typed_rows import well_formed_rows

Kind = Literal["int64", "float32", "string"]

_CHUNK = 4096  # rows that are parsed at once
_SAMPLE = 256  # rows whose features tell the types
_NAN = np.float64(math.nan)


def read_examples(
    files: Paths,
    schema: Schema,
    batch_size: int,
    *,
    transform: Callable[[RawColumns], Any] | None = None,
    bad_rows: BadRows | None = None,
) -> tf.data.Dataset:
    """Reads TFRecord files of `tf.train.Example`s into batches, in order.

    Args:
        files: paths or glob patterns; files whose names end in .gz are decompressed.
        schema: a complete schema. A number may be an int64 or a float feature (of 32
            bits), a category a bytes or an int64 feature; an absent one is missing. A
            multi-valued column may be a list, or text with the separator.
        batch_size: rows a batch; the last one may have fewer.
        transform: as in `read_text`.
        bad_rows: as in `read_text`.

    Returns:
        A dataset of `Batch`; errors are those of `read_text`.

    Raises:
        ValueError: a missing or empty file, one that holds no Examples, a feature of
            another type, a batch size below 1, or an incomplete schema.

    Examples:
        >>> label = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
        >>> example = tf.train.Example()
        >>> example.features.feature["label"].CopyFrom(label)
        >>> with tf.io.TFRecordWriter("rows.tfrecord") as file:
        ...     file.write(example.SerializeToString())
        >>> schema = Schema("ads", (Numeric("age"),), ())
        >>> (batch,) = read_examples("rows.tfrecord", schema, batch_size=100)
        >>> batch.label.numpy(), batch.features["numeric"].numpy()
        (array([1.], dtype=float32), array([[0., 1.]], dtype=float32))
    """
    then = to_batch(schema, transform)
    chunks = read_raw_examples(files, schema, bad_rows=bad_rows, then=then)
    return batched(chunks, batch_size)


def read_raw_examples(
    files: Paths,
    schema: Schema,
    *,
    bad_rows: BadRows | None = None,
    then: Callable[[RawColumns], Any] = lambda raw: raw,
) -> tf.data.Dataset:
    """Reads TFRecord files of `tf.train.Example`s into raw columns.

    Args and returns: as `read_raw_text`.
    """
    files = expand_files(files)
    kinds = _sampled_kinds(files, schema)

    @unconverted
    def records_of(path: tf.Tensor) -> tf.data.Dataset:
        compressed = tf.strings.regex_full_match(path, r".*\.gz")
        records = tf.data.TFRecordDataset(path, tf.where(compressed, "GZIP", ""))
        numbered = records.batch(_CHUNK).enumerate()
        return numbered.map(lambda i, records: (path, 1 + i * _CHUNK, records))

    def parse(path: tf.Tensor, first: tf.Tensor, records: tf.Tensor) -> Any:
        return path, first, parse_examples(records, schema, kinds)

    records = tf.data.Dataset.from_tensor_slices(files).flat_map(records_of)
    chunks = in_parallel(records, parse)
    return well_formed_rows(chunks, schema, bad_rows or BadRows(), "record", then)


def parse_examples(
    records: tf.Tensor, schema: Schema, kinds: Mapping[str, Kind]
) -> RawColumns:
    """Raw columns of serialised Examples.

    Args:
        records: string (B,).
        schema: says which columns there are.
        kinds: of each column to be parsed, the type of its feature.
    """
    several = {column.name: column.separator for column in schema.multivalued}
    specs: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name in several:
            specs[name] = tf.io.RaggedFeature(tf.as_dtype(kind))
        else:
            default = {"int64": tf.int64.min, "float32": math.nan, "string": ""}[kind]
            dtype = tf.as_dtype(kind)
            specs[name] = tf.io.FixedLenFeature([], dtype, default_value=default)
    parsed = tf.io.parse_example(records, specs)
    texts = {column.name for column in schema.text_columns}
    if schema.label.positive:
        texts.add(schema.label.name)
    raw: RawColumns = {}
    for name, value in parsed.items():
        if name in several:
            text = value if value.dtype == tf.string else tf.strings.as_string(value)
            raw[name] = tf.strings.reduce_join(text, axis=1, separator=several[name])
        elif name in texts:
            raw[name] = _as_text(value)
    numbers = {name: value for name, value in parsed.items() if name not in raw}
    raw = {name: without_missing_text(raw[name], schema) for name in raw}
    return {**raw, **_as_numbers(numbers)}


def example_kinds(schema: Schema) -> dict[str, Kind]:
    """The types of the feature columns where no file says otherwise."""
    kinds: dict[str, Kind] = {column.name: "string" for column in schema.text_columns}
    for column in schema.numeric:
        kinds[column.name] = "int64" if column.dtype == "int64" else "float32"
    return kinds


def estimate_num_examples(files: Sequence[str]) -> int:
    """About how many records files have: their bytes ÷ the first records' mean size."""
    sizes = [len(record) + 16 for record in _sample(files[0])]
    total = sum(os.path.getsize(path) for path in files)
    return max(round(total * compression_of(files[0])) * len(sizes) // sum(sizes), 1)


def check_records(path: str) -> None:
    """Reads a TFRecord file to its end; a ValueError names it where that fails."""
    compression = "GZIP" if is_compressed(path) else ""
    with reading(path, "a whole TFRecord file"):
        for _ in tf.data.TFRecordDataset(path, compression).batch(_CHUNK):
            pass


def _sample(path: str) -> list[bytes]:
    compression = "GZIP" if is_compressed(path) else ""
    records = tf.data.TFRecordDataset(path, compression).take(_SAMPLE)
    with reading(path, "a TFRecord file"):
        found = list(records.as_numpy_iterator())
    if not found:
        raise ValueError(f"{path}: expected records, received none.")
    return found


def _sampled_kinds(files: Sequence[str], schema: Schema) -> dict[str, Kind]:
    """The features' types as the first records of the first file have them.

    Raises:
        ValueError: a record is no Example, or a feature can be no such column.
    """
    kinds = example_kinds(schema)
    for name in raw_specs(schema):
        kinds.setdefault(name, "string" if name in _label_text(schema) else "float32")
    seen: dict[str, Kind] = {}
    for number, record in enumerate(_sample(files[0]), start=1):
        where = f"{files[0]}, record {number}"
        for name, found in _kinds_of(record, where).items():
            if name not in kinds:
                continue
            is_text = kinds[name] == "string"
            expected = ["int64", "string"] if is_text else ["float32", "int64"]
            expected = [seen[name]] if name in seen else expected
            if found not in expected:
                raise ValueError(
                    f"{where}, feature {name}: expected {' or '.join(expected)}, "
                    f"received {found}."
                )
            seen[name] = found
    if not seen:
        raise ValueError(
            f"{files[0]}: expected Examples with the columns of schema {schema.name}, "
            "received none of them."
        )
    return {**kinds, **seen}


def _kinds_of(record: bytes, where: str) -> dict[str, Kind]:
    """The types of an Example's features, the empty ones left out."""
    try:
        example = tf.train.Example.FromString(record)
    except Exception:  # protobuf's own class of error differs between versions
        raise ValueError(
            f"{where}: expected a tf.train.Example, received other bytes."
        ) from None
    kinds: dict[str | None, Kind] = {
        "int64_list": "int64",
        "float_list": "float32",
        "bytes_list": "string",
    }
    features = example.features.feature.items()
    found = {name: kinds.get(feature.WhichOneof("kind")) for name, feature in features}
    return {name: kind for name, kind in found.items() if kind is not None}


def _label_text(schema: Schema) -> tuple[str, ...]:
    return (schema.label.name,) if schema.label.positive else ()


def _as_text(value: tf.Tensor) -> tf.Tensor:
    if value.dtype == tf.string:
        return value
    return tf.where(value == tf.int64.min, "", tf.strings.as_string(value))


def _as_numbers(values: Mapping[str, tf.Tensor]) -> RawColumns:
    """Columns of numbers, float64 with NaN where missing."""
    integers = {n: v for n, v in values.items() if v.dtype == tf.int64}
    others = {n: v for n, v in values.items() if n not in integers}
    numbers = {name: tf.cast(value, tf.float64) for name, value in others.items()}
    if integers:
        # One operation for all of them costs little more than for one.
        rows = tf.stack([*integers.values()])
        rows = tf.where(rows == tf.int64.min, _NAN, tf.cast(rows, tf.float64))
        rows = tf.unstack(rows, num=len(integers))
        numbers |= dict(zip(integers, rows, strict=True))
    return numbers
