"""The teacher: what truly makes a generated row likely to be clicked."""

from __future__ import annotations

import functools
import math

import numpy as np

from .generator_columns import DrawnColumns
from .generator_world import (
    CATEGORICALS,
    INTEGERS,
    NUM_CATEGORICALS,
    Array,
    criteo_statistics,
    missing_groups,
)
from .popularity import popularities

_HEAD = 1024  # ranks with effects of their own
_WORLD_KEY = 1  # the teacher's random numbers
_TREND = 0.12  # amplitude of the click rate's drift, in logits
_BIAS = -0.647  # brings the click rate to the statistics'


def click_probability(columns: DrawnColumns, time: Array) -> Array:
    """The true probability of a click: float64 (n,).

    Args:
        columns: the columns of the rows.
        time: float64 (n,), the rows' places in the whole data set, in [0, 1).
    """
    logit = _logit(columns)
    logit += _BIAS + _TREND * np.sin(2 * math.pi * time)
    probability: Array = 1 / (1 + np.exp(-logit))
    return probability


def _logit(columns: DrawnColumns) -> Array:
    """The logit but for bias and trend: float64 (n,)."""
    center, scale, slope, bend, projection = _numeric_tables()
    u = np.tanh((np.log1p(np.maximum(columns.numeric, 0)) - center) / scale)
    u[columns.numeric_missing] = 0
    effects, factors = _effect_tables()
    # Row _HEAD of a table is for ids without effects: unpopular or missing (-1,
    # which becomes the largest uint32).
    entry = np.minimum(columns.ranks.view(np.uint32), _HEAD).astype(np.int64)
    entry += (np.arange(NUM_CATEGORICALS) * (_HEAD + 1))[:, None]
    audience = projection.T @ u + _sum_of_factors(factors, entry, "audience")
    ad = _sum_of_factors(factors, entry, "ad")
    flags = np.array([group.flag for group in missing_groups()])
    logit: Array = flags @ columns.group_missing + slope @ u + bend @ u**2
    logit += effects[entry].sum(axis=0)
    logit += (audience * ad).sum(axis=0)
    return logit


def _sum_of_factors(factors: Array, entry: Array, side: str) -> Array:
    columns = [i for i, c in enumerate(CATEGORICALS.values()) if c.side == side]
    total: Array = factors[:, entry[columns]].sum(axis=1)
    return total


@functools.cache
def _numeric_tables() -> tuple[Array, Array, Array, Array, Array]:
    """Center and scale of log1p (13, 1), slopes, bends (13,), projection (13, 2)."""
    figures = criteo_statistics()["integer"].values()
    center, low, high = (
        np.log1p([[max(f[q], 0)] for f in figures]) for q in ("q50", "q25", "q95")
    )
    columns = INTEGERS.values()
    return (
        center,
        high - low,
        np.array([column.slope for column in columns]),
        np.array([column.bend for column in columns]),
        np.array([column.projection for column in columns]),
    )


@functools.cache
def _effect_tables() -> tuple[Array, Array]:
    """Effects (26 * (_HEAD + 1),) and factors (2, 26 * (_HEAD + 1)) of the ids.

    Normal numbers that shrink with the rank, centered and scaled to the column's
    standard deviations over the rows.
    """
    random = np.random.Generator(np.random.Philox(key=_WORLD_KEY))
    rank = np.arange(_HEAD)
    shrink = 1 / (1 + rank / 16)
    table = random.standard_normal((3, NUM_CATEGORICALS, _HEAD)) * shrink
    table = np.concatenate([table, np.zeros((3, NUM_CATEGORICALS, 1))], axis=2)
    columns = zip(CATEGORICALS.values(), popularities(), strict=True)
    for i, (column, popularity) in enumerate(columns):
        share = np.append(popularity.shares(_HEAD), 0.0)
        share[_HEAD] = max(1 - share.sum(), 0)
        table[:, i] -= (table[:, i] @ share)[:, None]
        spread = np.sqrt(table[:, i] ** 2 @ share)
        strength = np.array([column.effect] + 2 * [column.factor])
        table[:, i] *= (strength / spread)[:, None]
    table = table.reshape(3, -1)
    return table[0], table[1:]
