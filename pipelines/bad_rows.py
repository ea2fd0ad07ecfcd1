"""Rows that do not parse: counted, kept, and one too many is an error."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .parallel import unconverted
from .python_steps import numpy_function

_NUM_QUOTED = 5  # bad rows that are quoted on stderr


class BadRowError(ValueError):
    """A row that does not parse, or cannot be set aside; says where and why.

    See `bad_row_errors`.
    """


class BadRows:
    """Counts rows that do not parse, keeps them, and stops at one too many.

    The first few are quoted on stderr. The file of rejects is only made when there
    is something to put into it; an earlier one of the same name is replaced. It is
    for one pass over the rows.

    Args:
        max_bad_rows: how many may be passed over; the next raises.
        rejects: the file that the rows passed over are written to, as they came: a
            line of text each, JSON where they were no text.
        quote: whether the first few are quoted.

    Attributes:
        count: the rows passed over so far.

    Raises:
        ValueError: `max_bad_rows` is below 0.

    Examples:
        >>> rows = tf.io.read_file("clicks/day_0.tsv")
        >>> tf.io.write_file("day.tsv", "1,2,3\\n" + rows)
        >>> bad_rows = BadRows(max_bad_rows=5, rejects=Path("rejects.txt"))
        >>> chunks = read_raw("day.tsv", CRITEO, bad_rows=bad_rows)
        >>> sum(len(chunk["label"]) for chunk in chunks), bad_rows.count
        (1000, 1)
        >>> Path("rejects.txt").read_text()
        '1,2,3\\n'
    """

    def __init__(
        self, max_bad_rows: int = 0, rejects: Path | None = None, quote: bool = True
    ) -> None:
        if max_bad_rows < 0:
            raise ValueError(
                f"max_bad_rows: expected 0 or more, received {max_bad_rows}."
            )
        self.count = 0
        self._max_bad_rows = max_bad_rows
        self._rejects = rejects
        self._num_quoted = _NUM_QUOTED if quote else 0

    def add(self, where: str, fault: str, row: bytes) -> None:
        """Passes a row over.

        Args:
            where: its file and number.
            fault: what was expected and what came.
            row: what is kept of it.

        Raises:
            BadRowError: more than `max_bad_rows` bad rows so far, or the file of
                rejects cannot be written.
        """
        self.count += 1
        message = f"{where}: {fault}"
        if self.count > self._max_bad_rows:
            over = (
                f" (bad row {self.count}; max_bad_rows is {self._max_bad_rows})"
                if self._max_bad_rows
                else ""
            )
            raise BadRowError(message + over)
        if self.count <= self._num_quoted:
            print(f"bad row passed over: {message}", file=sys.stderr)
        if self._rejects is not None:
            self._reject(self._rejects, row)

    def _reject(self, path: Path, row: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb" if self.count == 1 else "ab") as file:
                file.write(row + b"\n")
        except OSError as error:
            raise BadRowError(
                f"{path}: expected a file that rejects can be written to, "
                f"received: {error.strerror}."
            ) from None


@contextlib.contextmanager
def bad_row_errors() -> Iterator[None]:
    """Turns TensorFlow's error about a bad row into the `BadRowError` inside it.

    Raises:
        BadRowError: a row that is read inside does not parse; other errors pass.

    Examples:
        >>> tf.io.write_file("day.tsv", "1,2,3")
        >>> with bad_row_errors():
        ...     list(read_raw("day.tsv", CRITEO))
        Traceback (most recent call last):
        ...
        smelu_tf.pipelines.bad_rows.BadRowError: day.tsv, line 1: expected 40 tab-sep...
    """
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search(r"BadRowError: (.*)", error.message)
        if found is None:
            raise
        raise BadRowError(found[1]) from None


def without_bad_rows(
    checked: tf.data.Dataset,
    what: str,
    describe: Callable[..., tuple[str, bytes]],
    bad_rows: BadRows,
) -> tf.data.Dataset:
    """The well-formed rows of chunks, in order.

    Args:
        checked: (path, number of the first row from 1, columns, which rows are good).
        what: what a row is called: "line", "row", "record".
        describe: of a row's values, in the order of `tf.nest.flatten`: what is wrong
            with them, and what is kept of the row.
        bad_rows: what becomes of the others.
    """

    def pass_over(path: bytes, first: int, good: np.ndarray, *columns: Any) -> Any:
        for index in np.flatnonzero(~good):
            fault, row = describe(*(column[index] for column in columns))
            bad_rows.add(f"{os.fsdecode(path)}, {what} {first + index}", fault, row)
        return good

    @unconverted
    def good_rows(path: tf.Tensor, first: tf.Tensor, rows: Any, good: tf.Tensor) -> Any:
        def some() -> Any:
            columns = tf.nest.flatten(rows)
            seen = numpy_function(pass_over, [path, first, good, *columns], tf.bool)
            keep = tf.ensure_shape(seen, [None])
            return tf.nest.map_structure(lambda v: tf.boolean_mask(v, keep), rows)

        return tf.cond(tf.reduce_all(good), lambda: rows, some)

    # One after another: threads must not decide which bad row is one too many.
    return checked.map(good_rows)
