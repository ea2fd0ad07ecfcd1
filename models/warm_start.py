"""Warm start: a fresh model takes over what another run has learned."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence

import numpy as np

from .checkpoints import load_model
from .id_spaces import NONE
from .model_matching import (
    MatchedTable,
    check_net,
    is_deep,
    matched_tables,
    same_numeric,
)
from .model_weights import (
    NUMERIC_VECTOR,
    Axes,
    Layout,
    ModelWeights,
    column_layouts,
)
from .wide_deep import WideDeep


@dataclasses.dataclass(frozen=True)
class CarriedRows:
    """How many rows of a column's table were taken over.

    Attributes:
        part: `wide` or `deep`, of another tower than the first `tower_1/wide` ….
        column: the column, or the wide part's cross (`C1*C2`).
        num_carried: rows taken over.
        num_fresh: rows that kept their initial values.
        reason: why (next to) none was taken over; empty otherwise.
    """

    part: str
    column: str
    num_carried: int
    num_fresh: int
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class WarmStart:
    """What a model has taken over from another run. See `warm_start`.

    Attributes:
        source: the other run's model_dir.
        rows: the tables, column by column.
        carried: paths of other weights that were taken over whole.
        carried_by_column: of those taken over for the columns that fit.
        fresh: of those that kept their initial values.
    """

    source: str
    rows: tuple[CarriedRows, ...]
    carried: tuple[str, ...]
    carried_by_column: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"warm start from {self.source}"]
        width = max((len(rows.column) for rows in self.rows), default=0)
        for rows in self.rows:
            reason = f" ({rows.reason})" if rows.reason else ""
            lines.append(
                f"{rows.part}  {rows.column:<{width}}  {rows.num_carried:>11,} rows "
                f"carried  {rows.num_fresh:>11,} fresh{reason}"
            )
        for what, paths in (
            ("carried", self.carried),
            ("carried by column", self.carried_by_column),
            ("fresh", self.fresh),
        ):
            if paths:
                lines.append(f"weights {what}: {', '.join(paths)}")
        return "\n".join(lines)


def warm_start(
    model: WideDeep, source: str | os.PathLike[str], *, dense: bool = True
) -> WarmStart:
    """Initialises a model with what another run's newest checkpoint holds.

    Columns are matched by name, and may have been added or removed:

    - Tables: the rows of a vocabulary are taken over by value, whatever their ids are
      now; those of hashed columns, bins and crosses by id, if ids stand for the same
      in both models. Missing and unknown ids remain such. Rows of values that the
      other run did not know, and of columns whose width differs, stay fresh.
    - Weights that have places for columns (the wide part's numeric ones, the kernel of
      the first layer, cross layers) are taken over place by place: of numeric columns
      that are transformed in the same way, and of embeddings that were taken over.
    - All other weights are taken over as they are.

    The optimizer starts anew: sums and moments are not taken over, and the step is 0.
    FTRL, whose weights follow from its sums, has to begin with sums that give the
    weights that are there: call this before the optimizer has made its own.

    Args:
        model: a model that has not been trained.
        source: the other run's model_dir.
        dense: whether the deep part's net is taken over. Without it, the tables and the
            wide part are, and the nets may have different shapes.

    Returns:
        What was taken over.

    Raises:
        ValueError: no model_dir there, or no checkpoint that can be read in it; with
            `dense`, a net of another shape; no column that both models have; an
            optimizer that has sums already. The model is as it was then.

    Source: Cheng et al., Wide & Deep Learning, arXiv 1606.07792, section 4.2.

    Examples:
        >>> other = load_model("model")
        >>> model = WideDeep(other.schema, other.config, seed=1)
        >>> found = warm_start(model, "model")
        >>> sum(rows.num_fresh for rows in found.rows), found.fresh
        (0, ())
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and len(optimizer.weights) > 1:  # the step is always there
        raise ValueError(
            "model: expected one whose optimizer has made no sums yet, received one "
            "that was trained, or prepared for it; call warm_start first."
        )
    other = load_model(source)
    if dense:
        check_net(model, other, str(source))
    tables = matched_tables(model, other)
    columns = same_numeric(model, other)
    columns |= {t.here.column for t in tables if t.fits and t.here.part == "deep"}
    if not columns and not any(table.fits for table in tables):
        raise ValueError(
            f"{source}: expected a model that shares columns with this one, received "
            "one with other columns."
        )
    ours, theirs = ModelWeights(model), ModelWeights(other)
    rows = _carry_rows(tables, ours, theirs)
    table_paths = {table.here.path for table in tables}
    carried: list[str] = []
    by_column: list[str] = []
    fresh: list[str] = []
    layouts = (column_layouts(model), column_layouts(other))
    for path in ours:
        if path in table_paths:
            continue
        part = 0.0
        if path in theirs and (dense or not is_deep(path)):
            part = _carry(path, ours, theirs, layouts, columns | {NUMERIC_VECTOR})
        (carried if part == 1 else by_column if part else fresh).append(path)
    return WarmStart(
        str(source), tuple(rows), tuple(carried), tuple(by_column), tuple(fresh)
    )


def _carry_rows(
    tables: Sequence[MatchedTable], ours: ModelWeights, theirs: ModelWeights
) -> list[CarriedRows]:
    """Takes over the rows that have counterparts."""
    result = []
    arrays: dict[str, np.ndarray] = {}
    sources: dict[str, np.ndarray] = {}
    for table in tables:
        here, there = table.here, table.there
        ids = np.flatnonzero(table.same != NONE)
        if there is not None and ids.size:
            if here.path not in arrays:
                arrays[here.path] = ours[here.path]
            if there.path not in sources:
                sources[there.path] = theirs[there.path]
            rows = sources[there.path][there.offset + table.same[ids]]
            arrays[here.path][here.offset + ids] = rows
        num_fresh = here.num_ids - ids.size
        result.append(
            CarriedRows(here.part, here.column, ids.size, num_fresh, table.reason)
        )
    for path, array in arrays.items():
        ours[path] = array
    return result


def _carry(
    path: str,
    ours: ModelWeights,
    theirs: ModelWeights,
    layouts: tuple[Mapping[str, Axes], Mapping[str, Axes]],
    columns: set[str],
) -> float:
    """Takes over a weight in the places of some columns; returns the part that is."""
    value = ours[path]
    whole: Axes = (None,) * value.ndim
    axes = [
        _same_places(here, there, size, columns)
        for here, there, size in zip(
            layouts[0].get(path, whole),
            layouts[1].get(path, whole),
            value.shape,
            strict=True,
        )
    ]
    here, there = (np.ix_(*places) for places in zip(*axes, strict=True))
    value[here] = theirs[path][there]
    ours[path] = value
    return value[here].size / value.size


def _same_places(
    here: Layout | None, there: Layout | None, size: int, columns: set[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The places of columns along an axis of two weights, in the same order."""
    if here is None or there is None:
        return np.arange(size), np.arange(size)
    starts = []
    for layout in (here, there):
        ends = itertools.accumulate(width for _, width in layout)
        starts.append(
            {
                (column, width): end - width
                for (column, width), end in zip(layout, ends, strict=True)
            }
        )
    pairs = [
        (starts[0][key] + i, starts[1][key] + i)
        for key in here
        if key in starts[1] and columns.issuperset(key[0].split("*"))
        for i in range(key[1])
    ]
    places = np.array(pairs, dtype=int).reshape(-1, 2)
    return places[:, 0], places[:, 1]
