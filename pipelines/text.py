"""The text reader: lines of delimited fields, parsed in whole batches.

A row is well-formed when its line matches the schema's regular expression in full:
the number of fields and each field's form are checked in one pass over the bytes, so
that `decode_csv`, which would fail a whole batch, is only given lines it can read.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .files import expand_files, reason_of
from .schema import Schema
from .transform import Batch, Transform

_CHUNK = 4096  # lines parsed at once, whatever the batch size
_HEAD = 1 << 20  # bytes that are looked at before a file is read
_NUM_QUOTED = 5  # bad rows that are quoted on stderr
_NAN = np.float64(math.nan)


class BadRowError(ValueError):
    """A row that does not parse, or cannot be set aside; says where and why."""


class BadRows:
    """Counts rows that do not parse, keeps them, and stops at one too many.

    The first few are quoted on stderr. The file of rejects is only made when there
    is something to put into it; an earlier one of the same name is replaced. It is
    for one pass over the rows.

    Args:
        schema: the schema that the rows do not follow.
        max_bad_rows: how many may be passed over; the next raises.
        rejects: the file that the rows passed over are written to, as they came.
        quote: whether the first few are quoted.
    """

    def __init__(
        self,
        schema: Schema,
        max_bad_rows: int = 0,
        rejects: Path | None = None,
        quote: bool = True,
    ) -> None:
        if max_bad_rows < 0:
            raise ValueError(
                f"max_bad_rows: expected 0 or more, received {max_bad_rows}."
            )
        self.count = 0
        self._schema = schema
        self._max_bad_rows = max_bad_rows
        self._rejects = rejects
        self._num_quoted = _NUM_QUOTED if quote else 0

    def drop(
        self, path: bytes, first: np.ndarray, lines: np.ndarray, good: np.ndarray
    ) -> np.ndarray:
        """The good ones of a chunk's lines; the others are counted and kept.

        Args:
            path: the file's name.
            first: the number of the chunk's first line, from 1.
            lines: (L,) bytes.
            good: (L,) bool.

        Raises:
            BadRowError: more than `max_bad_rows` bad rows so far, or the file of
                rejects cannot be written.
        """
        for index in np.flatnonzero(~good):
            self.count += 1
            where = f"{os.fsdecode(path)}, line {first + index}"
            fault = f"{where}: {describe_fault(lines[index], self._schema)}"
            if self.count > self._max_bad_rows:
                over = (
                    f" (bad row {self.count}; max_bad_rows is {self._max_bad_rows})"
                    if self._max_bad_rows
                    else ""
                )
                raise BadRowError(fault + over)
            if self.count <= self._num_quoted:
                print(f"bad row passed over: {fault}", file=sys.stderr)
            if self._rejects is not None:
                self._reject(lines[index])
        return lines[good]

    def _reject(self, line: np.bytes_) -> None:
        path = Path(self._rejects or "")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb" if self.count == 1 else "ab") as file:
                file.write(line + b"\n")
        except OSError as error:
            raise BadRowError(
                f"{path}: expected a file that rejects can be written to, "
                f"received: {error.strerror}."
            ) from None


def describe_fault(line: bytes, schema: Schema) -> str:
    """Says why a line is not a row of the schema: what was expected, what came."""
    if not line:
        return f"expected {len(schema.fields)} fields ({schema.name}), received none."
    try:
        values = line.decode("utf-8").split(schema.delimiter)
    except UnicodeDecodeError as error:
        return f"expected UTF-8 text, received {error.object[error.start :][:8]!r}."
    if len(values) != len(schema.fields):
        kind = {"\t": "tab", ",": "comma"}.get(schema.delimiter, repr(schema.delimiter))
        return (
            f"expected {len(schema.fields)} {kind}-separated fields "
            f"({schema.name}), received {len(values)}."
        )
    for field, value in zip(schema.fields, values, strict=True):
        if not re.fullmatch(schema.pattern(field), value):
            what = _EXPECTED.get(_kind(field, schema), "a value of another form")
            return f"field {field}: expected {what}, received {value[:40]!r}."
    return f"expected a row of schema {schema.name}, received {line[:80]!r}."


def estimate_num_rows(files: Sequence[str]) -> int:
    """About how many lines files have: their bytes ÷ the first lines' mean length."""
    head = _head(files[0])
    # Of a compressed file the length is not known: one in the first file's ratio.
    if _is_compressed(files[0]):
        ratio = len(head) / len(gzip.compress(head))
    else:
        ratio = 1
    lines = max(head.count(b"\n"), 1)
    size = sum(os.path.getsize(path) for path in files)
    return round(size * ratio) * lines // len(head)


def read_text(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    schema: Schema,
    batch_size: int,
    *,
    transform: Callable[[dict[str, tf.Tensor]], Any] | None = None,
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

    Example:
        >>> dataset = read_text("day_*.tsv", schema, batch_size=256)
        >>> model.fit(dataset)
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected 1 or more, received {batch_size}.")
    transform = transform or Transform(schema)

    def to_batch(raw: dict[str, tf.Tensor]) -> Batch:
        label, weight = _label(raw, schema), _weight(raw, schema)
        return Batch(transform(raw), label, weight)

    chunks = read_raw_text(files, schema, bad_rows=bad_rows, then=to_batch)
    return chunks.rebatch(batch_size).prefetch(4)


def read_raw_text(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    schema: Schema,
    *,
    bad_rows: BadRows | None = None,
    then: Callable[[dict[str, tf.Tensor]], Any] = lambda raw: raw,
) -> tf.data.Dataset:
    """Reads text files into raw columns, some thousand rows at a time.

    Args:
        files: as in `read_text`.
        schema: the schema; its vocabularies need not be counted.
        bad_rows: as in `read_text`.
        then: a function of the raw columns, run in the same parallel step.

    Returns:
        A dataset of what `then` returns; without it, dicts of all columns by name,
        label and weight included: float64 with NaN for missing, or string.
    """
    files = expand_files(files)
    bad = bad_rows or BadRows(schema)
    _check_patterns(schema)
    for file in files:
        if schema.header:
            _check_header(file, schema)
        elif _is_compressed(file):
            _head(file)
    num_header = int(schema.header)

    def lines_of(path: tf.Tensor) -> tf.data.Dataset:
        is_compressed = tf.strings.regex_full_match(path, r".*\.gz")
        compression = tf.where(is_compressed, "GZIP", "")
        lines = tf.data.TextLineDataset(path, compression).skip(num_header)
        first = 1 + num_header
        return (
            lines.batch(_CHUNK)
            .enumerate()
            .map(lambda index, lines: (path, first + index * _CHUNK, lines))
        )

    def check(path: tf.Tensor, first: tf.Tensor, lines: tf.Tensor) -> Any:
        good = [tf.strings.regex_full_match(lines, p) for p in _line_patterns(schema)]
        return path, first, lines, tf.reduce_all(good, axis=0)

    @tf.autograph.experimental.do_not_convert
    def drop_bad(
        path: tf.Tensor, first: tf.Tensor, lines: tf.Tensor, good: tf.Tensor
    ) -> tf.Tensor:
        def dropped() -> tf.Tensor:
            kept = tf.numpy_function(bad.drop, [path, first, lines, good], tf.string)
            return tf.ensure_shape(kept, [None])

        return tf.cond(tf.reduce_all(good), lambda: lines, dropped)

    in_parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    return (
        tf.data.Dataset.from_tensor_slices(files)
        .flat_map(lines_of)
        .map(check, **in_parallel)
        .map(drop_bad)  # one after another: threads must not decide which is too many
        .map(lambda lines: then(_decode(lines, schema)), **in_parallel)
    )


@contextlib.contextmanager
def bad_row_errors() -> Iterator[None]:
    """Turns TensorFlow's error about a bad row into the `BadRowError` inside it."""
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search(r"BadRowError: (.*)", error.message)
        if found is None:
            raise
        raise BadRowError(found[1]) from None


def parse_unlabelled(lines: tf.Tensor, schema: Schema) -> dict[str, tf.Tensor]:
    """Raw feature columns of lines to be scored, which have no label.

    More forgiving than the reader, since a server cannot ask back: a number that
    does not parse is missing, and text may be anything.

    Args:
        lines: string (B,): the schema's fields but label and weight.
        schema: the schema.

    Raises:
        InvalidArgumentError: a line has another number of fields; names the row.
    """
    names = schema.feature_fields
    lines = tf.strings.regex_replace(lines, r"\r|\n$", "")  # as the reader does
    fields = tf.strings.split(lines, schema.delimiter)
    received = fields.row_lengths()
    wrong = tf.where(received != len(names))[:1, 0]  # the first one, if any
    message = tf.strings.format(
        f"row {{}} of the batch, from 0: expected {len(names)} fields "
        f"({schema.name}), received {{}}.",
        (tf.reduce_sum(wrong), tf.reduce_sum(tf.gather(received, wrong))),
    )
    check = tf.debugging.Assert(tf.equal(tf.size(wrong), 0), [message])
    with tf.control_dependencies([check]):
        columns = tf.reshape(fields.flat_values, [-1, len(names)])
    raw = {}
    for column in schema.categorical:
        text = columns[:, names.index(column.name)]
        raw[column.name] = tf.where(text == schema.missing, "", text)
    for numeric in schema.numeric:
        text = columns[:, names.index(numeric.name)]
        is_number = tf.strings.regex_full_match(text, numeric.pattern)
        dtype = tf.as_dtype(numeric.dtype)
        value = tf.strings.to_number(tf.where(is_number, text, "0"), dtype)
        raw[numeric.name] = tf.where(is_number, tf.cast(value, tf.float64), _NAN)
    return raw


def _decode(lines: tf.Tensor, schema: Schema) -> dict[str, tf.Tensor]:
    """Raw columns, label and weight included, of well-formed lines."""
    defaults: dict[str, tf.Tensor] = {
        column.name: tf.constant([""]) for column in schema.categorical
    }
    for column in schema.numeric:
        # An integer column is decoded as such: float64 takes `nan` and `0x1F`.
        missing = tf.int64.min if column.dtype == "int64" else math.nan
        defaults[column.name] = tf.constant([missing], tf.as_dtype(column.dtype))
    for name in (schema.label.name, schema.weight):
        defaults[name] = tf.constant([], tf.float64)
    used = [i for i, name in enumerate(schema.fields) if name in defaults]
    columns = tf.io.decode_csv(
        lines,
        [defaults[schema.fields[i]] for i in used],
        field_delim=schema.delimiter,
        use_quote_delim=False,
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


def _label(raw: dict[str, tf.Tensor], schema: Schema) -> tf.Tensor:
    value = raw[schema.label.name]
    if schema.label.at_least is not None:
        value = value >= schema.label.at_least
    return tf.cast(value, tf.float32)


def _weight(raw: dict[str, tf.Tensor], schema: Schema) -> tf.Tensor:
    if schema.weight:
        return tf.cast(raw[schema.weight], tf.float32)
    return tf.ones_like(raw[schema.label.name], tf.float32)


def _line_patterns(schema: Schema) -> tuple[str, str]:
    """What a line matches in full: the fields' number and the fields' forms.

    The forms alone would not do: a column's own pattern may take the delimiter.
    """
    delimiter = re.escape(schema.delimiter)
    forms = (f"(?:{schema.pattern(field)})" for field in schema.fields)
    others = f"[^{delimiter}]*"
    number = f"(?:{others}{delimiter}){{{len(schema.fields) - 1}}}{others}"
    return number, delimiter.join(forms)


def _check_patterns(schema: Schema) -> None:
    """Raises a ValueError where TensorFlow cannot match a column's pattern."""
    for column in schema.categorical:
        try:
            tf.strings.regex_full_match("", column.pattern)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"column {column.name}: expected a pattern in the syntax of RE2, "
                f"received {column.pattern!r} ({reason_of(error)})"
            ) from None


def _check_header(path: str, schema: Schema) -> None:
    first = _head(path).partition(b"\n")[0].removesuffix(b"\r")
    line = first.decode("utf-8-sig", "replace")
    names = line.split(schema.delimiter)
    if names != list(schema.fields):
        raise ValueError(
            f"{path}, line 1: expected a header that names the fields "
            f"{', '.join(schema.fields)}, received {', '.join(names)[:200]}."
        )


def _is_compressed(path: str | os.PathLike[str]) -> bool:
    return os.fspath(path).endswith(".gz")


def _head(path: str | os.PathLike[str]) -> bytes:
    """The first megabyte of a file, decompressed where it is compressed."""
    if not _is_compressed(path):
        with open(path, "rb") as file:
            return file.read(_HEAD)
    try:
        with gzip.open(path) as file:
            head = file.read(_HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{os.fspath(path)}: expected a gzip file, as its name ends in .gz, "
            f"received one that cannot be read: {error}."
        ) from None
    if not head:
        raise ValueError(
            f"{os.fspath(path)}: expected rows, received a gzip file of nothing."
        )
    return head


def _kind(field: str, schema: Schema) -> str:
    if field == schema.label.name:
        return "label" if schema.label.at_least is None else "float64"
    if field == schema.weight:
        return "weight"
    for column in schema.numeric:
        if column.name == field:
            return column.dtype
    return schema.pattern(field)


_EXPECTED = {
    "label": "0 or 1",
    "weight": "a number of 0 or more",
    "int64": "an integer of at most 18 digits, or nothing",
    "float64": "a finite decimal number, or nothing",
    "(?:[0-9a-f]{8})?": "8 hexadecimal digits in lower case, or nothing",
}
