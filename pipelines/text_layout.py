"""How a text file of one's own separates its fields, found out from its lines."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterator

from .files import is_compressed


@dataclasses.dataclass(frozen=True)
class TextLayout:
    """How a text file separates its fields."""

    delimiter: str = ","
    quoted: bool = False
    strip: bool = False


def layout_of(path: str, max_rows: int) -> TextLayout:
    """The delimiter that cuts the first lines into as many fields as the header.

    Fields are quoted where some begin with a quote and most such lines are well-formed.
    """
    head = list(itertools.islice(_lines(path), 100))

    def fit(delimiter: str) -> tuple[int, int]:
        numbers = [len(_split(line, delimiter)) for line in head]
        return (numbers[0] > 1) * numbers.count(numbers[0]), numbers[0]

    best = max(("\t", ",", ";", "|"), key=fit)
    if fit(best)[0] == 0:
        raise ValueError(
            f"{path}, line 1: expected a header of fields with tabs, commas, "
            f"semicolons or | between them, received {head[0][:80]!r}."
        )
    begins = re.compile(f'(?:^|{re.escape(best)})"')
    form = _quoted_form(best)
    votes = Counter(
        bool(form.fullmatch(line))
        for line in itertools.islice(_lines(path), max_rows + 1)
        if '"' in line and begins.search(line)
    )
    if votes[True] > votes[False]:
        return TextLayout(best, quoted=True)
    spaced = any(f != f.strip(" ") for line in head for f in line.split(best))
    return TextLayout(best, strip=spaced)


def _quoted_form(delimiter: str) -> re.Pattern[str]:
    """What a line with quotes matches in full, as the reader has it."""
    d = re.escape(delimiter)
    field = f'(?:[^"{d}]*|"(?:[^"]|"")*")'
    return re.compile(f"(?:{field}{d})*{field}")


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a field of more than 131,072 characters
        return [line]


def _lines(path: str) -> Iterator[str]:
    """The lines of a file as the reader takes them."""
    number = 1
    try:
        with gzip.open(path) if is_compressed(path) else open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                yield text.removesuffix("\n").replace("\r", "")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, line {number}: expected UTF-8 text, received "
            f"{error.object[error.start :][:8]!r}."
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path}: expected a gzip file that can be read to its end, received: "
            f"{error}."
        ) from None


def text_rows(path: str, layout: TextLayout) -> Iterator[dict[str, str]]:
    """Rows of a text file by the names in its header."""
    header: list[str] = []
    form = _quoted_form(layout.delimiter)
    for number, line in enumerate(_lines(path), start=1):
        if layout.quoted and '"' in line:
            if not form.fullmatch(line):
                raise ValueError(
                    f"{path}, line {number}: expected quotes in pairs, around a field "
                    f"and within the line, received {line[:80]!r}."
                )
            row = _split(line, layout.delimiter)
        else:
            row = line.split(layout.delimiter)
        if layout.strip:
            row = [field.strip(" ") for field in row]
        if number == 1:
            header = row
            repeated = [name for name, n in Counter(header).items() if n > 1]
            if repeated:
                raise ValueError(
                    f"{path}, line 1: expected distinct names, received "
                    f"{', '.join(repeated)} more than once."
                )
            continue
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {number}: expected {len(header)} fields as in the "
                f"header, received {len(row) if line else 'an empty line'}."
            )
        yield dict(zip(header, row, strict=True))
