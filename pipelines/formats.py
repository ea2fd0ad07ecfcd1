"""The formats of row files, told apart by their first bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from .bad_rows import BadRows, bad_row_errors
from .batching import batched, followed
from .completion import complete_schema
from .examples import check_records, estimate_num_examples, read_raw_examples
from .files import Paths, expand_files, head_of
from .parquet import count_parquet_rows, read_raw_parquet
from .raw_rows import RawColumns
from .schema import Schema
from .text import estimate_num_lines, read_raw_text
from .transform import to_batch


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of row files.

    Attributes:
        read_raw: reads files into raw columns, as `read_raw_text` does.
        num_rows: of files, about how many rows they have.
    """

    read_raw: Callable[..., tf.data.Dataset]
    num_rows: Callable[[Sequence[str]], int]


FORMATS: dict[str, Format] = {
    "text": Format(read_raw_text, estimate_num_lines),
    "examples": Format(read_raw_examples, estimate_num_examples),
    "parquet": Format(read_raw_parquet, count_parquet_rows),
}
"""The formats by name."""


def format_of(files: Sequence[str]) -> str:
    """The name of the files' format, as their first bytes tell it.

    Args:
        files: their paths, at least one.

    Returns:
        `text`, `examples` or `parquet`.

    Raises:
        ValueError: the files are of several formats.

    Examples:
        >>> format_of(["clicks/day_0.tsv"]), format_of(["a.parquet"])
        ('text', 'parquet')
    """
    formats = [_sniffed(path) for path in files]
    for path, found in zip(files, formats, strict=True):
        if found != formats[0]:
            raise ValueError(
                f"{path}: expected {formats[0]} as in {files[0]}, received {found}."
            )
    return formats[0]


def _sniffed(path: str) -> str:
    head = head_of(path)
    if head[:4] == b"PAR1":
        return "parquet"
    # TFRecord begins with a length of 64 bits; its upper bytes are 0, as none of text.
    if len(head) >= 16 and head[4:8] == bytes(4) and struct.unpack("<I", head[:4])[0]:
        return "examples"
    return "text"


def estimate_num_rows(files: Sequence[str]) -> int:
    """About how many rows files have.

    Args:
        files: their paths, all of one format.

    Returns:
        The number: exact of Parquet files; of others their bytes divided by the mean
        size of the first rows.

    Raises:
        ValueError: the files are of several formats, or one cannot be read.

    Examples:
        >>> estimate_num_rows(["a.parquet", "b.parquet"])
        2000
        >>> 900 < estimate_num_rows(["clicks/day_0.tsv"]) < 1100
        True
    """
    return FORMATS[format_of(files)].num_rows(files)


def read_raw(
    files: Paths,
    schema: Schema,
    *,
    bad_rows: BadRows | None = None,
    then: Callable[[RawColumns], Any] = lambda raw: raw,
) -> tf.data.Dataset:
    """Reads row files of any format into raw columns.

    Args:
        files: as in `read_rows`.
        schema: the schema; its vocabularies need not be counted.
        bad_rows: as in `read_rows`.
        then: a function of the raw columns, run in the same parallel step.

    Returns:
        A dataset of what `then` returns; without it, of dicts of columns as
        `read_raw_text` gives them.

    Raises:
        ValueError: as `read_rows`.

    Examples:
        >>> scores = Schema("scores", (Numeric("logit", "float64", "none"),), ())
        >>> for chunk in read_raw("a.parquet", scores):
        ...     print(sorted(chunk), chunk["logit"].dtype.name)
        ['label', 'logit'] float64
    """
    files = expand_files(files)
    reader = FORMATS[format_of(files)].read_raw
    return reader(files, schema, bad_rows=bad_rows, then=then)


def read_rows(
    files: Paths,
    schema: Schema,
    batch_size: int,
    *,
    transform: Callable[[RawColumns], Any] | None = None,
    bad_rows: BadRows | None = None,
) -> tf.data.Dataset:
    """Reads row files into batches, in order, whatever their format.

    Args:
        files: paths or glob patterns: text, TFRecord files of `tf.train.Example`s, or
            Parquet, as their first bytes tell it; all of one format.
        schema: as in `read_text`, as are the rest.
        batch_size: rows a batch; the last one may have fewer.
        transform: what makes features of raw columns.
        bad_rows: what becomes of rows that do not parse.

    Returns:
        A dataset of `Batch`; errors are those of `read_text`.

    Raises:
        ValueError: as `read_text`, `read_examples` and `read_parquet`.

    Examples:
        >>> schema = read_manifest("blocks").schema
        >>> batches = read_rows("clicks/day_6.tsv", schema, batch_size=400)
        >>> [len(batch.label) for batch in batches]
        [400, 400, 200]
    """
    then = to_batch(schema, transform)
    return batched(read_raw(files, schema, bad_rows=bad_rows, then=then), batch_size)


@contextlib.contextmanager
def row_errors(files: Sequence[str]) -> Iterator[None]:
    """Turns TensorFlow's errors about rows of files into a ValueError that says where.

    Args:
        files: the files that are read inside.

    Raises:
        BadRowError: a row does not parse.
        ValueError: a TFRecord file is damaged.

    Examples:
        >>> tf.io.write_file("day.tsv", "1,2,3")
        >>> with row_errors(["day.tsv"]):
        ...     list(read_raw("day.tsv", CRITEO))
        Traceback (most recent call last):
        ...
        smelu_tf.pipelines.bad_rows.BadRowError: day.tsv, line 1: expected 40 tab-sep...
    """
    try:
        with bad_row_errors():
            yield
    except tf.errors.DataLossError:
        # TensorFlow names the place, but not the file: look there in each of them.
        for path in files:
            check_records(path)
        raise


def complete_schema_from(
    files: Paths,
    schema: Schema,
    max_bad_rows: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Schema:
    """`complete_schema` on the rows of files, in one pass that holds few of them.

    Args:
        files: as `read_rows` takes them.
        schema: a schema; a complete one comes back as it is, and nothing is read.
        max_bad_rows: how many rows that do not parse are passed over, in silence: the
            pass that reads the rows for good tells of them.
        progress: called now and then with the rows read so far.

    Returns:
        The complete schema.

    Raises:
        ValueError: as `read_rows` and `complete_schema`. A bad row too many is
            TensorFlow's error; inside `with row_errors(files):` a `BadRowError`.

    Examples:
        >>> complete = complete_schema_from("clicks/day_[0-5].tsv", CRITEO)
        >>> CRITEO.is_complete, complete.is_complete
        (False, True)
        >>> complete == read_manifest("blocks").schema
        True
    """
    if schema.is_complete:
        return schema
    quiet = BadRows(max_bad_rows, quote=False)
    chunks = read_raw(files, schema, bad_rows=quiet).prefetch(2).as_numpy_iterator()
    label = schema.label.name
    return complete_schema(
        schema, followed(chunks, lambda chunk: len(chunk[label]), progress)
    )
