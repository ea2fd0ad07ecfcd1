"""Proposing a schema for a file of one's own, to be edited by hand."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import itertools
import os
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .files import expand_files, is_compressed
from .formats import format_of
from .parquet import parquet_kinds, parquet_texts
from .schema import Categorical, Label, MultiValued, Numeric, Schema

_MAX_DISTINCT = 100_000  # values of a column that are told apart
_MISSING = ("?", "NA", "N/A", "NULL", "null", "NaN", "nan", "None", "\\N", "-")
_LABELS = ("label", "click", "clicked", "is_click", "target", "y", "rating", "income")
_SEPARATORS = ("|", ";", ",", " ")
_INTEGER = re.compile(Numeric("x").pattern)
_NUMBER = re.compile(Numeric("x", "float64").pattern)
_DIGITS = re.compile("[0-9]+")


@dataclasses.dataclass(frozen=True)
class ColumnSummary:
    """What a column of the sample is like, and what is proposed for it.

    Attributes:
        name: the column's name.
        kind: `label`, `time`, `numeric`, `categorical`, `multi-valued` or `skipped`.
        dtype: what its values are: `int64`, `float64`, `text`, `time`, `list` or
            `other`.
        missing_rate: the share of the rows that have no value.
        num_distinct: how many different values there are.
        has_more: whether there are more than that, which were not told apart.
        example: one of them.
        reason: why this kind.
    """

    name: str
    kind: str
    dtype: str
    missing_rate: float
    num_distinct: int
    has_more: bool
    example: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A schema for a file, and what it rests on.

    Attributes:
        schema: the schema; not complete where vocabularies are to be counted.
        columns: of each field, in their order.
        num_rows: rows that were looked at.
    """

    schema: Schema
    columns: tuple[ColumnSummary, ...]
    num_rows: int


def propose_schema(
    path: str | os.PathLike[str], label: str = "", max_rows: int = 200_000
) -> Proposal:
    """Looks at the first rows of a file and proposes a schema.

    Integers of few values and ids become categories, other numbers logarithms where
    they are skewed and else standardized values; texts become vocabularies where there
    are few of them and are hashed where there are many.

    Args:
        path: text with a header (delimiter and quotes are found out; plain or .gz), or
            Parquet.
        label: the label's column; by default one that is named like one.
        max_rows: how many rows are looked at.

    Returns:
        The proposal; its schema reads the rows that were looked at.

    Raises:
        ValueError: no rows, no header, no label among the columns, names that a schema
            cannot have, or a line that no schema can read.
        ImportError: pyarrow is not installed and the file is Parquet.

    Example:
        >>> propose_schema("clicks.csv").schema.to_json()  # doctest: +SKIP
    """
    files = expand_files(path)
    if len(files) != 1:
        raise ValueError(f"{path}: expected one file, received {len(files)}.")
    path = files[0]
    found = format_of(files)
    if found == "examples":
        raise ValueError(
            f"{path}: expected text or Parquet to propose a schema for, received "
            "TFRecord."
        )
    if found == "parquet":
        layout, kinds, rows = _Layout(), parquet_kinds(path), parquet_texts(path)
    else:
        layout, kinds = _layout_of(path, max_rows), {}
        rows = _text_rows(path, layout)
    columns = _columns_of(itertools.islice(rows, max_rows), kinds)
    if not columns or not columns[0].num_rows:
        raise ValueError(f"{path}: expected rows below the header, received none.")
    missing = _missing_text(columns)
    for column in columns:
        column.forget(missing)
    target = _label_of(columns, label, path)
    proposed = [_proposed(column, column is target) for column in columns]
    names = {column.name for column in columns}
    for i, (kind, settings, reason) in enumerate(proposed):
        if kind == "numeric" and f"{settings.name}_bin" in names:
            settings = dataclasses.replace(settings, binned=False)
            proposed[i] = (kind, settings, reason.removesuffix(", and bins"))
    times = [i for i, (kind, _, _) in enumerate(proposed) if kind == "time"]
    for i in times[1:]:
        proposed[i] = ("skipped", None, "a second time")
    parts: dict[str, list[Any]] = {}
    for (part, settings, _), column in zip(proposed, columns, strict=True):
        parts.setdefault(part, []).append(settings or column.name)
    if not any(kind in parts for kind in ("numeric", "categorical", "multi-valued")):
        raise ValueError(
            f"{path}: expected a column to predict the label {target.name} from, "
            f"received {', '.join(column.name for column in columns)[:300]}."
        )
    try:
        schema = Schema(
            name=re.sub(r"\..*", "", os.path.basename(path)) or "data",
            numeric=tuple(parts.get("numeric", ())),
            categorical=tuple(parts.get("categorical", ())),
            multivalued=tuple(parts.get("multi-valued", ())),
            label=parts["label"][0],
            time=parts.get("time", [""])[0],
            fields=tuple(column.name for column in columns),
            delimiter=layout.delimiter,
            quoted=layout.quoted,
            strip=layout.strip,
            missing=missing,
            header=True,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error} Rename them in the file.") from None
    return Proposal(
        schema,
        tuple(
            ColumnSummary(
                name=column.name,
                kind=part,
                dtype=column.dtype,
                missing_rate=column.num_missing / column.num_rows,
                num_distinct=len(column.counts),
                has_more=column.has_more,
                example=next(iter(column.counts), ""),
                reason=reason,
            )
            for column, (part, _, reason) in zip(columns, proposed, strict=True)
        ),
        columns[0].num_rows,
    )


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How a text file separates its fields."""

    delimiter: str = ","
    quoted: bool = False
    strip: bool = False


class _Column:
    """The values of a column, counted; those beyond `_MAX_DISTINCT` only looked at."""

    def __init__(self, name: str, kind: str = "") -> None:
        self.name = name
        self.kind = kind  # of Parquet, which text has to be found to be
        self.num_rows = 0
        self.num_missing = 0
        self.counts: Counter[str] = Counter()
        self.is_rising = True
        self.has_more = False
        self._others_match = dict.fromkeys((_INTEGER, _NUMBER, _DIGITS), True)
        self._last = ""

    def add(self, value: str) -> None:
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
        if self.kind not in ("", "number"):
            return self.kind
        return "int64" if self.is_integer else "float64" if self.is_number else "text"


def _layout_of(path: str, max_rows: int) -> _Layout:
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
        return _Layout(best, quoted=True)
    spaced = any(f != f.strip(" ") for line in head for f in line.split(best))
    return _Layout(best, strip=spaced)


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


def _text_rows(path: str, layout: _Layout) -> Iterator[dict[str, str]]:
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


def _columns_of(
    rows: Iterator[dict[str, str]], kinds: Mapping[str, str]
) -> list[_Column]:
    columns: dict[str, _Column] = {}
    for row in rows:
        for name, value in row.items():
            if name not in columns:
                columns[name] = _Column(name, kinds.get(name, ""))
            columns[name].add(value)
    return list(columns.values())


def _missing_text(columns: Sequence[_Column]) -> str:
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


def _label_of(columns: Sequence[_Column], label: str, path: str) -> _Column:
    by_name = {column.name: column for column in columns}
    names = [label] if label else [n for n in by_name if n.lower() in _LABELS]
    found = [by_name[name] for name in names if name in by_name]
    found = [
        column
        for column in found
        if not column.num_missing
        and (len(column.counts) == 2 or (column.is_number and len(column.counts) > 2))
    ]
    if not found:
        raise ValueError(
            f"{path}: expected a label, a column of numbers or of two texts, none "
            f"missing, that is named {label or 'like one'}, received the "
            f"columns {', '.join(by_name)[:300]}; --label names it."
        )
    order = {name: place for place, name in enumerate(_LABELS)}
    return min(found, key=lambda column: order.get(column.name.lower(), 0))


def _proposed(column: _Column, is_label: bool) -> tuple[str, Any, str]:
    """The kind, the settings and the reason for a column."""
    num_distinct, name = len(column.counts), column.name
    if is_label:
        return "label", *_label_settings(column)
    if column.kind == "other":
        return "skipped", None, "of a type that no column can have"
    if num_distinct < 2:
        return "skipped", None, "one value in all rows"
    if column.kind == "list":
        return _several(column, "|")
    is_id = bool(re.search(r"(?i)(^|_)id$|(?-i:[a-z]Id$|ID$)", name)) or column.is_code
    if column.is_number:
        values = [float(text) for text in column.counts]
        looks_timely = column.kind == "time" or re.search(
            r"(?i)time|date|(^|_)ts$|(^|_)hour$", name
        )
        is_whole = not column.num_missing
        if looks_timely and is_whole and (column.is_rising or min(values) > 1e8):
            return "time", None, "a number that grows, or its name and size"
    if column.is_unique and (is_id or not column.is_number):
        return "skipped", None, f"another {'id' if is_id else 'value'} in every row"
    if column.is_unique and column.is_integer and column.is_rising:
        return "skipped", None, "a number of the row"
    if column.is_integer and not is_id and num_distinct > 50:
        return "numeric", *_number_settings(column, "int64")
    if column.is_number and not column.is_integer and not column.is_code:
        return "numeric", *_number_settings(column, "float64")
    separator = _separator_of(column)
    if separator:
        return _several(column, separator)
    if num_distinct <= 10_000:
        return "categorical", Categorical(name, min_count=2), "few values: a vocabulary"
    buckets = 1 << (2 * num_distinct).bit_length()
    return "categorical", Categorical(name, buckets=buckets), "many values: hashed"


def _several(column: _Column, separator: str) -> tuple[str, Any, str]:
    settings = MultiValued(
        column.name,
        min_count=2,
        max_values=max(len(text.split(separator)) for text in column.counts),
        separator=separator,
    )
    return "multi-valued", settings, f"several values with {separator!r} between"


def _label_settings(column: _Column) -> tuple[Label, str]:
    if set(column.counts) <= {"0", "1"}:
        if column.is_number:
            return Label(column.name), "0 or 1"
        return Label(column.name, positive=("1",)), "1 where '1'"
    if column.is_number:
        least = _even_split(column)
        return Label(column.name, at_least=least), f"1 where at least {least:g}"
    rarest = min(column.counts, key=lambda value: column.counts[value])
    return Label(column.name, positive=(rarest,)), f"1 where {rarest!r}"


def _even_split(column: _Column) -> float:
    """The value at or above which nearest to half of the rows lie."""
    total = sum(column.counts.values())

    def unevenness(least: float) -> float:
        above = sum(n for text, n in column.counts.items() if float(text) >= least)
        return abs(above / total - 0.5)

    return min(sorted(map(float, column.counts))[1:], key=unevenness)


def _number_settings(column: _Column, dtype: Any) -> tuple[Numeric, str]:
    """A logarithm where values are skewed, else standardized as they are."""
    values = sorted(float(text) for text, n in column.counts.items() for _ in range(n))
    middle, high = statistics.median(values), values[int(0.95 * (len(values) - 1))]
    if high == middle:  # nearly all are 0, say: the rest tells
        high = values[-1]
    if values[0] >= 0 and high > 4 * max(middle, 0.25):
        return Numeric(column.name, dtype, binned=True), "skewed: a logarithm, and bins"
    settings = Numeric(
        column.name, dtype, transform="none", standardize=True, binned=True
    )
    return settings, "a number: standardized, and bins"


def _separator_of(column: _Column) -> str:
    """What stands between the values where rows hold several of few values."""
    for separator in _SEPARATORS:
        several = [text for text in column.counts if separator in text]
        parts = {part for text in column.counts for part in text.split(separator)}
        if len(several) > 0.3 * len(column.counts) and 2 * len(parts) < len(
            column.counts
        ):
            return separator
    return ""


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))
