"""Counting values: which of a categorical column get an id."""

from __future__ import annotations

import heapq
import itertools
import operator
import pickle
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

_MAX_ENTRIES = 2_000_000  # distinct values held in memory, some 200 bytes each
_MAX_RUNS = 8  # files of a column: a process may have some 1000 files open
_PAGE = 4096  # values written at once

Count = tuple[bytes, int]


class ValueCounter:
    """Counts the values of columns in bounded memory; what is too much goes to disk.

    The counts are exact: where more distinct values come than fit, those so far are
    written sorted to temporary files, a column's files merged when they are many and
    in the end.

    Args:
        names: the columns.
        max_entries: distinct values held in memory, all columns together.

    Examples:
        >>> counter = ValueCounter(["site"])
        >>> counter.add("site", [b"b", b"a", b"a"])
        >>> counter.most_frequent("site", min_count=1)
        ('a', 'b')
    """

    def __init__(self, names: Iterable[str], max_entries: int = _MAX_ENTRIES) -> None:
        self._counters: dict[str, Counter[bytes]] = {name: Counter() for name in names}
        self._runs: dict[str, list[IO[bytes]]] = {name: [] for name in self._counters}
        self._max_entries = max_entries

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self._counters)

    def add(self, name: str, values: Iterable[bytes] | Mapping[bytes, int]) -> None:
        """Counts values of a column; empty ones are missing and are left out later.

        Args:
            name: the column.
            values: its values, or how often each came.
        """
        self._counters[name].update(values)
        if sum(map(len, self._counters.values())) > self._max_entries:
            self._spill()

    def counts(self, name: str) -> Iterator[Count]:
        """Every value of a column and how often it came, in the order of the bytes."""
        in_memory = sorted(self._counters[name].items())
        return _merged([*map(_entries, self._runs[name]), in_memory])

    def most_frequent(
        self, name: str, min_count: int, max_size: int = 0
    ) -> tuple[str, ...]:
        """A column's vocabulary, the most frequent value first.

        Equal counts stand in the order of their bytes.

        Args:
            name: the column.
            min_count: how often a value has to come.
            max_size: so many values at most; 0: all.

        Raises:
            ValueError: a value is not UTF-8 text.
        """
        kept = ((-n, v) for v, n in self.counts(name) if v and n >= min_count)
        ranked = heapq.nsmallest(max_size, kept) if max_size else sorted(kept)
        return tuple(_decoded(value, name) for _, value in ranked)

    def _spill(self) -> None:
        for name, counter in self._counters.items():
            if not counter:
                continue
            runs = self._runs[name]
            runs.append(_written(sorted(counter.items())))
            counter.clear()
            if len(runs) > _MAX_RUNS:
                self._runs[name] = [_written(_merged(map(_entries, runs)))]
                for file in runs:
                    file.close()


def _decoded(value: bytes, name: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(
            f"column {name}: expected UTF-8 text, received {value[:40]!r}."
        ) from None


def _merged(runs: Iterable[Iterable[Count]]) -> Iterator[Count]:
    """One sorted run of several, the counts of equal values added up."""
    value_of = operator.itemgetter(0)
    merged = heapq.merge(*runs, key=value_of)
    for value, group in itertools.groupby(merged, value_of):
        yield value, sum(count for _, count in group)


def _written(run: Iterable[Count]) -> IO[bytes]:
    """A temporary file of a run."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (read later)
    entries = iter(run)
    while page := list(itertools.islice(entries, _PAGE)):
        pickle.dump(page, file)
    return file


def _entries(file: IO[bytes]) -> Iterator[Count]:
    """The entries of a file of `_written`."""
    file.seek(0)
    while True:
        try:
            page = pickle.load(file)
        except EOFError:
            return
        yield from page
