"""The Parquet reader: column chunks of Parquet files, through pyarrow."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .bad_rows import BadRowError, BadRows
from .batching import batched
from .columns import MultiValued
from .extras import importing
from .files import Paths, expand_files
from .python_steps import from_generator
from .raw_rows import RawColumns, raw_specs
from .raw_values import text_values
from .schema import Schema
from .transform import to_batch
from .typed_rows import well_formed_rows

_CHUNK = 8192  # rows that are converted at once


def read_parquet(
    files: Paths,
    schema: Schema,
    batch_size: int,
    *,
    transform: Callable[[RawColumns], Any] | None = None,
    bad_rows: BadRows | None = None,
) -> tf.data.Dataset:
    """Reads Parquet files into batches, in the order of files and rows.

    Args:
        files: paths or glob patterns.
        schema: a complete schema. Columns are found by name, others are not read; null
            and NaN are missing. A category may be text or an integer, a multi-valued
            column a list, or text with the separator; the time also a timestamp.
        batch_size: rows a batch; the last one may have fewer.
        transform: as in `read_text`.
        bad_rows: as in `read_text`.

    Returns:
        A dataset of `Batch`; errors are those of `read_text`.

    Raises:
        ValueError: a missing or empty file, one that is no Parquet file, that lacks a
            column or has one of a type that does not fit, a batch size below 1, or an
            incomplete schema.
        ImportError: pyarrow is not installed; names the command that installs it.

    Examples:
        >>> scores = Schema("scores", (Numeric("logit", "float64", "none"),), ())
        >>> batches = read_parquet("a.parquet", scores, batch_size=400)
        >>> [len(batch.label) for batch in batches]
        [400, 400, 200]
    """
    then = to_batch(schema, transform)
    chunks = read_raw_parquet(files, schema, bad_rows=bad_rows, then=then)
    return batched(chunks, batch_size)


def read_raw_parquet(
    files: Paths,
    schema: Schema,
    *,
    bad_rows: BadRows | None = None,
    then: Callable[[RawColumns], Any] = lambda raw: raw,
) -> tf.data.Dataset:
    """Reads Parquet files into raw columns, some thousand rows at a time.

    Args and returns: as `read_raw_text`.
    """
    files = expand_files(files)
    for path in files:
        _check_columns(path, schema)
    spec = (
        tf.TensorSpec([], tf.string),
        tf.TensorSpec([], tf.int64),
        raw_specs(schema),
    )
    chunks = from_generator(lambda: _chunks(files, schema), spec)
    return well_formed_rows(chunks, schema, bad_rows or BadRows(), "row", then)


def parquet_kinds(path: str) -> dict[str, str]:
    """What each column of a file holds.

    Returns:
        By name `number`, `time`, `text`, `list` (of numbers or texts) or `other`, which
        no schema's column can be read from.
    """
    with open_parquet(path) as file:
        return {field.name: _kind_of(field.type) for field in file.schema_arrow}


def _kind_of(arrow_type: Any) -> str:
    import pyarrow

    kind = pyarrow.types
    if kind.is_dictionary(arrow_type):
        return _kind_of(arrow_type.value_type)
    if kind.is_list(arrow_type) or kind.is_large_list(arrow_type):
        is_plain = _kind_of(arrow_type.value_type) in ("number", "text")
        return "list" if is_plain else "other"
    if kind.is_timestamp(arrow_type) or kind.is_date(arrow_type):
        return "time"
    if kind.is_string(arrow_type) or kind.is_large_string(arrow_type):
        return "text"
    is_number = (
        kind.is_integer(arrow_type)
        or kind.is_floating(arrow_type)
        or kind.is_boolean(arrow_type)
        or kind.is_decimal(arrow_type)
        or kind.is_null(arrow_type)
    )
    return "number" if is_number else "other"


def parquet_texts(path: str) -> Iterator[dict[str, str]]:
    """A file's rows as text by column, for a first look: nothing where missing.

    A list is its values with | between them, a time its seconds. Columns of another
    kind (`parquet_kinds`) are empty.
    """
    kinds = parquet_kinds(path)
    read = [name for name, kind in kinds.items() if kind != "other"]
    with open_parquet(path) as file:
        for batch in file.iter_batches(batch_size=_CHUNK, columns=read):
            columns = {name: [""] * batch.num_rows for name in kinds}
            for name in read:
                values = _moments(batch.column(name), kinds[name]).to_pylist()
                columns[name] = list(map(_as_text, values))
            for row in zip(*columns.values(), strict=True):
                yield dict(zip(columns, row, strict=True))


def _moments(array: Any, kind: str) -> Any:
    """Times in microseconds, the finest that Python has; others as they are."""
    import pyarrow

    return array.cast(pyarrow.timestamp("us"), safe=False) if kind == "time" else array


def _as_text(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, datetime.datetime):
        return _as_text(value.replace(tzinfo=datetime.UTC).timestamp())
    if isinstance(value, list):
        return "|".join(map(_as_text, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def count_parquet_rows(files: Sequence[str]) -> int:
    """How many rows files have, as their footers say."""
    num_rows = 0
    for path in files:
        with open_parquet(path) as file:
            num_rows += file.metadata.num_rows
    return num_rows


def open_parquet(path: str) -> Any:
    """A `pyarrow.parquet.ParquetFile`, a context manager.

    Raises:
        ValueError: the file cannot be read, or is no Parquet file.
        ImportError: pyarrow is not installed; names the command that installs it.
    """
    with importing(path, "pyarrow", "data", "to read Parquet"):
        import pyarrow
        import pyarrow.parquet
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(
            f"{path}: expected a Parquet file, received one that cannot be read: "
            f"{_first_line(error)}"
        ) from None


def _check_columns(path: str, schema: Schema) -> None:
    """Raises a ValueError where a file lacks a column, or its type does not fit."""
    with open_parquet(path) as file:
        types = {field.name: field.type for field in file.schema_arrow}
    for name in raw_specs(schema):
        if name not in types:
            raise ValueError(
                f"{path}: expected a column {name}, received none of this name "
                f"({', '.join(types)[:200]})."
            )
        try:
            _converted(_empty(types[name]), name, schema)
        except (TypeError, ValueError, NotImplementedError) as error:
            raise ValueError(
                f"{path}, column {name}: expected "
                f"{'text' if name in _texts(schema) else 'numbers'}, received "
                f"{types[name]}: {_first_line(error)}"
            ) from None


def _empty(arrow_type: Any) -> Any:
    import pyarrow

    return pyarrow.array([], arrow_type)


def _texts(schema: Schema) -> set[str]:
    return {name for name, spec in raw_specs(schema).items() if spec.dtype == tf.string}


def _chunks(
    files: Sequence[str], schema: Schema
) -> Iterator[tuple[str, int, dict[str, np.ndarray]]]:
    """The file, the number of the first row, and raw columns."""
    import pyarrow

    names = sorted(raw_specs(schema))
    for path in files:
        first = 1
        with open_parquet(path) as file:
            batches = file.iter_batches(batch_size=_CHUNK, columns=names)
            while True:
                try:
                    batch = next(batches, None)
                    if batch is None:
                        break
                    raw = {n: _converted(batch.column(n), n, schema) for n in names}
                except (pyarrow.ArrowException, OSError, ValueError) as error:
                    raise BadRowError(
                        f"{path}, row {first} or later: expected rows that can be "
                        f"read, received: {_first_line(error)}"
                    ) from None
                yield path, first, raw
                first += batch.num_rows


def _converted(array: Any, name: str, schema: Schema) -> np.ndarray:
    """An Arrow array as a raw column: float64 with NaN, or bytes, empty if missing."""
    import pyarrow
    import pyarrow.compute

    kind = pyarrow.types
    if kind.is_dictionary(array.type):
        array = array.dictionary_decode()
    if name not in _texts(schema):
        if kind.is_temporal(array.type):
            moments = _moments(array, "time").cast(pyarrow.int64())
            return moments.cast(pyarrow.float64(), safe=False).to_numpy(False) / 1e6
        if _kind_of(array.type) != "number":
            raise TypeError("no number")
        # Through float64, since integers beyond 2**53 would not be cast.
        numbers = array.cast(pyarrow.float64(), safe=False)
        return numbers.to_numpy(zero_copy_only=False)
    columns = {column.name: column for column in schema.text_columns}
    column = columns.get(name)
    is_list = kind.is_list(array.type) or kind.is_large_list(array.type)
    if is_list and isinstance(column, MultiValued):
        return text_values(np.array(array.to_pylist() + [None], object)[:-1], column)
    if kind.is_floating(array.type) and column is not None:
        return text_values(array.to_numpy(zero_copy_only=False), column)
    text = array.cast(pyarrow.string()).cast(pyarrow.binary())
    return text.fill_null(b"").to_numpy(zero_copy_only=False)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") + "."
