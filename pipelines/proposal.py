"""Proposing a schema for a file of one's own, to be edited by hand."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Sequence
from typing import Any

from .column_proposal import ColumnProposal, propose_column
from .column_sample import SampledColumn, missing_text, sample_columns
from .files import expand_files
from .formats import format_of
from .parquet import parquet_kinds, parquet_texts
from .schema import Schema
from .text_layout import TextLayout, layout_of, text_rows

_LABELS = ("label", "click", "clicked", "is_click", "target", "y", "rating", "income")
_FEATURES = ("numeric", "categorical", "multi-valued")


@dataclasses.dataclass(frozen=True)
class ColumnSummary:
    """What a column of the sample is like, and what is proposed for it.

    See `propose_schema`.

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
    """A schema for a file, and what it rests on. See `propose_schema`.

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
    r"""Looks at the first rows of a file and proposes a schema.

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

    Examples:
        >>> from pathlib import Path
        >>> lines = [f"{i % 2},{i % 90},s{i % 9}" for i in range(900)]
        >>> _ = Path("ads.csv").write_text("\n".join(["click,age,site", *lines]))
        >>> proposal = propose_schema("ads.csv")
        >>> [(column.name, column.kind) for column in proposal.columns]
        [('click', 'label'), ('age', 'numeric'), ('site', 'categorical')]
        >>> proposal.schema.numeric[0].standardize
        True
    """
    path = _one_file(path)
    layout, columns = _sampled(path, max_rows)
    missing = missing_text(columns)
    for column in columns:
        column.forget(missing)
    target = _label_of(columns, label, path)
    proposed = [propose_column(column, column is target) for column in columns]
    proposed = _with_one_time(_without_taken_names(proposed, columns))
    if not any(p.kind in _FEATURES for p in proposed):
        raise ValueError(
            f"{path}: expected a column to predict the label {target.name} from, "
            f"received {', '.join(column.name for column in columns)[:300]}."
        )
    try:
        schema = _schema_of(path, layout, columns, proposed, missing)
    except ValueError as error:
        raise ValueError(f"{path}: {error} Rename them in the file.") from None
    summaries = map(_summary, columns, proposed)
    return Proposal(schema, tuple(summaries), columns[0].num_rows)


def _one_file(path: str | os.PathLike[str]) -> str:
    files = expand_files(path)
    if len(files) != 1:
        raise ValueError(f"{path}: expected one file, received {len(files)}.")
    return files[0]


def _sampled(path: str, max_rows: int) -> tuple[TextLayout, list[SampledColumn]]:
    """The layout of a file, the default one of Parquet, and its columns' values."""
    found = format_of([path])
    if found == "examples":
        raise ValueError(
            f"{path}: expected text or Parquet to propose a schema for, received "
            "TFRecord."
        )
    if found == "parquet":
        layout, kinds, rows = TextLayout(), parquet_kinds(path), parquet_texts(path)
    else:
        layout, kinds = layout_of(path, max_rows), {}
        rows = text_rows(path, layout)
    columns = sample_columns(itertools.islice(rows, max_rows), kinds)
    if not columns or not columns[0].num_rows:
        raise ValueError(f"{path}: expected rows below the header, received none.")
    return layout, columns


def _label_of(columns: Sequence[SampledColumn], label: str, path: str) -> SampledColumn:
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


def _without_taken_names(
    proposed: Sequence[ColumnProposal], columns: Sequence[SampledColumn]
) -> list[ColumnProposal]:
    """The same without bins where their name is that of another column."""
    names = {column.name for column in columns}

    def unbinned(proposal: ColumnProposal) -> ColumnProposal:
        settings = proposal.settings
        if proposal.kind != "numeric" or f"{settings.name}_bin" not in names:
            return proposal
        return dataclasses.replace(
            proposal,
            settings=dataclasses.replace(settings, binned=False),
            reason=proposal.reason.removesuffix(", and bins"),
        )

    return list(map(unbinned, proposed))


def _with_one_time(proposed: Sequence[ColumnProposal]) -> list[ColumnProposal]:
    """The same with the first time alone; others are skipped."""
    times = [i for i, proposal in enumerate(proposed) if proposal.kind == "time"]
    second = ColumnProposal("skipped", None, "a second time")
    return [second if i in times[1:] else p for i, p in enumerate(proposed)]


def _schema_of(
    path: str,
    layout: TextLayout,
    columns: Sequence[SampledColumn],
    proposed: Sequence[ColumnProposal],
    missing: str,
) -> Schema:
    def settings(kind: str) -> tuple[Any, ...]:
        return tuple(p.settings for p in proposed if p.kind == kind)

    pairs = zip(columns, proposed, strict=True)
    times = [column.name for column, p in pairs if p.kind == "time"]
    return Schema(
        name=re.sub(r"\..*", "", os.path.basename(path)) or "data",
        numeric=settings("numeric"),
        categorical=settings("categorical"),
        multivalued=settings("multi-valued"),
        label=settings("label")[0],
        time=times[0] if times else "",
        fields=tuple(column.name for column in columns),
        delimiter=layout.delimiter,
        quoted=layout.quoted,
        strip=layout.strip,
        missing=missing,
        header=True,
    )


def _summary(column: SampledColumn, proposal: ColumnProposal) -> ColumnSummary:
    return ColumnSummary(
        name=column.name,
        kind=proposal.kind,
        dtype=column.dtype,
        missing_rate=column.num_missing / column.num_rows,
        num_distinct=len(column.counts),
        has_more=column.has_more,
        example=next(iter(column.counts), ""),
        reason=proposal.reason,
    )
