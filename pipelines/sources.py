"""Rows wherever they are: files of any format, or a folder of blocks."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from .bad_rows import BadRows
from .block_reader import check_schema, read_blocks
from .block_verification import block_errors
from .completion import completion_difference
from .files import Paths, expand_files
from .formats import complete_schema_from, estimate_num_rows, read_rows, row_errors
from .manifest import is_blocks, read_manifest
from .order import Shuffle
from .raw_rows import RawColumns
from .schema import Schema


@dataclasses.dataclass(frozen=True)
class Passes:
    """How often rows are read, in which order, and by whom.

    Attributes:
        epochs: how often.
        shuffle_seed: of a random order, another one every epoch; None: as they are.
        data_service: the address of a `tf.data` service that reads; see `read_blocks`.

    Examples:
        >>> rows = open_rows("blocks")
        >>> schema = rows.complete(CRITEO)
        >>> passes = Passes(epochs=2, shuffle_seed=1)
        >>> batches = rows.batches(schema, 4000, passes=passes)
        >>> [len(batch.label) for batch in batches]
        [4000, 2000, 4000, 2000]
    """

    epochs: int = 1
    shuffle_seed: int | None = None
    data_service: str = ""


class RowFiles:
    """Rows of files, those that do not parse passed over up to a number.

    See `open_rows`.

    Args:
        files: paths or glob patterns, as `read_rows` takes them.
        max_bad_rows: how many rows that do not parse are passed over.
        rejects: the file that they are written to.

    Raises:
        ValueError: a missing or empty file.
    """

    def __init__(
        self,
        files: Paths,
        max_bad_rows: int = 0,
        rejects: Path | None = None,
    ) -> None:
        self._files = expand_files(files)
        self._max_bad_rows = max_bad_rows
        self._bad_rows = BadRows(max_bad_rows, rejects)

    def again(self) -> RowFiles:
        """The same rows, to look at again: bad rows are neither counted nor kept."""
        rows = copy.copy(self)
        rows._bad_rows = BadRows(self._max_bad_rows, quote=False)
        return rows

    @property
    def num_bad_rows(self) -> int:
        """Rows passed over so far."""
        return self._bad_rows.count

    def estimated_rows(self) -> int:
        """About how many rows there are."""
        return estimate_num_rows(self._files)

    def complete(self, schema: Schema) -> Schema:
        """The schema, completed on the rows."""
        return complete_schema_from(self._files, schema, self._max_bad_rows)

    def batches(
        self,
        schema: Schema,
        batch_size: int,
        *,
        transform: Callable[[RawColumns], Any] | None = None,
        first: int = 0,
        passes: Passes | None = None,
    ) -> tf.data.Dataset:
        """The batches from number `first` on.

        Args:
            schema: a complete schema.
            batch_size: rows a batch.
            transform: what makes features of raw columns.
            first: how many batches are left out.
            passes: how often and in which order.

        Raises:
            ValueError: more than one pass in order is asked for: that takes blocks.
        """
        if passes not in (None, Passes()):
            raise ValueError(
                f"{self._files[0]}: expected a folder of blocks (scripts/convert.py) "
                "to read several times, shuffled or by a data service, received row "
                "files."
            )
        batches = read_rows(
            self._files,
            schema,
            batch_size,
            transform=transform,
            bad_rows=self._bad_rows,
        )
        return batches.skip(first)

    def split(self, fraction: float) -> tuple[RowFiles, RowFiles]:
        """Refuses: where the last rows of files begin is not known."""
        raise ValueError(
            f"{self._files[0]}: expected a folder of blocks (scripts/convert.py) whose "
            "last rows can be held out, received row files."
        )

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Names the row that an error of TensorFlow's is about."""
        return row_errors(self._files)


class Blocks:
    """Rows of a folder of blocks, with the methods of `RowFiles`.

    Args:
        folder: the data set.
        start: the first of the rows, by its number in the data set.
        stop: one past the last of them; by default the data set's last one.

    Raises:
        ValueError: there is no manifest, or it is damaged.

    Examples:
        >>> training, validation = Blocks("blocks").split(0.1)
        >>> training.estimated_rows(), validation.estimated_rows()
        (5400, 600)
    """

    num_bad_rows = 0

    def __init__(
        self, folder: str | os.PathLike[str], start: int = 0, stop: int | None = None
    ) -> None:
        self._folder = os.fspath(folder)
        self._manifest = read_manifest(folder)
        self._start = start
        self._stop = self._manifest.num_rows if stop is None else stop

    def again(self) -> Blocks:
        """The same rows: nothing is counted of blocks."""
        return self

    def estimated_rows(self) -> int:
        """How many rows there are."""
        return self._stop - self._start

    def split(self, fraction: float) -> tuple[Blocks, Blocks]:
        """The rows but the last part of them, and that part.

        Args:
            fraction: the last part, 0 < fraction < 1.

        Raises:
            ValueError: one of the two would have no rows.
        """
        num_rows = self.estimated_rows()
        num_last = round(num_rows * fraction)
        if not 0 < num_last < num_rows:
            raise ValueError(
                f"{self._folder}: expected rows on both sides of a split, received "
                f"{num_last} of {num_rows} rows on the second one."
            )
        middle = self._stop - num_last
        return (
            Blocks(self._folder, self._start, middle),
            Blocks(self._folder, middle, self._stop),
        )

    def complete(self, schema: Schema) -> Schema:
        """The blocks' schema; a ValueError if it is no completion of the other."""
        own = self._manifest.schema
        check_schema(self._folder, schema, own, completion_difference(own, schema))
        return own

    def batches(
        self,
        schema: Schema,
        batch_size: int,
        *,
        transform: Callable[[RawColumns], Any] | None = None,
        first: int = 0,
        passes: Passes | None = None,
    ) -> tf.data.Dataset:
        """The batches from number `first` on; blocks need no transform."""
        passes = passes or Passes()
        num_rows = self.estimated_rows()
        begun, first = divmod(first, -(-num_rows // batch_size))

        def one_pass(epoch: int, start: int) -> tf.data.Dataset:
            seed = passes.shuffle_seed
            return read_blocks(
                self._folder,
                schema,
                batch_size,
                start=self._start + start,
                stop=self._stop,
                shuffle=None if seed is None else Shuffle(seed, epoch),
                data_service=passes.data_service,
            )

        is_over = begun >= passes.epochs
        batches = one_pass(begun, num_rows if is_over else first * batch_size)
        for epoch in range(begun + 1, passes.epochs):
            batches = batches.concatenate(one_pass(epoch, start=0))
        return batches

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Names the block that an error of TensorFlow's is about."""
        return block_errors(self._folder)


def open_rows(
    data: Paths,
    max_bad_rows: int = 0,
    rejects: Path | None = None,
) -> RowFiles | Blocks:
    """The rows of a folder of blocks or of files.

    Args:
        data: the folder, or paths or glob patterns of files.
        max_bad_rows: how many rows of files that do not parse are passed over.
        rejects: the file that they are written to.

    Returns:
        The rows, with the same methods for both: `complete` a schema on them, read
        `batches`, `split` off the last ones, and name the row of an error (`errors`).

    Raises:
        ValueError: a missing or empty file, or blocks with a damaged manifest.

    Examples:
        >>> rows = open_rows("clicks/day_[0-5].tsv")
        >>> schema = rows.complete(CRITEO)
        >>> with rows.errors():
        ...     sizes = [len(batch.label) for batch in rows.batches(schema, 4000)]
        >>> sizes
        [4000, 2000]
    """
    if is_blocks(data):
        return Blocks(data)  # type: ignore[arg-type]
    return RowFiles(data, max_bad_rows, rejects)
