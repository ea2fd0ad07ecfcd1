"""The text reader: lines of delimited fields, parsed in whole batches.

A row is well-formed when its line matches the schema's regular expression in full:
the number of fields and each field's form are checked in one pass over the bytes, so
that `decode_csv`, which would fail a whole batch, is only given lines it can read.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .bad_rows import BadRowError, BadRows, without_bad_rows
from .batching import batched
from .files import Paths, compression_of, expand_files, head_of, is_compressed
from .line_forms import check_patterns, line_patterns, split_line, stripped
from .parallel import in_parallel, untuned
from .python_steps import from_generator
from .raw_rows import RawColumns
from .row_faults import fault_of_line
from .schema import Schema
from .transform import to_batch

_CHUNK = 1 << 20  # bytes that are parsed at once, whatever the batch size
_NAN = np.float64(math.nan)


def estimate_num_lines(files: Sequence[str]) -> int:
    """About how many lines files have: their bytes ÷ the first lines' mean length."""
    head = head_of(files[0])
    lines = max(head.count(b"\n"), 1)
    size = sum(os.path.getsize(path) for path in files)
    return round(size * compression_of(files[0])) * lines // len(head)


def read_text(
    files: Paths,
    schema: Schema,
    batch_size: int,
    *,
    transform: Callable[[RawColumns], Any] | None = None,
    bad_rows: BadRows | None = None,
) -> tf.data.Dataset:
    """Reads text files into batches, in the order of files and lines.

    Args:
        files: paths or glob patterns, as `expand_files` takes them; files whose names
            end in .gz are decompressed.
        schema: the schema, its vocabularies counted.
        batch_size: rows a batch; the last one may have fewer.
        transform: what makes features of raw columns; by default the schema's
            transform.
        bad_rows: what becomes of rows that do not parse; by default the first is an
            error.

    Returns:
        A dataset of `Batch`. Iterating over it raises `InvalidArgumentError` at a
        bad row; inside `with bad_row_errors():` that is a `BadRowError`.

    Raises:
        ValueError: a missing or empty file, a header that is not the schema's, a batch
            size below 1, or a schema whose vocabularies are not counted.

    Examples:
        >>> schema = read_manifest("blocks").schema
        >>> batches = read_text("clicks/day_[5-6].tsv", schema, batch_size=800)
        >>> [len(batch.label) for batch in batches]
        [800, 800, 400]
    """
    then = to_batch(schema, transform)
    return batched(
        read_raw_text(files, schema, bad_rows=bad_rows, then=then), batch_size
    )


def read_raw_text(
    files: Paths,
    schema: Schema,
    *,
    bad_rows: BadRows | None = None,
    then: Callable[[RawColumns], Any] = lambda raw: raw,
) -> tf.data.Dataset:
    """Reads text files into raw columns, some thousand rows at a time.

    Args:
        files: as in `read_text`.
        schema: the schema; its vocabularies need not be counted.
        bad_rows: as in `read_text`.
        then: a function of the raw columns, run in the same parallel step.

    Returns:
        A dataset of what `then` returns; without it, dicts of all columns by name,
        label and weight included: float64 (B,) with NaN for missing, or string (B,).

    Raises:
        ValueError: as `read_text`.

    Examples:
        >>> for chunk in read_raw_text("clicks/day_0.tsv", CRITEO):
        ...     print(len(chunk), chunk["I1"].dtype.name, chunk["C1"].dtype.name)
        40 float64 string
    """
    files = expand_files(files)
    for file in files:
        if schema.header:
            _check_header(file, schema)
        elif is_compressed(file):
            head_of(file)
    return parse_chunks(
        lambda: _chunks(files, int(schema.header)), schema, bad_rows or BadRows(), then
    )


def parse_chunks(
    chunks: Callable[[], Iterator[tuple[str, int, bytes]]],
    schema: Schema,
    bad_rows: BadRows,
    then: Callable[[RawColumns], Any],
) -> tf.data.Dataset:
    """Parses whole lines, some megabytes at a time.

    Args:
        chunks: gives where the lines come from, the number of the first, from 1, and
            the lines, each of which ends in a newline.
        schema: as in `read_raw_text`.
        bad_rows: as in `read_raw_text`.
        then: as in `read_raw_text`.
    """
    check_patterns(schema)
    patterns = line_patterns(schema)

    def check(path: tf.Tensor, first: tf.Tensor, chunk: tf.Tensor) -> Any:
        lines = tf.strings.split(chunk, "\n")[:-1]  # every line ends in one
        lines = stripped(lines, schema)
        good = [tf.strings.regex_full_match(lines, p) for p in patterns]
        return path, first, lines, tf.reduce_all(good, axis=0)

    def describe(line: bytes) -> tuple[str, bytes]:
        return fault_of_line(line, schema), line

    text, number = tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)
    checked = in_parallel(from_generator(chunks, (text, number, text)), check)
    lines = without_bad_rows(checked, "line", describe, bad_rows)
    return untuned(in_parallel(lines, lambda lines: then(_decode(lines, schema))))


def _chunks(files: Sequence[str], num_header: int) -> Iterator[tuple[str, int, bytes]]:
    """Whole lines of files, some megabytes at a time.

    Yields:
        The file, the number of the first line, from 1, and the lines, each of which
        ends in a newline; carriage returns are left out.
    """
    for path in files:
        first, rest, skipped = 1, b"", 0
        with gzip.open(path) if is_compressed(path) else open(path, "rb") as file:
            while True:
                try:
                    data = file.read(_CHUNK)
                except (EOFError, OSError, zlib.error) as error:
                    raise BadRowError(
                        f"{path}: expected a file that can be read to its end, "
                        f"received: {error}."
                    ) from None
                if not data and not rest:
                    break
                data = data or b"\n"  # which the last line may lack
                end = data.rfind(b"\n") + 1
                lines, rest = rest + data[:end], data[end:]
                if not end:
                    lines, rest = b"", lines + rest
                if b"\r" in lines:
                    lines = lines.replace(b"\r", b"")
                while skipped < num_header and lines:
                    lines = lines.partition(b"\n")[2]
                    skipped += 1
                    first += 1
                if lines:
                    yield path, first, lines
                    first += lines.count(b"\n")


def _decode(lines: tf.Tensor, schema: Schema) -> RawColumns:
    """Raw columns, label, weight and time included, of well-formed lines."""
    defaults: dict[str, tf.Tensor] = {
        column.name: tf.constant([""]) for column in schema.text_columns
    }
    for column in schema.numeric:
        # An integer column is decoded as such: float64 takes `nan` and `0x1F`.
        missing = tf.int64.min if column.dtype == "int64" else math.nan
        defaults[column.name] = tf.constant([missing], tf.as_dtype(column.dtype))
    for name in filter(None, (schema.label.name, schema.weight, schema.time)):
        is_text = name == schema.label.name and schema.label.positive
        defaults[name] = tf.constant([], tf.string if is_text else tf.float64)
    used = [i for i, name in enumerate(schema.fields) if name in defaults]
    columns = tf.io.decode_csv(
        lines,
        [defaults[schema.fields[i]] for i in used],
        field_delim=schema.delimiter,
        use_quote_delim=schema.quoted,
        na_value=schema.missing,
        select_cols=used,
    )
    raw = dict(zip((schema.fields[i] for i in used), columns, strict=True))
    for column in schema.numeric:
        if column.dtype == "int64":
            value = raw[column.name]
            missing = value == tf.int64.min
            value = tf.where(missing, _NAN, tf.cast(value, tf.float64))
            raw[column.name] = value
    return raw


def _check_header(path: str, schema: Schema) -> None:
    first = head_of(path).partition(b"\n")[0].removesuffix(b"\r")
    line = first.decode("utf-8-sig", "replace")
    try:
        names = split_line(line, schema)
    except csv.Error:
        names = [line]
    if names != list(schema.fields):
        raise ValueError(
            f"{path}, line 1: expected a header that names the fields "
            f"{', '.join(schema.fields)}, received {', '.join(names)[:200]}."
        )
