"""Columns as slices: which slice a row is in, and what to call it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from smelu_tf.pipelines import Categorical, Numeric, Schema, Transform
from smelu_tf.pipelines.transform import MISSING_ID, UNKNOWN_ID, Features

_MAX_EXPONENT = 63
_MIN_EXPONENT = -10  # of columns that are no integers


@dataclasses.dataclass(frozen=True)
class SliceColumn:
    """A column whose values slice rows.

    Attributes:
        name: the column's name.
        num_slices: how many slices there can be.
        slices_of: of `Batch.features`, the slice of each row: int (B,), or (B, K) of a
            column with up to K values a row, a value below 0 being none.
        value: of a slice, what to call it.
        is_ordered: whether slices follow a scale, and are listed along it.
    """

    name: str
    num_slices: int
    slices_of: Callable[[Features], np.ndarray]
    value: Callable[[int], str]
    is_ordered: bool = False


def slice_columns(schema: Schema, names: Iterable[str]) -> list[SliceColumn]:
    """The columns of these names.

    An id column (categorical, multi-valued, the binned copy of a numeric one, a cross)
    has a slice for each id; a numeric column one for missing values and one for each
    power of two. Numbers are as the model sees them, clipped, in float32: where one is
    too close below a power of two to be told from it, it counts as that (of integers
    under log1p none below a million).

    Args:
        schema: a complete schema.
        names: of columns, in any order; one named twice counts once.

    Raises:
        ValueError: an unknown name; tells the nearest one.

    Examples:
        >>> columns = (Numeric("age"),), (Categorical("site", buckets=100),)
        >>> schema = Schema("ads", *columns)
        >>> [column.num_slices for column in slice_columns(schema, ["site", "age"])]
        [100, 65]
    """
    known = (
        *(column.name for column in schema.numeric),
        *schema.id_columns,
        *(column.name for column in schema.multivalued),
    )
    found = []
    for name in dict.fromkeys(names):
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"slices: expected a column of the schema {schema.name}, received "
                f"{name!r}; the nearest is {nearest}."
            )
        found.append(_slice_column(schema, name))
    return found


def _slice_column(schema: Schema, name: str) -> SliceColumn:
    for index, numeric in enumerate(schema.numeric):
        if numeric.name == name:
            return _numeric(numeric, index)
    for many in schema.multivalued:
        if many.name == name:
            return SliceColumn(
                name,
                many.num_ids,
                lambda features: features[name].numpy(),
                _id_values(many),
            )
    index = schema.id_columns.index(name)
    values = {column.name: _id_values(column) for column in schema.categorical}
    bins = {f"{column.name}_bin": _bin_values(column) for column in schema.binned}
    return SliceColumn(
        name,
        schema.num_ids[index],
        lambda features: features["ids"][:, index].numpy(),
        {**values, **bins}.get(name, _hashed_value),
        is_ordered=name in bins,
    )


def _id_values(column: Categorical) -> Callable[[int], str]:
    """What the ids of a categorical column are called."""
    vocabulary = column.vocabulary
    if vocabulary is None:
        return _hashed_value
    first = UNKNOWN_ID + column.oov_buckets

    def value(id_: int) -> str:
        if id_ >= first:
            return vocabulary[id_ - first]
        if id_ == MISSING_ID:
            return "missing"
        return "unknown" if column.oov_buckets == 1 else f"unknown {id_}"

    return value


def _hashed_value(id_: int) -> str:
    """What an id is called whose value is not known."""
    return f"id {id_}" if id_ != MISSING_ID else "missing"


def _bin_values(column: Numeric) -> Callable[[int], str]:
    """What the bins of a numeric column's copy are called."""
    names = _interval_names(column.bin_boundaries, column.dtype == "int64")
    return lambda id_: ("missing", *names)[id_]


def _numeric(column: Numeric, index: int) -> SliceColumn:
    """Missing values, and bins between powers of two.

    The boundaries go through the column's transform, not the values back: a value on a
    boundary has the very feature that the boundary has.
    """
    boundaries = _powers_of_two(column)
    raw = {column.name: np.array(boundaries, np.float64)}
    alone = dataclasses.replace(column, binned=False, boundaries=())
    transform = Transform(Schema("slice", (alone,), ()))
    features = transform(raw)["numeric"].numpy()[:, 0]
    # Large values of a standardized column may fall together in float32.
    features, kept = np.unique(features, return_index=True)
    boundaries = [boundaries[i] for i in kept]
    names = ("missing", *_interval_names(boundaries, column.dtype == "int64"))

    def slices_of(features_: Features) -> np.ndarray:
        pairs = features_["numeric"][:, 2 * index : 2 * index + 2].numpy()
        bins = 1 + np.searchsorted(features, pairs[:, 0], side="right")
        return np.where(pairs[:, 1] > 0, 0, bins)

    return SliceColumn(
        column.name, len(names), slices_of, names.__getitem__, is_ordered=True
    )


def _powers_of_two(column: Numeric) -> list[float]:
    """The boundaries that the features of a column can tell from one another."""
    is_whole = column.dtype == "int64"
    exponents = range(0 if is_whole else _MIN_EXPONENT, _MAX_EXPONENT)
    sizes = [2.0**exponent for exponent in exponents]
    lowest, highest = column.clip or (-np.inf, np.inf)
    if column.transform == "log1p":
        lowest = max(lowest, 0.0)
    every = [*(-size for size in reversed(sizes)), 0.0, *sizes]
    # With nothing in between (a clip from 5 to 6) one boundary is left, above all.
    return [b for b in every if lowest < b <= highest] or [sizes[-1]]


def _interval_names(boundaries: Sequence[float], is_whole: bool) -> tuple[str, ...]:
    """What lies below, between and above boundaries."""
    if is_whole and all(b == int(b) for b in boundaries):
        whole = [int(b) for b in boundaries]
        between = [
            f"{a:,}" if b == a + 1 else f"{a:,} to {b - 1:,}"
            for a, b in zip(whole, whole[1:], strict=False)
        ]
        return (f"{whole[0] - 1:,} or less", *between, f"{whole[-1]:,} or more")
    between = [
        f"{a:g} up to {b:g}" for a, b in zip(boundaries, boundaries[1:], strict=False)
    ]
    return (f"below {boundaries[0]:g}", *between, f"{boundaries[-1]:g} or more")
