"""The ids of generated values: who holds a popularity rank on a day."""

from __future__ import annotations

import functools

import numpy as np

from .generator_world import (
    CATEGORICALS,
    NUM_CATEGORICALS,
    STEADY,
    TURNOVER,
    Array,
    criteo_statistics,
)


def ids_of(ranks: Array, day: Array) -> Array:
    """The ids of ranks on their day: uint32 (26, rows), distinct over all columns.

    In columns with an unseen share, a `TURNOVER` of the ranks is held by a new
    value from some later day on.
    """
    keys = ranks.astype(np.uint32) << 5  # the rank in 26 bits, the column in 5
    keys |= np.arange(1, NUM_CATEGORICALS + 1, dtype=np.uint32)[:, None]
    turning = _turning_columns()
    chance = _mix(keys[turning] ^ np.uint32(0x9E3779B9)) / 2**32  # fixed for a rank
    first_day = 1 + chance * (criteo_statistics()["days"] - 1) / TURNOVER
    new = (day >= np.floor(first_day)) & (ranks[turning] >= STEADY)
    keys[turning] |= new.astype(np.uint32) << 31
    return _mix(keys)


@functools.cache
def _turning_columns() -> Array:
    unseen = criteo_statistics()["unseen_on_last_day"]
    return np.flatnonzero([name in unseen for name in CATEGORICALS])


def _mix(x: Array) -> Array:
    """A bijection of uint32 whose outputs look random (C. Wellons, lowbias32)."""
    x = x ^ (x >> 16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> 15
    x *= np.uint32(0x846CA68B)
    x ^= x >> 16
    return x
