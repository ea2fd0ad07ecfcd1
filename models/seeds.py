"""Seeds that follow from a model's own."""

from __future__ import annotations

import numpy as np


def tower_seed(seed: int, tower: int) -> int:
    """The seed of a tower: the first one's is the model's, the others' follow from it.

    Ensembles of neighbouring seeds have no tower in common.

    Args:
        seed: the model's, 0 or more.
        tower: its number, from 0.

    Examples:
        >>> [tower_seed(7, tower) for tower in range(3)]
        [7, 369571992, 1009178997]
    """
    if tower == 0:
        return seed
    return int(np.random.SeedSequence((seed, tower)).generate_state(1)[0])
