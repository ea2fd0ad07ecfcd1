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

_CHUNK = 16_384  # rows that stay together in the first step
_MAX_WINDOW = 1 << 30  # rows' places fit into int32


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """A random order of the rows, the same for the same numbers.

    Attributes:
        seed: another seed, another order.
        epoch: the pass: each has an order of its own.
        window: rows that are shuffled in themselves, rounded up to whole blocks:
            what memory holds, twice or thrice.

    Raises:
        ValueError: a number that is out of its range.

    Examples:
        >>> first, second = (
        ...     next(iter(read_blocks("blocks", shuffle=Shuffle(seed=1, epoch=epoch))))
        ...     for epoch in (0, 1)
        ... )
        >>> bool(tf.reduce_all(first.features["ids"] == second.features["ids"]))
        False
    """

    seed: int = 0
    epoch: int = 0
    window: int = 65_536

    def __post_init__(self) -> None:
        for name, least, most in (
            ("seed", 0, None),
            ("epoch", 0, None),
            ("window", 2, _MAX_WINDOW),
        ):
            value = getattr(self, name)
            if value < least or (most is not None and value > most):
                limits = f"of {least} or more" if most is None else f"{least} to {most}"
                raise ValueError(
                    f"shuffle: expected {name} {limits}, received {value}."
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
    """The first step: chunks of blocks in a random order.

    The data set's last block, which may have fewer rows, stays the last, so that all
    windows but the last have the same number of rows.
    """
    max_blocks = max(_CHUNK // rows_per_block, 1)
    ranges = shard_ranges(num_blocks - 1, blocks_per_shard, max_blocks)
    # Bit generators keep their streams from version to version; `permutation` does not.
    keys = np.random.Philox(key=_key(shuffle, step=0)).random_raw(len(ranges))
    order = [ranges[i] for i in np.argsort(keys, kind="stable")]
    return [*order, BlockRange(num_blocks - 1, 1)]


def window_blocks(shuffle: Shuffle, rows_per_block: int) -> int:
    """The blocks of a window: as few as hold its rows."""
    return -(-shuffle.window // rows_per_block)


def shuffled_places(
    shuffle: Shuffle, window: tf.Tensor, num_rows: tf.Tensor
) -> tf.Tensor:
    """The second step: the numbers of a window's rows in a random order, int32.

    Args:
        shuffle: says how.
        window: the window's number, int64.
        num_rows: the window's rows.
    """
    key = np.array([_key(shuffle, step=1)], np.uint64).view(np.int64)[0]
    keys = tf.random.stateless_uniform(
        tf.reshape(num_rows, [1]),
        tf.stack([key, window]),
        minval=None,
        maxval=None,
        dtype=tf.int32,
        alg="philox",
    )
    return tf.argsort(keys, stable=True)


def _key(shuffle: Shuffle, step: int) -> int:
    """A number of 64 bits that seeds a step of a pass."""
    sequence = np.random.SeedSequence([shuffle.seed, shuffle.epoch, step])
    return int(sequence.generate_state(1, np.uint64)[0])
