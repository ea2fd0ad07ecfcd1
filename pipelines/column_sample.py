"""What the values of a file's columns are like, looked at row by row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .columns import Numeric

_MAX_DISTINCT = 100_000  # values of a column that are told apart
_MISSING = ("?", "NA", "N/A", "NULL", "null", "NaN", "nan", "None", "\\N", "-")
_INTEGER = re.compile(Numeric("x").pattern)
_NUMBER = re.compile(Numeric("x", "float64").pattern)
_DIGITS = re.compile("[0-9]+")


class SampledColumn:
    """The values of a column, counted; those beyond `_MAX_DISTINCT` only looked at.

    Args:
        name: the column's name.
        kind: what Parquet says of it; empty of text, whose kind has to be found.
    """

    def __init__(self, name: str, kind: str = "") -> None:
        self.name = name
        self.kind = kind
        self.num_rows = 0
        self.num_missing = 0
        self.counts: Counter[str] = Counter()
        self.is_rising = True
        self.has_more = False
        self._others_match = dict.fromkeys((_INTEGER, _NUMBER, _DIGITS), True)
        self._last = ""

    def add(self, value: str) -> None:
        """Counts the value of one more row."""
        self.num_rows += 1
        if not value:
            self.num_missing += 1
        elif (
            value in self.counts
            or len(self.counts) < _MAX_DISTINCT
            or value in _MISSING  # or a late one would go unseen
        ):
            self.counts[value] += 1
        else:
            self.has_more = True
            for pattern, so_far in self._others_match.items():
                self._others_match[pattern] = so_far and bool(pattern.fullmatch(value))
        if self.is_rising and _is_number(value) and _is_number(self._last):
            self.is_rising = float(value) >= float(self._last)
        self._last = value

    def forget(self, missing: str) -> None:
        """Takes a text for a missing value."""
        if missing:
            self.num_missing += self.counts.pop(missing, 0)

    def all_match(self, pattern: re.Pattern[str]) -> bool:
        """Whether there are values that can be numbers and all match in full."""
        if self.kind in ("text", "list", "other") or not self.counts:
            return False
        return self._others_match[pattern] and all(map(pattern.fullmatch, self.counts))

    @property
    def is_integer(self) -> bool:
        return self.all_match(_INTEGER)

    @property
    def is_number(self) -> bool:
        return self.all_match(_NUMBER)

    @property
    def is_code(self) -> bool:
        """Whether digits are no number: there are too many, or zeros lead them."""
        if not self.all_match(_DIGITS):
            return False
        return not self.is_integer or any(
            text.startswith("0") and len(text) > 1 for text in self.counts
        )

    @property
    def is_unique(self) -> bool:
        """Whether many rows have a value, and each another, as far as was counted."""
        return len(self.counts) > 50 and max(self.counts.values()) == 1

    @property
    def dtype(self) -> str:
        """As `ColumnSummary.dtype`."""
        if self.kind not in ("", "number"):
            return self.kind
        return "int64" if self.is_integer else "float64" if self.is_number else "text"


def sample_columns(
    rows: Iterable[dict[str, str]], kinds: Mapping[str, str]
) -> list[SampledColumn]:
    """The columns of rows by their names.

    Args:
        rows: the values of each row by the columns' names.
        kinds: as `SampledColumn.kind`, of the columns that have one.
    """
    columns: dict[str, SampledColumn] = {}
    for row in rows:
        for name, value in row.items():
            if name not in columns:
                columns[name] = SampledColumn(name, kinds.get(name, ""))
            columns[name].add(value)
    return list(columns.values())


def missing_text(columns: Sequence[SampledColumn]) -> str:
    """The text of a missing value: what keeps most columns from being numbers."""
    votes: Counter[str] = Counter()
    for column in columns:
        others = [text for text in column.counts if not _is_number(text)]
        for text in _MISSING:
            is_one = others == [text] and len(column.counts) > 1
            is_common = column.counts[text] > 0.01 * column.num_rows
            votes[text] += is_one or (is_common and text != "-")
    text, count = votes.most_common(1)[0]
    return text if count else ""


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))
