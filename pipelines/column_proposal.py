"""What a column of a file becomes in the schema that is proposed for it."""

from __future__ import annotations

import dataclasses
import re
import statistics
from typing import Any

from .column_sample import SampledColumn
from .columns import Categorical, Label, MultiValued, Numeric

_SEPARATORS = ("|", ";", ",", " ")


@dataclasses.dataclass(frozen=True)
class ColumnProposal:
    """What a column becomes, and why.

    Attributes:
        kind: as `ColumnSummary.kind`.
        settings: the column or the label of a schema; None of a time, which has only
            its name, and of what is skipped.
        reason: why this kind.
    """

    kind: str
    settings: Any
    reason: str


def propose_column(column: SampledColumn, is_label: bool) -> ColumnProposal:
    """What a column becomes, by its name and what is known of its values."""
    num_distinct, name = len(column.counts), column.name
    if is_label:
        return ColumnProposal("label", *_label_settings(column))
    if column.kind == "other":
        return ColumnProposal("skipped", None, "of a type that no column can have")
    if num_distinct < 2:
        return ColumnProposal("skipped", None, "one value in all rows")
    if column.kind == "list":
        return _several(column, "|")
    is_id = bool(re.search(r"(?i)(^|_)id$|(?-i:[a-z]Id$|ID$)", name)) or column.is_code
    if _is_time(column):
        return ColumnProposal("time", None, "a number that grows, or its name and size")
    if column.is_unique and (is_id or not column.is_number):
        return ColumnProposal(
            "skipped", None, f"another {'id' if is_id else 'value'} in every row"
        )
    if column.is_unique and column.is_integer and column.is_rising:
        return ColumnProposal("skipped", None, "a number of the row")
    if column.is_integer and not is_id and num_distinct > 50:
        return ColumnProposal("numeric", *_number_settings(column, "int64"))
    if column.is_number and not column.is_integer and not column.is_code:
        return ColumnProposal("numeric", *_number_settings(column, "float64"))
    separator = _separator_of(column)
    if separator:
        return _several(column, separator)
    if num_distinct <= 10_000:
        return ColumnProposal(
            "categorical", Categorical(name, min_count=2), "few values: a vocabulary"
        )
    buckets = 1 << (2 * num_distinct).bit_length()
    return ColumnProposal(
        "categorical", Categorical(name, buckets=buckets), "many values: hashed"
    )


def _is_time(column: SampledColumn) -> bool:
    """Whether a number of every row is named like a time, and grows or is large."""
    pattern = r"(?i)time|date|(^|_)ts$|(^|_)hour$"
    if column.kind != "time" and not re.search(pattern, column.name):
        return False
    if not column.is_number or column.num_missing:
        return False
    return column.is_rising or min(map(float, column.counts)) > 1e8


def _several(column: SampledColumn, separator: str) -> ColumnProposal:
    settings = MultiValued(
        column.name,
        min_count=2,
        max_values=max(len(text.split(separator)) for text in column.counts),
        separator=separator,
    )
    reason = f"several values with {separator!r} between"
    return ColumnProposal("multi-valued", settings, reason)


def _label_settings(column: SampledColumn) -> tuple[Label, str]:
    if set(column.counts) <= {"0", "1"}:
        if column.is_number:
            return Label(column.name), "0 or 1"
        return Label(column.name, positive=("1",)), "1 where '1'"
    if column.is_number:
        least = _even_split(column)
        return Label(column.name, at_least=least), f"1 where at least {least:g}"
    rarest = min(column.counts, key=lambda value: column.counts[value])
    return Label(column.name, positive=(rarest,)), f"1 where {rarest!r}"


def _even_split(column: SampledColumn) -> float:
    """The value at or above which nearest to half of the rows lie."""
    total = sum(column.counts.values())

    def unevenness(least: float) -> float:
        above = sum(n for text, n in column.counts.items() if float(text) >= least)
        return abs(above / total - 0.5)

    return min(sorted(map(float, column.counts))[1:], key=unevenness)


def _number_settings(column: SampledColumn, dtype: Any) -> tuple[Numeric, str]:
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


def _separator_of(column: SampledColumn) -> str:
    """What stands between the values where rows hold several of few values."""
    for separator in _SEPARATORS:
        several = [text for text in column.counts if separator in text]
        parts = {part for text in column.counts for part in text.split(separator)}
        if len(several) > 0.3 * len(column.counts) and 2 * len(parts) < len(
            column.counts
        ):
            return separator
    return ""
