"""What a variable is, as its name tells: the part and the tower that it is of."""

from __future__ import annotations

import re

import tensorflow as tf


def is_wide(var: tf.Variable) -> bool:
    """Whether a variable is of a wide part."""
    # Below `wide/` but not below `deep/`: the model itself may be called either.
    return re.search(r"(^|/)wide/(?!(.*/)?deep/)", var.name) is not None


def is_table(var: tf.Variable) -> bool:
    """Whether a variable is the table of a `StackedEmbedding`."""
    return re.search(r"/table(/part_\d+)?(:\d+)?$", var.name) is not None


def tower_of(var: tf.Variable) -> str:
    """The tower whose tables are its own that a variable belongs to."""
    found = re.search(r"(^|/)(tower_\d+)/(wide|deep)/", var.name)
    return "" if found is None else found[2]
