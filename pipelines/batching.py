"""Batches of one size, the last one of a pass, and each worker's part of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeVar

import tensorflow as tf

from .parallel import unconverted, untuned
from .transform import Batch

T = TypeVar("T")
LastBatch = Literal["keep", "pad", "drop"]


def batched(chunks: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Batches of so many rows out of batches of any sizes; the last may have fewer.

    Raises:
        ValueError: a batch size below 1.
    """
    check_positive("batch_size", batch_size)
    return untuned(chunks.rebatch(batch_size).prefetch(4))


def check_positive(name: str, value: int) -> None:
    """Raises a ValueError where a number is below 1."""
    if value < 1:
        raise ValueError(f"{name}: expected 1 or more, received {value}.")


def followed(
    items: Iterable[T],
    size_of: Callable[[T], int],
    progress: Callable[[int], None] | None,
    done: int = 0,
) -> Iterator[T]:
    """The items, telling after each how many rows are done.

    Args:
        items: batches, or other pieces of the rows.
        size_of: the rows of an item.
        progress: is called with the rows done so far.
        done: rows done before.
    """
    for item in items:
        yield item
        done += size_of(item)
        if progress is not None:
            progress(done)


def with_last_batch(
    batches: tf.data.Dataset, batch_size: int, last_batch: LastBatch
) -> tf.data.Dataset:
    """Says what becomes of a last batch that is not full.

    Args:
        batches: a dataset of `Batch`, all of `batch_size` rows but the last one.
        batch_size: rows a batch.
        last_batch: `keep`: it has fewer rows. `pad`: rows of weight 0 fill it up, which
            count in no loss and no figure. `drop`: it is left out, with its rows. With
            `pad` and `drop` all batches have the static shape (batch_size, …).

    Returns:
        A dataset of `Batch`.

    Raises:
        ValueError: `last_batch` is none of these.

    Examples:
        >>> batches = read_blocks("blocks", batch_size=4000)  # of 6000 rows
        >>> for batch in with_last_batch(batches, 4000, "pad"):
        ...     print(len(batch.label), batch.weight.numpy().sum())
        4000 4000.0
        4000 2000.0
    """
    if last_batch == "keep":
        return batches
    if last_batch not in ("pad", "drop"):
        raise ValueError(
            f"last_batch: expected keep, pad or drop, received {last_batch!r}."
        )

    @unconverted
    def padded(batch: Batch) -> Batch:
        missing = batch_size - tf.shape(batch.label)[0]

        def fill(values: tf.Tensor) -> tf.Tensor:
            widths = [[0, missing], *([0, 0] for _ in values.shape[1:])]
            return tf.pad(values, widths)

        return tf.nest.map_structure(fill, batch)

    @unconverted
    def whole(batch: Batch) -> Batch:
        return tf.nest.map_structure(
            lambda values: tf.ensure_shape(values, [batch_size, *values.shape[1:]]),
            batch,
        )

    if last_batch == "pad":
        return batches.map(padded).map(whole)
    full = batches.filter(lambda batch: tf.shape(batch.label)[0] == batch_size)
    return full.map(whole)


def for_worker(
    batches: tf.data.Dataset, worker: int, num_workers: int
) -> tf.data.Dataset:
    """One worker's rows: its part of every batch.

    The batches are those of all workers together, so that position and loss curve do
    not depend on their number; every worker has as many batches as the others, of
    which some may be empty. Turn off `tf.distribute`'s own sharding
    (`tf.data.experimental.AutoShardPolicy.OFF`).

    Args:
        batches: a dataset of `Batch`.
        worker: which one, from 0.
        num_workers: how many there are.

    Returns:
        A dataset of `Batch`.

    Raises:
        ValueError: not 0 <= worker < num_workers.

    Examples:
        >>> batches = read_blocks("blocks", batch_size=4000)  # of 6000 rows
        >>> [len(batch.label) for batch in for_worker(batches, 0, num_workers=3)]
        [1333, 666]
        >>> [len(batch.label) for batch in for_worker(batches, 1, num_workers=3)]
        [1333, 667]
    """
    if not 0 <= worker < num_workers:
        raise ValueError(
            f"worker: expected 0 <= worker < num_workers, received worker {worker} "
            f"of {num_workers}."
        )
    if num_workers == 1:
        return batches

    @unconverted
    def part(batch: Batch) -> Batch:
        size = tf.shape(batch.label)[0]
        begin, end = size * worker // num_workers, size * (worker + 1) // num_workers
        return tf.nest.map_structure(lambda values: values[begin:end], batch)

    return batches.map(part)


def for_replicas(
    batches: tf.data.Dataset, first: int, count: int, num_replicas: int
) -> tf.data.Dataset:
    """The parts of every batch that some of the replicas of a strategy train on.

    As of `for_worker`, batches are those of all replicas together. Beside each part
    comes the number of rows of the whole batch: a loss that is summed and divided by it
    has, added up over replicas, the gradient of the batch's mean, however uneven the
    parts are. Where batches have a static size that the replicas share evenly, so have
    the parts.

    Args:
        batches: a dataset of `Batch`.
        first: the first of the replicas, from 0.
        count: how many they are: their parts come one after another.
        num_replicas: how many replicas there are in all.

    Returns:
        A dataset of (`Batch`, int32 scalar).

    Examples:
        >>> batches = read_blocks("blocks", batch_size=4000)  # of 6000 rows
        >>> parts = for_replicas(batches, first=0, count=2, num_replicas=2)
        >>> [(len(batch.label), int(num_rows)) for batch, num_rows in parts]
        [(2000, 4000), (2000, 4000), (1000, 2000), (1000, 2000)]
    """

    @unconverted
    def parts(batch: Batch) -> tf.data.Dataset:
        size = tf.shape(batch.label)[0]

        @unconverted
        def part(replica: tf.Tensor) -> tuple[Batch, tf.Tensor]:
            begin = size * replica // num_replicas
            end = size * (replica + 1) // num_replicas

            def own(values: tf.Tensor) -> tf.Tensor:
                rows, num_rows = values[begin:end], values.shape[0]
                if num_rows is not None and num_rows % num_replicas == 0:
                    static = [num_rows // num_replicas, *values.shape[1:]]
                    rows = tf.ensure_shape(rows, static)
                return rows

            return tf.nest.map_structure(own, batch), size

        return tf.data.Dataset.range(first, first + count, output_type=tf.int32).map(
            part
        )

    if num_replicas == 1:
        return batches.map(unconverted(lambda batch: (batch, tf.shape(batch.label)[0])))
    return batches.flat_map(parts)


def sample_negatives(
    batches: tf.data.Dataset, rate: float, seed: int, first: int = 0
) -> tf.data.Dataset:
    """Leaves out rows of label 0, but for a part of them.

    Which ones is a function of the seed, the batch's number and the row's place in it:
    a run that goes on meets the same rows. Batches get smaller.

    Args:
        batches: a dataset of `Batch`.
        rate: the part that is kept, 0 < rate <= 1.
        seed: of the choice.
        first: the number of the first batch.

    Returns:
        A dataset of `Batch`. A model that is trained on it predicts odds that are
        1 / rate times too high.

    Raises:
        ValueError: not 0 < rate <= 1.

    Examples:
        >>> batches = read_blocks("blocks", batch_size=6000)
        >>> (all_rows,), (some,) = batches, sample_negatives(batches, 0.5, seed=1)
        >>> clicks = int(tf.reduce_sum(all_rows.label))
        >>> int(tf.reduce_sum(some.label)) == clicks
        True
        >>> abs((len(some.label) - clicks) / (6000 - clicks) - 0.5) < 0.05
        True
    """
    if not 0 < rate <= 1:
        raise ValueError(f"rate: expected 0 < rate <= 1, received {rate}.")
    if rate == 1:
        return batches

    @unconverted
    def sampled(number: tf.Tensor, batch: Batch) -> Batch:
        drawn = tf.random.stateless_uniform(
            tf.shape(batch.label), tf.stack([tf.constant(seed, tf.int64), number])
        )
        kept = (batch.label > 0) | (drawn < rate)
        return tf.nest.map_structure(lambda v: tf.boolean_mask(v, kept), batch)

    return batches.enumerate(first).map(sampled)
