"""What of two models stands for the same: columns, their ids, and nets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Hashable

import numpy as np

from .id_spaces import NONE, cross_space, id_spaces, same_ids
from .model_weights import ColumnTable, ModelWeights, column_layouts, column_tables
from .wide_deep import WideDeep

# What the shapes of the deep part's net depend on, its columns aside.
_NET_FIELDS = (
    "towers",
    "tower_tables",
    "interaction",
    "hidden_units",
    "bottleneck",
    "cross_layers",
    "cross_rank",
    "bottom_units",
    "normalization",
    "embedding_dim",
)


@dataclasses.dataclass(frozen=True)
class MatchedTable:
    """A column's table beside the other model's: whose rows are its rows?

    Attributes:
        here: the table.
        there: the other model's table of this column, if it has one.
        same: for each id the other model's one that stands for the same, or NONE.
        reason: why there are none.
    """

    here: ColumnTable
    there: ColumnTable | None
    same: np.ndarray
    reason: str = ""

    @property
    def fits(self) -> bool:
        """Whether values have counterparts; the missing id alone is not enough."""
        return bool(np.any(self.same[1:] != NONE))


def matched_tables(model: WideDeep, other: WideDeep) -> list[MatchedTable]:
    """The tables of a model's columns beside another model's."""
    return [_matched(table, model, other) for table in column_tables(model)]


def _matched(table: ColumnTable, model: WideDeep, other: WideDeep) -> MatchedTable:
    there = {(t.part, t.column): t for t in column_tables(other)}
    found = there.get((table.part, table.column))
    same, reason = np.full(table.num_ids, NONE), ""
    if found is None:
        reason = "not in the other model"
    elif found.dim != table.dim:
        reason = f"width {table.dim}, there {found.dim}"
    elif "*" not in table.column:
        same = same_ids(table.column, model.schema, other.schema)
    elif _wide_cross(table, model) == _wide_cross(found, other):
        same = np.arange(table.num_ids)
    if not reason and not np.any(same[1:] != NONE):
        reason = "ids stand for other values there"
    return MatchedTable(table, found, same, reason)


def _wide_cross(table: ColumnTable, model: WideDeep) -> Hashable:
    columns = table.column.split("*")
    return cross_space(columns, table.num_ids, id_spaces(model.schema))


def same_numeric(model: WideDeep, other: WideDeep) -> set[str]:
    """The numeric columns that both models see transformed in the same way.

    Means and deviations may differ, as those of two weeks do.
    """

    def forms(one: WideDeep) -> set[tuple]:
        return {
            (f"numeric {c.name}", c.transform, c.clip, c.standardize, c.fill)
            for c in one.schema.numeric
        }

    return {name for name, *_ in forms(model) & forms(other)}


def check_net(model: WideDeep, other: WideDeep, source: str) -> None:
    """Raises a ValueError where the deep parts' nets have different shapes."""
    if model.deep is None or other.deep is None:
        return
    here, there = _net_shapes(model), _net_shapes(other)
    different = [
        (path, here.get(path), there.get(path))
        for path in sorted(here.keys() | there.keys())
        if here.get(path) != there.get(path)
    ]
    if different:
        settings = [
            (f"model.{name}", getattr(model.config, name), getattr(other.config, name))
            for name in _NET_FIELDS
        ]
        different = [s for s in settings if s[1] != s[2]] or different
    if different:
        what, ours, theirs = different[0]
        raise ValueError(
            f"{source}: expected a net of this model's shape, received another "
            f"({what} is {theirs!r} there, {ours!r} here); with dense=False the tables "
            "and the wide part alone are taken over."
        )


def _net_shapes(model: WideDeep) -> dict[str, tuple[int | None, ...]]:
    """The shapes of the deep part's weights but its tables; None along columns."""
    weights, layouts = ModelWeights(model), column_layouts(model)
    tables = {table.path for table in column_tables(model)}
    return {
        path: tuple(
            size if layout is None else None
            for size, layout in zip(
                weights.shape(path),
                layouts.get(path, (None,) * len(weights.shape(path))),
                strict=True,
            )
        )
        for path in weights
        if is_deep(path) and path not in tables
    }


def is_deep(path: str) -> bool:
    """Whether a weight is of a deep part, of whichever tower."""
    return re.match(r"(tower_\d+/)?deep/", path) is not None
