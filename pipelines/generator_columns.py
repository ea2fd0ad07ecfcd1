"""The columns of generated rows, drawn from their latents."""

from __future__ import annotations

import dataclasses
import functools
import math
from statistics import NormalDist

import numpy as np

from .generator_world import (
    CATEGORICALS,
    INTEGERS,
    LATENTS,
    NUM_CATEGORICALS,
    NUM_INTEGERS,
    Array,
    criteo_statistics,
    missing_groups,
)
from .popularity import popularities

_UNRANKED = -1  # the rank of a missing id


@dataclasses.dataclass(frozen=True)
class DrawnColumns:
    """What rows hold before their ids and labels; arrays are (columns, rows).

    Attributes:
        numeric: int64 (13, n), 0 where missing.
        numeric_missing: bool (13, n).
        ranks: int32 (26, n), the popularity ranks of the ids from 0, -1 where missing.
        categorical_missing: bool (26, n).
        group_missing: bool (groups, n), in the order of `missing_groups`.
    """

    numeric: Array
    numeric_missing: Array
    ranks: Array
    categorical_missing: Array
    group_missing: Array


def draw_columns(latents: Array, random: np.random.Generator) -> DrawnColumns:
    """The columns of rows with these latents, float64 (5, n)."""
    group_missing = _draw_missing(latents, random)
    numeric = _draw_integers(latents, random)
    numeric_missing = group_missing[_group_of_column()[:NUM_INTEGERS]]
    ranks = _draw_ranks(latents, random)
    categorical_missing = group_missing[_group_of_column()[NUM_INTEGERS:]]
    numeric[numeric_missing] = 0
    ranks[categorical_missing] = _UNRANKED
    return DrawnColumns(
        numeric, numeric_missing, ranks, categorical_missing, group_missing
    )


@functools.cache
def _group_of_column() -> Array:
    """The index of the missing group of each of the 39 columns."""
    group = {n: i for i, g in enumerate(missing_groups()) for n in g.columns}
    return np.array([group[name] for name in (*INTEGERS, *CATEGORICALS)])


def _missing_rate(name: str) -> float:
    kind = "integer" if name in INTEGERS else "categorical"
    return float(criteo_statistics()[kind][name]["missing"])


@functools.cache
def _missing_tables() -> tuple[Array, Array, Array]:
    """Loadings (groups, latents), noise (groups, 1) and thresholds (groups, 1)."""
    loadings = np.array([group.loadings for group in missing_groups()])
    rates = [_missing_rate(group.columns[0]) for group in missing_groups()]
    scores = [NormalDist().inv_cdf(rate) if rate else -math.inf for rate in rates]
    return loadings, _noise(loadings), np.array(scores)[:, None]


def _noise(loadings: Array) -> Array:
    """The standard deviation that makes loadings · z + noise a standard normal."""
    noise: Array = np.sqrt(1 - np.sum(loadings**2, axis=1, keepdims=True))
    return noise


def _draw_missing(latents: Array, random: np.random.Generator) -> Array:
    """Which groups are missing: bool (groups, rows)."""
    loadings, noise, thresholds = _missing_tables()
    scores = noise * random.standard_normal((len(noise), latents.shape[1]))
    scores += loadings @ latents
    return scores < thresholds


@functools.cache
def _integer_tables() -> tuple[Array, Array, Array, Array, Array]:
    """Loadings, noise, minima, and the knots of the quantile functions.

    The knots are normal scores (6,) and log1p(x - minimum) (13, 6): the smallest
    and the largest of all rows lie at the scores of probability 1 / rows from
    either end.
    """
    statistics = criteo_statistics()
    loadings = np.array([column.loadings for column in INTEGERS.values()])
    extreme = 1 / statistics["rows"]
    probabilities = (extreme, 0.25, 0.5, 0.75, 0.95, 1 - extreme)
    scores = np.array([NormalDist().inv_cdf(p) for p in probabilities])
    names = ("min", "q25", "q50", "q75", "q95", "max")
    quantiles = np.array(
        [[statistics["integer"][c][name] for name in names] for c in INTEGERS]
    )
    minima = quantiles[:, :1]
    return loadings, _noise(loadings), minima, scores, np.log1p(quantiles - minima)


def _draw_integers(latents: Array, random: np.random.Generator) -> Array:
    """The integers, none missing yet: int64 (13, rows)."""
    loadings, noise, minima, scores, logs = _integer_tables()
    x = noise * random.standard_normal((NUM_INTEGERS, latents.shape[1]))
    x += loadings @ latents
    for j in range(NUM_INTEGERS):
        x[j] = np.interp(x[j], scores, logs[j])
    return np.rint(np.expm1(x)).astype(np.int64) + minima


@functools.cache
def _normal_cdf_table() -> tuple[Array, Array]:
    scores = np.linspace(-6, 6, 1201)
    return scores, np.array([NormalDist().cdf(score) for score in scores])


def _draw_ranks(latents: Array, random: np.random.Generator) -> Array:
    """The popularity ranks of the ids, from 0, none missing yet: int32 (26, rows)."""
    quantiles = np.interp(latents, *_normal_cdf_table())
    ranks = random.random((NUM_CATEGORICALS, latents.shape[1]))
    columns = zip(CATEGORICALS.values(), popularities(), ranks, strict=True)
    for column, popularity, u in columns:
        # One uniform number decides whether the column follows, and if not serves
        # again, stretched: either way the quantile is uniform.
        own = (u - column.follows) / (1 - column.follows)
        shared = quantiles[LATENTS.index(column.latent)]
        quantile = np.where(u < column.follows, shared, own)
        u[:] = np.interp(quantile, popularity.probabilities, popularity.log_ranks)
    return np.minimum(np.exp(ranks).astype(np.int32) - 1, _last_rank())


@functools.cache
def _last_rank() -> Array:
    columns = criteo_statistics()["categorical"]
    return np.array(
        [[columns[c]["vocabulary_size"] - 1] for c in CATEGORICALS], np.int32
    )
