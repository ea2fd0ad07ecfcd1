"""How popular each value of a generated column is."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np

from .generator_world import CATEGORICALS, STEADY, TURNOVER, Array, criteo_statistics

_STEEPEST = 1.7  # of the power laws between known shares
_DESIGN_ROWS = 400_000  # the number of rows at which the unseen shares hold


@dataclasses.dataclass(frozen=True)
class Popularity:
    """A quantile function of ranks: knots of (probability, log of the rank).

    Ranks are continuous here: r (from 0) is what lies in [r + 1, r + 2).
    """

    probabilities: Array
    log_ranks: Array

    def shares(self, num_ranks: int) -> Array:
        """The probabilities of the first ranks: float64 (num_ranks,)."""
        edges = np.log(np.arange(1, num_ranks + 2))
        return np.diff(np.interp(edges, self.log_ranks, self.probabilities))


@functools.cache
def popularities() -> tuple[Popularity, ...]:
    return tuple(map(_popularity, CATEGORICALS))


def _popularity(name: str) -> Popularity:
    """Power laws between the known shares of the 1, 10, 100 and 1,000 most popular.

    Within a segment the slope is that towards the next one, at most `_STEEPEST`
    (the next may be empty) and less where the second value would be as popular as
    the first. The last slope is the one at which the
    column's share of unseen values comes out, or where none is known its number of
    distinct values.
    """
    figures = criteo_statistics()["categorical"][name]
    end = figures["vocabulary_size"] + 1
    tops = {2: "top1", 11: "top10", 101: "top100", 1001: "top1000"}
    edges = [1, *(edge for edge in tops if edge < end), end]
    shares = [0.0, *(figures[tops[edge]] for edge in edges[1:-1]), 1.0]
    middles = np.sqrt(np.multiply(edges[:-1], edges[1:]))
    density = np.maximum(np.diff(shares), 1e-12) / np.diff(edges)
    slopes = -np.diff(np.log(density)) / np.diff(np.log(middles))
    slopes = np.minimum(slopes, _STEEPEST)
    if len(slopes) > 1:
        slopes[1] = min(slopes[1], _steepest(shares[1], shares[2]))

    def joined(last_slope: float) -> Popularity:
        pieces = [
            _power_law(edges[i], edges[i + 1], shares[i], shares[i + 1], slope)
            for i, slope in enumerate([*slopes, last_slope])
        ]
        probabilities, log_ranks = np.concatenate(pieces, axis=1)
        return Popularity(probabilities, log_ranks)

    unseen = criteo_statistics()["unseen_on_last_day"].get(name)
    if unseen is not None:
        return _bisect(joined, lambda p: _unseen_share(p, figures["missing"]) - unseen)
    if end > 1001:
        distinct = figures["distinct_per_100k"]
        return _bisect(
            joined, lambda p: _num_distinct(p, figures["missing"]) - distinct
        )
    return joined(1.0)


def _steepest(top1: float, top10: float) -> float:
    """The slope over ranks 2 … 10 at which the second has 0.9 of the first's share."""
    slopes = np.linspace(0, _STEEPEST, 35)
    ranks = np.arange(2, 11)[:, None] ** -slopes
    second = (top10 - top1) * ranks[0] / ranks.sum(axis=0)
    return float(slopes[second <= 0.9 * top1].max(initial=0))


def _power_law(
    start: int, stop: int, share_start: float, share_stop: float, slope: float
) -> Array:
    """Knots (2, 24) of density ∝ rank**-slope between two known points.

    The 1e-9 keeps a slope of 1, where the integral is a logarithm, off 0 / 0.
    """
    log_ranks = np.linspace(math.log(start), math.log(stop), 24)
    mass = np.expm1((1 - slope + 1e-9) * (log_ranks - log_ranks[0]))
    shares = share_start + (share_stop - share_start) * mass / mass[-1]
    return np.stack([shares, log_ranks])


def _unseen_share(popularity: Popularity, missing: float) -> float:
    """The share of last-day ids that the days before do not hold, as expected.

    Σ p · (1 - p)**n over ranks, and those that change hands on that day.
    """
    days = criteo_statistics()["days"]
    num_seen = _DESIGN_ROWS * (1 - 1 / days) * (1 - missing)
    rank, num_ranks, p = _bands(popularity)
    new = np.where(rank > STEADY, TURNOVER / (days - 1), 0)
    return float(np.sum(num_ranks * p * (new + (1 - new) * np.exp(-num_seen * p))))


def _num_distinct(popularity: Popularity, missing: float) -> float:
    """How many distinct ids 100,000 rows hold, as expected."""
    _, num_ranks, p = _bands(popularity)
    return float(np.sum(num_ranks * -np.expm1(-100_000 * (1 - missing) * p)))


def _bands(popularity: Popularity) -> tuple[Array, Array, Array]:
    """First rank, number of ranks and probability of one, over narrow bands."""
    log_edges = np.linspace(0, popularity.log_ranks[-1], 4000)
    mass = np.diff(np.interp(log_edges, popularity.log_ranks, popularity.probabilities))
    rank, num_ranks = np.exp(log_edges[:-1]), np.diff(np.exp(log_edges))
    return rank, num_ranks, mass / num_ranks


def _bisect(
    make: Callable[[float], Popularity], excess: Callable[[Popularity], float]
) -> Popularity:
    """The popularity whose slope makes `excess`, which falls with it, vanish."""
    low, high = 0.0, 6.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(make(middle)) > 0 else (low, middle)
    return make((low + high) / 2)
