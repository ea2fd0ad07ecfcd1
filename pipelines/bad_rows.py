"""Rows that do not parse: counted, kept, and one too many is an error."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

_NUM_QUOTED = 5  # bad rows that are quoted on stderr


class BadRowError(ValueError):
    """A row that does not parse, or cannot be set aside; says where and why."""


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
    """Turns TensorFlow's error about a bad row into the `BadRowError` inside it."""
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search(r"BadRowError: (.*)", error.message)
        if found is None:
            raise
        raise BadRowError(found[1]) from None
