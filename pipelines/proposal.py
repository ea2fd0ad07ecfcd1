"""Proposing a schema for a file of one's own, to be edited by hand."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import itertools
import os
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .files import expand_files, head_of, is_compressed
from .parquet import parquet_texts
from .schema import Categorical, Label, MultiValued, Numeric, Schema
from .sources import format_of

_MAX_DISTINCT = 100_000  # values of a column that are told apart
_MISSING = ("?", "NA", "N/A", "NULL", "null", "NaN", "nan", "None", "\\N", "-")
_LABELS = ("label", "click", "clicked", "is_click", "target", "y", "rating", "income")
_SEPARATORS = ("|", ";", ",", " ")


@dataclasses.dataclass(frozen=True)
class ColumnSummary:
    """What a column of the sample is like, and what is proposed for it.

    Attributes:
        name: the column's name.
        kind: `label`, `time`, `numeric`, `categorical`, `multi-valued` or `skipped`.
        missing_rate: the share of the rows that have no value.
        num_distinct: how many different values there are; beyond 100,000 that many.
        example: one of them.
        reason: why this kind.
    """

    name: str
    kind: str
    missing_rate: float
    num_distinct: int
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

    Raises:
        ValueError: no rows, no header, no label among the columns, or names that a
            schema cannot have.

    Example:
        >>> propose_schema("clicks.csv").schema.to_json()  # doctest: +SKIP
    """
    (path,) = expand_files(os.fspath(path))
    found = format_of([path])
    if found == "examples":
        raise ValueError(
            f"{path}: expected text or Parquet to propose a schema for, received "
            "TFRecord."
        )
    layout = _Layout() if found == "parquet" else _layout_of(path)
    rows = parquet_texts(path) if found == "parquet" else _text_rows(path, layout)
    columns = _columns_of(itertools.islice(rows, max_rows))
    if not columns or not columns[0].num_rows:
        raise ValueError(f"{path}: expected rows below the header, received none.")
    missing = _missing_text(columns)
    for column in columns:
        column.forget(missing)
    target = _label_of(columns, label, path)
    proposed = [_proposed(column, column is target) for column in columns]
    times = [i for i, (kind, _, _) in enumerate(proposed) if kind == "time"]
    for i in times[1:]:
        proposed[i] = ("skipped", None, "a second time")
    parts: dict[str, list[Any]] = {}
    for (part, settings, _), column in zip(proposed, columns, strict=True):
        parts.setdefault(part, []).append(settings or column.name)
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
                missing_rate=column.num_missing / column.num_rows,
                num_distinct=len(column.counts),
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


class _Column:
    """The values of a column, counted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.num_rows = 0
        self.num_missing = 0
        self.counts: Counter[str] = Counter()
        self.is_rising = True
        self._last = ""

    def add(self, value: str) -> None:
        self.num_rows += 1
        if not value:
            self.num_missing += 1
        elif value in self.counts or len(self.counts) < _MAX_DISTINCT:
            self.counts[value] += 1
        if self.is_rising and _is_number(value) and _is_number(self._last):
            self.is_rising = float(value) >= float(self._last)
        self._last = value

    def forget(self, missing: str) -> None:
        """Takes a text for a missing value."""
        if missing:
            self.num_missing += self.counts.pop(missing, 0)

    def all_match(self, pattern: str) -> bool:
        """Whether there are values and all match in full."""
        compiled = re.compile(pattern)
        return bool(self.counts) and all(map(compiled.fullmatch, self.counts))

    @property
    def is_integer(self) -> bool:
        return self.all_match(Numeric("x").pattern)

    @property
    def is_number(self) -> bool:
        return self.all_match(Numeric("x", "float64").pattern)


def _layout_of(path: str) -> _Layout:
    """The delimiter that cuts the first lines into most fields, alike in all."""
    head = head_of(path).decode("utf-8-sig", "replace").splitlines()[:100]
    if head and len(head) > 1 and not is_compressed(path):
        head = head[: max(len(head) - 1, 2)]  # the last one may be cut
    best = max(
        ("\t", ",", ";", "|"),
        key=lambda d: min((len(_split(line, d)) for line in head), default=0),
    )
    if len(_split(head[0] if head else "", best)) < 2:
        raise ValueError(
            f"{path}, line 1: expected a header of fields with tabs, commas, "
            f"semicolons or | between them, received {(head or [''])[0][:80]!r}."
        )
    return _Layout(best, any('"' in line for line in head))


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _text_rows(path: str, layout: _Layout) -> Iterator[dict[str, str]]:
    """Rows of a text file by the names in its header."""
    opened = gzip.open if is_compressed(path) else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
        if layout.quoted:
            reader = csv.reader(file, delimiter=layout.delimiter)
        else:
            reader = csv.reader(
                file, delimiter=layout.delimiter, quoting=csv.QUOTE_NONE
            )
        header = next(reader, [])
        repeated = [name for name, n in Counter(header).items() if n > 1]
        if repeated:
            raise ValueError(
                f"{path}, line 1: expected distinct names, received "
                f"{', '.join(repeated)} more than once."
            )
        for row in reader:
            if len(row) != len(header):
                raise ValueError(
                    f"{path}, line {reader.line_num}: expected {len(header)} fields as "
                    f"in the header, received {len(row)}."
                )
            yield dict(zip(header, row, strict=True))


def _columns_of(rows: Iterator[dict[str, str]]) -> list[_Column]:
    columns: dict[str, _Column] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, _Column(name)).add(value)
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
    found = [c for c in found if not c.num_missing and len(c.counts) > 1]
    if not found:
        raise ValueError(
            f"{path}: expected a label, a column without missing values that "
            f"{'is named ' + label if label else 'is named like one'}, received the "
            f"columns {', '.join(by_name)[:300]}; --label names it."
        )
    order = {name: place for place, name in enumerate(_LABELS)}
    return min(found, key=lambda column: order.get(column.name.lower(), 0))


def _proposed(column: _Column, is_label: bool) -> tuple[str, Any, str]:
    """The kind, the settings and the reason for a column."""
    num_distinct, name = len(column.counts), column.name
    if is_label:
        return "label", *_label_settings(column)
    if num_distinct < 2:
        return "skipped", None, "one value in all rows"
    is_id = bool(re.search(r"(?i)(^|_)id$|[a-z]Id$|ID$", name))
    if column.is_number:
        values = [float(text) for text in column.counts]
        looks_timely = re.search(r"(?i)time|date|(^|_)ts$|(^|_)hour$", name)
        is_whole = not column.num_missing
        if looks_timely and is_whole and (column.is_rising or min(values) > 1e8):
            return "time", None, "a number that grows, or its name and size"
    present = column.num_rows - column.num_missing
    if num_distinct == present > 50 and not column.is_number:
        return "skipped", None, "another value in every row"
    if column.is_integer and not is_id and num_distinct > 50:
        return "numeric", *_number_settings(column, "int64")
    if column.is_number and not column.is_integer:
        return "numeric", *_number_settings(column, "float64")
    if is_id and num_distinct == column.num_rows > 50:
        return "skipped", None, "another id in every row"
    separator = _separator_of(column)
    if separator:
        parts = Counter(len(text.split(separator)) for text in column.counts)
        settings = MultiValued(
            name, min_count=2, max_values=max(parts), separator=separator
        )
        return "multi-valued", settings, f"several values with {separator!r} between"
    if num_distinct <= 10_000:
        return "categorical", Categorical(name, min_count=2), "few values: a vocabulary"
    buckets = 1 << (2 * num_distinct).bit_length()
    return "categorical", Categorical(name, buckets=buckets), "many values: hashed"


def _label_settings(column: _Column) -> tuple[Label, str]:
    values = list(column.counts)
    if set(values) <= {"0", "1"}:
        return Label(column.name), "0 or 1"
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
    return bool(re.fullmatch(Numeric("x", "float64").pattern, text))
