"""What the ids of a column stand for, and which ids of two schemas are the same."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from smelu_tf.pipelines import Categorical, Schema
from smelu_tf.pipelines.transform import MISSING_ID, UNKNOWN_ID

from .tables import ids_by_column

NONE = -1
"""Stands for no id: the counterpart of an id that another schema has not."""


def id_spaces(schema: Schema) -> dict[str, Hashable]:
    """What the ids of each id column and multi-valued column stand for.

    Two columns, of one schema or of two, give equal values the same ids if and only if
    their entries here are equal.

    Args:
        schema: a complete schema.
    """
    spaces: dict[str, Hashable] = {}
    for column in schema.text_columns:
        spaces[column.name] = _text_space(column, schema.seed)
    for numeric in schema.binned:
        spaces[f"{numeric.name}_bin"] = ("bins", numeric.bin_boundaries)
    for cross in schema.crosses:
        inputs = tuple(spaces[name] for name in cross.columns)
        hashed = (cross.buckets, cross.name, schema.seed)
        spaces[cross.name] = ("cross", *hashed, inputs)
    return spaces


def cross_space(
    columns: Sequence[str], num_ids: int, spaces: Mapping[str, Hashable]
) -> Hashable:
    """As `id_spaces`, of a cross that the wide part computes of ids.

    Args:
        columns: the cross's columns.
        num_ids: how many ids the cross has.
        spaces: of the columns' schema.
    """
    return ("ids", num_ids, tuple(spaces[name] for name in columns))


def same_ids(name: str, ours: Schema, theirs: Schema) -> np.ndarray:
    """Which id of another schema stands for the same as each id of a column.

    Vocabularies are matched by value. Hashed ids, bins and crosses are the same or not
    comparable at all. The missing id is the same everywhere; unknown ids have unknown
    ones as their counterparts.

    Args:
        name: an id column or a multi-valued column of both schemas.
        ours: the schema whose ids are asked about, complete.
        theirs: the other one, complete.

    Returns:
        int64 (num_ids of ours,): ids of theirs, `NONE` where there is no counterpart.

    Examples:
        >>> ours = Schema("a", (), (Categorical("site", vocabulary=("x", "y")),))
        >>> theirs = Schema("b", (), (Categorical("site", vocabulary=("y",)),))
        >>> same_ids("site", ours, theirs)
        array([ 0,  1, -1,  2])
    """
    num_ids = ids_by_column(ours)[name]
    if id_spaces(ours)[name] == id_spaces(theirs)[name]:
        return np.arange(num_ids)
    same = np.full(num_ids, NONE)
    same[MISSING_ID] = MISSING_ID
    mine, yours = (_text_columns(schema).get(name) for schema in (ours, theirs))
    if mine is None or yours is None:
        return same
    if mine.vocabulary is None or yours.vocabulary is None:
        return same
    unknown = np.arange(mine.oov_buckets)
    same[UNKNOWN_ID + unknown] = UNKNOWN_ID + unknown % yours.oov_buckets
    first = UNKNOWN_ID + yours.oov_buckets
    places = {value: first + rank for rank, value in enumerate(yours.vocabulary)}
    known = [places.get(value, NONE) for value in mine.vocabulary]
    same[UNKNOWN_ID + mine.oov_buckets :] = known
    return same


def _text_space(column: Categorical, seed: int) -> Hashable:
    if column.vocabulary is None:
        return ("hashed", column.buckets, column.name, seed)
    # A single unknown id is not hashed.
    hashed = (column.name, seed) if column.oov_buckets > 1 else ()
    return ("vocabulary", column.vocabulary, column.oov_buckets, *hashed)


def _text_columns(schema: Schema) -> dict[str, Categorical]:
    return {column.name: column for column in schema.text_columns}
