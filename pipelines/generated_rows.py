"""Generated rows: as arrays, and as lines of text."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from .generator_world import NUM_CATEGORICALS, NUM_INTEGERS, Array


@dataclasses.dataclass(frozen=True)
class GeneratedRows:
    """Rows as arrays; what is missing holds 0.

    Attributes:
        label: int8 (n,), 0 or 1.
        numeric: int64 (n, 13).
        numeric_missing: bool (n, 13).
        categorical: uint32 (n, 26); an id's text is its eight hexadecimal digits.
        categorical_missing: bool (n, 26).
        probability: float64 (n,), the true probability of a click.
    """

    label: Array
    numeric: Array
    numeric_missing: Array
    categorical: Array
    categorical_missing: Array
    probability: Array

    def __len__(self) -> int:
        return len(self.label)

    def to_text(self) -> bytes:
        """The rows as lines of tab-separated text, each ending in a newline."""
        return _format(self)

    def sliced(self, start: int, stop: int) -> GeneratedRows:
        """Rows [start, stop)."""
        return GeneratedRows(*(column[start:stop] for column in self._columns()))

    @classmethod
    def concatenated(cls, parts: Sequence[GeneratedRows]) -> GeneratedRows:
        """The rows of all parts, at least one, in their order."""
        columns = zip(*(part._columns() for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))

    def _columns(self) -> tuple[Array, ...]:
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))


# A row at full width. Bytes of value 0 are not part of the text.
_LINE = np.dtype(
    [
        ("label", "u1"),
        (
            "numeric",
            [("tab", "u1"), ("sign", "u1"), ("high", "u4"), ("low", "u4")],
            NUM_INTEGERS,
        ),
        (
            "categorical",
            [("tab", "u1"), ("high", "u4"), ("low", "u4")],
            NUM_CATEGORICALS,
        ),
        ("end", "u1"),
    ]
)


def _format(rows: GeneratedRows) -> bytes:
    """The lines of rows, from lookups of four characters at a time."""
    digits, leading, hexadecimal = _text_tables()
    lines = np.zeros(len(rows), _LINE)
    lines["label"] = rows.label + ord("0")
    lines["end"] = ord("\n")
    numeric, categorical = lines["numeric"], lines["categorical"]
    numeric["tab"] = categorical["tab"] = ord("\t")
    numeric["sign"] = np.where(rows.numeric < 0, ord("-"), 0)
    present = ~rows.numeric_missing
    high, low = np.divmod(np.abs(rows.numeric), 10_000)
    numeric["high"] = np.where(high > 0, leading[high], 0)
    numeric["low"] = present * np.where(high > 0, digits[low], leading[low])
    present = ~rows.categorical_missing
    categorical["high"] = present * hexadecimal[rows.categorical >> 16]
    categorical["low"] = present * hexadecimal[rows.categorical & 0xFFFF]
    return lines.tobytes().translate(None, b"\0")


@functools.cache
def _text_tables() -> tuple[Array, Array, Array]:
    """Four characters as a uint32: digits, without leading zeros, hexadecimal."""
    digits = "".join(f"{i:04d}" for i in range(10_000)).encode()
    leading = b"".join(b"%d" % i + bytes(4 - len(str(i))) for i in range(10_000))
    hexadecimal = "".join(f"{i:04x}" for i in range(65_536)).encode()
    digits_, leading_, hexadecimal_ = (
        np.frombuffer(text, np.uint32) for text in (digits, leading, hexadecimal)
    )
    return digits_, leading_, hexadecimal_
