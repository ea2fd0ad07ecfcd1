"""The order in which rows are read, as a function of seed, epoch and position.

A shuffled pass has two steps. *Chunks* of consecutive blocks are put into a random
order. In the rows' sequence that results, every *window* of some hundred thousand rows
is shuffled in itself. Both are functions of (seed, epoch) alone, so that a pass goes on
at any position without reading what lies before the position's window.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from .transform import Batch

_CHUNK = 16_384  # rows that stay together in the first step


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """A random order of the rows, the same for the same numbers.

    Attributes:
        seed: another seed, another order.
        epoch: the pass: each has an order of its own.
        window: rows that are shuffled in themselves: what memory holds, twice or
            thrice.

    Example:
        >>> first = read_blocks("blocks", shuffle=Shuffle(seed=1))
        >>> second = read_blocks("blocks", shuffle=Shuffle(seed=1, epoch=1))
    """

    seed: int = 0
    epoch: int = 0
    window: int = 262_144

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("epoch", 0), ("window", 2)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(
                    f"shuffle: expected {name} of {least} or more, received {value}."
                )


@dataclasses.dataclass(frozen=True)
class BlockRange:
    """Consecutive blocks of one shard: block numbers of the data set."""

    first: int
    num_blocks: int


def shard_ranges(
    num_blocks: int, blocks_per_shard: int, max_blocks: int
) -> list[BlockRange]:
    """All blocks in order, in ranges of at most `max_blocks` that cross no shard."""
    ranges = []
    for begin in range(0, num_blocks, blocks_per_shard):
        end = min(begin + blocks_per_shard, num_blocks)
        for first in range(begin, end, max_blocks):
            ranges.append(BlockRange(first, min(max_blocks, end - first)))
    return ranges


def shuffled_ranges(
    shuffle: Shuffle, num_blocks: int, blocks_per_shard: int, rows_per_block: int
) -> list[BlockRange]:
    """The first step: chunks of blocks in a random order."""
    max_blocks = max(_CHUNK // rows_per_block, 1)
    ranges = shard_ranges(num_blocks, blocks_per_shard, max_blocks)
    # Bit generators keep their streams from version to version; `permutation` does not.
    keys = np.random.Philox(key=_key(shuffle, step=0)).random_raw(len(ranges))
    return [ranges[i] for i in np.argsort(keys, kind="stable")]


def shuffled_windows(
    batches: tf.data.Dataset, shuffle: Shuffle, first_window: int, skipped: int
) -> tf.data.Dataset:
    """The second step: each window's rows in a random order.

    Args:
        batches: the rows from the beginning of a window on, in batches of any sizes.
        shuffle: says how.
        first_window: the number of that window.
        skipped: rows of the shuffled first window that are left out.

    Returns:
        A dataset of `Batch`, one a window.
    """
    key = np.array([_key(shuffle, step=1)], np.uint64).view(np.int64)[0]

    def shuffled(index: tf.Tensor, window: Batch) -> Batch:
        shape = tf.shape(window.label)[:1]
        seed = tf.stack([key, index])
        keys = tf.random.stateless_uniform(
            shape, seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
        )
        order = tf.argsort(keys, stable=True)
        order = tf.cond(index == first_window, lambda: order[skipped:], lambda: order)
        return tf.nest.map_structure(lambda rows: tf.gather(rows, order), window)

    windows = batches.rebatch(shuffle.window).enumerate(first_window)
    # Two at a time: each holds a window's rows twice.
    return windows.map(shuffled, num_parallel_calls=2, deterministic=True)


def _key(shuffle: Shuffle, step: int) -> int:
    """A number of 64 bits that seeds a step of a pass."""
    sequence = np.random.SeedSequence([shuffle.seed, shuffle.epoch, step])
    return int(sequence.generate_state(1, np.uint64)[0])
