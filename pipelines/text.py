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
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .bad_rows import BadRowError, BadRows
from .batching import batched
from .files import compression_of, expand_files, head_of, is_compressed, reason_of
from .parallel import in_parallel, unconverted, untuned
from .python_steps import from_generator, numpy_function
from .schema import Schema
from .transform import to_batch

_CHUNK = 1 << 20  # bytes that are parsed at once, whatever the batch size
_NAN = np.float64(math.nan)


def describe_fault(line: bytes, schema: Schema) -> str:
    """Says why a line is not a row of the schema: what was expected, what came."""
    if not line:
        return f"expected {len(schema.fields)} fields ({schema.name}), received none."
    try:
        values = _split(line.decode("utf-8"), schema)
    except UnicodeDecodeError as error:
        return f"expected UTF-8 text, received {error.object[error.start :][:8]!r}."
    except csv.Error:
        return f"expected quotes in pairs, around a field, received {line[:80]!r}."
    if len(values) != len(schema.fields):
        kind = {"\t": "tab", ",": "comma"}.get(schema.delimiter, repr(schema.delimiter))
        return (
            f"expected {len(schema.fields)} {kind}-separated fields "
            f"({schema.name}), received {len(values)}."
        )
    for field, value in zip(schema.fields, values, strict=True):
        if not re.fullmatch(schema.pattern(field), value):
            what = EXPECTED.get(kind_of(field, schema), "a value of another form")
            return f"field {field}: expected {what}, received {value[:40]!r}."
    return f"expected a row of schema {schema.name}, received {line[:80]!r}."


def estimate_num_lines(files: Sequence[str]) -> int:
    """About how many lines files have: their bytes ÷ the first lines' mean length."""
    head = head_of(files[0])
    lines = max(head.count(b"\n"), 1)
    size = sum(os.path.getsize(path) for path in files)
    return round(size * compression_of(files[0])) * lines // len(head)


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
    then = to_batch(schema, transform)
    return batched(
        read_raw_text(files, schema, bad_rows=bad_rows, then=then), batch_size
    )


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
    then: Callable[[dict[str, tf.Tensor]], Any],
) -> tf.data.Dataset:
    """Parses whole lines, some megabytes at a time.

    Args:
        chunks: gives where the lines come from, the number of the first, from 1, and
            the lines, each of which ends in a newline.
        schema: as in `read_raw_text`.
        bad_rows: as in `read_raw_text`.
        then: as in `read_raw_text`.
    """
    _check_patterns(schema)
    patterns = _line_patterns(schema)

    def check(path: tf.Tensor, first: tf.Tensor, chunk: tf.Tensor) -> Any:
        lines = tf.strings.split(chunk, "\n")[:-1]  # every line ends in one
        lines = _stripped(lines, schema)
        good = [tf.strings.regex_full_match(lines, p) for p in patterns]
        return path, first, lines, tf.reduce_all(good, axis=0)

    def drop(
        path: bytes, first: np.ndarray, lines: np.ndarray, good: np.ndarray
    ) -> np.ndarray:
        for index in np.flatnonzero(~good):
            line = lines[index]
            where = f"{os.fsdecode(path)}, line {first + index}"
            bad_rows.add(where, describe_fault(line, schema), line)
        return lines[good]

    @unconverted
    def drop_bad(
        path: tf.Tensor, first: tf.Tensor, lines: tf.Tensor, good: tf.Tensor
    ) -> tf.Tensor:
        def dropped() -> tf.Tensor:
            kept = numpy_function(drop, [path, first, lines, good], tf.string)
            return tf.ensure_shape(kept, [None])

        return tf.cond(tf.reduce_all(good), lambda: lines, dropped)

    text, number = tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)
    source = from_generator(chunks, (text, number, text))
    # One after another: threads must not decide which bad row is one too many.
    lines = in_parallel(source, check).map(drop_bad)
    return untuned(in_parallel(lines, lambda lines: then(_decode(lines, schema))))


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
    lines = _stripped(lines, schema)
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


def without_missing_text(values: tf.Tensor, schema: Schema) -> tf.Tensor:
    """Columns whose text that stands for a missing value is one; others as they are."""
    if values.dtype != tf.string or not schema.missing:
        return values
    return tf.where(values == schema.missing, "", values)


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


def _stripped(lines: tf.Tensor, schema: Schema) -> tf.Tensor:
    """Lines without the spaces around fields, where the schema says so."""
    if not schema.strip:
        return lines
    lines = tf.strings.regex_replace(lines, "^ +| +$", "")
    around = f" *{re.escape(schema.delimiter)} *"
    return tf.strings.regex_replace(lines, around, schema.delimiter)


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
    good = tf.strings.regex_full_match(text, _number_pattern(schema, width))
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


def _decode(lines: tf.Tensor, schema: Schema) -> dict[str, tf.Tensor]:
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


def _line_patterns(schema: Schema) -> list[str]:
    """What a line matches in full: the fields' forms and, where need be, their number.

    The forms alone do not say the number where a column's own pattern may take the
    delimiter, or a quote.
    """
    d = re.escape(schema.delimiter)
    forms = d.join(_form(schema, field) for field in schema.fields)
    if all(_is_plain(c.pattern, schema.delimiter) for c in schema.text_columns):
        return [forms]
    return [_number_pattern(schema, len(schema.fields)), forms]


def _number_pattern(schema: Schema, num_fields: int) -> str:
    """What a line of so many fields matches in full, whatever they hold."""
    d = re.escape(schema.delimiter)
    field = f'(?:[^"{d}\\n]*|"(?:[^"]|"")*")' if schema.quoted else f"[^{d}]*"
    return f"(?:{field}{d}){{{num_fields - 1}}}{field}"


def _form(schema: Schema, field: str) -> str:
    """A field's regular expression, its quotes included."""
    pattern = f"(?:{schema.pattern(field)})"
    if not schema.quoted:
        return pattern
    is_free = schema.pattern(field).startswith("[^")
    inner = pattern[-2] if is_free else ""  # the quantifier: * or +
    quoted = f'"(?:[^"]|""){inner}"' if is_free else f'"{pattern}"'
    return f"(?:{pattern}|{quoted})"


def _is_plain(pattern: str, delimiter: str) -> bool:
    """Whether a pattern is seen to match letters, digits, - and _ alone."""
    item = r"\w|-|[|?*+()]|\{[0-9,]+\}|\[(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|\w)+\]"
    is_plain = re.fullmatch(f"(?:{item})*", pattern, re.ASCII)
    return bool(is_plain) and not (delimiter.isalnum() or delimiter in "-_")


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
    first = head_of(path).partition(b"\n")[0].removesuffix(b"\r")
    line = first.decode("utf-8-sig", "replace")
    try:
        names = _split(line, schema)
    except csv.Error:
        names = [line]
    if names != list(schema.fields):
        raise ValueError(
            f"{path}, line 1: expected a header that names the fields "
            f"{', '.join(schema.fields)}, received {', '.join(names)[:200]}."
        )


def _split(line: str, schema: Schema) -> list[str]:
    """The fields of one line."""
    if schema.quoted:
        reader = csv.reader([line], delimiter=schema.delimiter, strict=True)
        return next(reader, [])
    fields = line.split(schema.delimiter)
    return [field.strip(" ") for field in fields] if schema.strip else fields


def kind_of(field: str, schema: Schema) -> str:
    """What a field holds: a key of `EXPECTED`, or a regular expression."""
    label = schema.label
    if field == label.name and not label.positive:
        return "label" if label.at_least is None else "number"
    if field in (schema.weight, schema.time):
        return "weight" if field == schema.weight else "number"
    for column in schema.numeric:
        if column.name == field:
            return column.dtype
    return schema.pattern(field)


EXPECTED = {
    "label": "0 or 1",
    "number": "a finite decimal number",
    "weight": "a number of 0 or more",
    "int64": "an integer of at most 18 digits, or nothing",
    "float64": "a finite decimal number, or nothing",
    "(?:[0-9a-f]{8})?": "8 hexadecimal digits in lower case, or nothing",
}
