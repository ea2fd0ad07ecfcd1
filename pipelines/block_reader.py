"""Reads blocks into batches, from any row, in order or shuffled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .batching import check_positive
from .block_format import FRAME, checked, record_size, rows_of, to_batch
from .manifest import Manifest, read_manifest, shard_paths
from .order import (
    BlockRange,
    Shuffle,
    shard_ranges,
    shuffled_places,
    shuffled_ranges,
    window_blocks,
)
from .parallel import in_parallel, unconverted, untuned
from .schema import Schema
from .transform import Batch

_BUFFER = 1 << 18  # bytes that are read at once


def read_blocks(
    folder: str | os.PathLike[str],
    schema: Schema | None = None,
    batch_size: int = 4096,
    *,
    start: int = 0,
    stop: int | None = None,
    shuffle: Shuffle | None = None,
    data_service: str = "",
) -> tf.data.Dataset:
    """Reads rows of a data set of blocks into batches, in order or shuffled.

    Fastest where `batch_size` is the data set's `rows_per_block` and `start` a
    multiple of it. What lies before `start` is not read, of a shuffled order all but
    what shares a window with it.

    Args:
        folder: the data set.
        schema: what the rows are to follow; by default the data set's own.
        batch_size: rows a batch; the last one may have fewer.
        start: the number of the first row, from 0, in the order that is read.
        stop: one past the number of the last row; by default all are read.
        shuffle: a random order; by default rows come as they were written.
        data_service: the address of a `tf.data` service's dispatcher
            (`grpc://host:port`), whose workers read and decode, and which must see the
            folder. Each row comes once as long as no worker fails; the order is no
            longer kept, and with it what `start` means.

    Returns:
        A dataset of `Batch`, as `read_text` gives it, bit for bit. A damaged block is
        an error of TensorFlow's; inside `with block_errors(folder):` a ValueError.

    Raises:
        ValueError: another schema, a manifest that is damaged or of an unknown version,
            a shard that is absent or has another size, a batch size below 1, not
            0 <= start <= stop <= rows of the data set, or a `stop` before the last row
            of a shuffled order.

    Examples:
        >>> batches = read_blocks("blocks", batch_size=2048)
        >>> [len(batch.label) for batch in batches]
        [2048, 2048, 1904]
        >>> rest = read_blocks("blocks", batch_size=2048, start=2 * 2048)
        >>> [len(batch.label) for batch in rest]
        [1904]
    """
    check_positive("batch_size", batch_size)
    manifest = read_manifest(folder)
    if schema is not None:
        difference = schema.difference(manifest.schema)
        check_schema(folder, schema, manifest.schema, difference)
    stop = manifest.num_rows if stop is None else stop
    if not 0 <= start <= stop <= manifest.num_rows:
        raise ValueError(
            f"{folder}: expected 0 <= start <= stop <= {manifest.num_rows} rows, "
            f"received start={start}, stop={stop}."
        )
    if shuffle is not None:
        if stop < manifest.num_rows:
            raise ValueError(
                f"{folder}: expected stop={manifest.num_rows}, all rows, of a shuffled "
                f"order, received stop={stop}."
            )
        batches = _read_shuffled(
            folder, manifest, start, batch_size, shuffle, data_service
        )
        window = window_blocks(shuffle, manifest.rows_per_block)
        unit = window * manifest.rows_per_block
        is_batched = unit % batch_size == 0
    else:
        batches = read_in_order(folder, manifest, start, stop, data_service)
        unit = manifest.rows_per_block
        is_batched = unit == batch_size
    if not is_batched or start % batch_size or data_service:
        batches = batches.rebatch(batch_size)
    return untuned(batches.prefetch(4))


def read_in_order(
    folder: str | os.PathLike[str],
    manifest: Manifest,
    start: int,
    stop: int,
    data_service: str = "",
) -> tf.data.Dataset:
    """Rows start … stop - 1, the batches being blocks."""
    size = manifest.blocks_per_shard
    ranges = shard_ranges(manifest.num_blocks, size, size)
    blocks = _read_ranges(folder, manifest, ranges, start, stop)

    def batch_of(begin: tf.Tensor, rows: dict[str, tf.Tensor]) -> Batch:
        inside = slice(tf.maximum(start - begin, 0), stop - begin)
        return to_batch({name: rows[name][inside] for name in rows}, manifest)

    batches = in_parallel(blocks, batch_of)
    return _through_service(batches, data_service)


def _read_shuffled(
    folder: str | os.PathLike[str],
    manifest: Manifest,
    start: int,
    batch_size: int,
    shuffle: Shuffle,
    data_service: str,
) -> tf.data.Dataset:
    """Rows from number `start` on of a shuffled order.

    Batches have `batch_size` rows where windows are whole numbers of them. The workers
    of a `tf.data` service read the blocks; windows are made here, of what they send.
    """
    size = manifest.rows_per_block
    ranges = shuffled_ranges(
        shuffle, manifest.num_blocks, manifest.blocks_per_shard, size
    )
    window_size = window_blocks(shuffle, size) * size
    first, skipped = divmod(start, window_size)
    blocks = _read_ranges(
        folder, manifest, ranges, first * window_size, manifest.num_rows
    )
    blocks = _through_service(blocks.map(lambda begin, rows: rows), data_service)
    windows = blocks.rebatch(window_size)

    def with_places(window: tf.Tensor, rows: dict[str, tf.Tensor]) -> tuple[Any, ...]:
        num_rows = tf.shape(rows["label"])[0]
        places = shuffled_places(shuffle, window, num_rows)
        return rows, places[tf.where(window == first, skipped, 0) :]

    @unconverted
    def batches_of(rows: dict[str, tf.Tensor], places: tf.Tensor) -> tf.data.Dataset:
        def batch_of(begin: tf.Tensor) -> Batch:
            own = places[begin : begin + batch_size]
            return to_batch({n: tf.gather(rows[n], own) for n in rows}, manifest)

        begins = tf.data.Dataset.range(0, tf.size(places, tf.int64), batch_size)
        return in_parallel(begins, batch_of)

    placed = in_parallel(windows.enumerate(first), with_places)
    return placed.prefetch(1).flat_map(batches_of)


def _through_service(dataset: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """The dataset as the workers of a `tf.data` service make it, if there is one."""
    if not address:
        return dataset
    policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    return dataset.apply(tf.data.experimental.service.distribute(policy, address))


def _read_ranges(
    folder: str | os.PathLike[str],
    manifest: Manifest,
    ranges: Sequence[BlockRange],
    start: int,
    stop: int,
) -> tf.data.Dataset:
    """The blocks that hold rows start … stop - 1: first row's number, and `rows_of`.

    Rows are counted in the order of the ranges, which hold all blocks.
    """
    paths = tf.constant(shard_paths(folder, manifest), tf.string)
    size = manifest.rows_per_block
    first = np.array([blocks.first for blocks in ranges], np.int64)
    count = np.array([blocks.num_blocks for blocks in ranges], np.int64)
    rows = np.minimum((first + count) * size, manifest.num_rows) - first * size
    # The numbers of the ranges' first rows; a range may begin before `start`.
    begins = np.cumsum([0, *rows[:-1]])
    used = (begins < stop) & (begins + rows > start) & (start < stop)
    skipped = np.maximum(start - begins, 0) // size
    first, count, begins = first + skipped, count - skipped, begins + skipped * size
    count = np.minimum(count, -(-(stop - begins) // size))

    @unconverted
    def records_of(
        first: tf.Tensor, count: tf.Tensor, begin: tf.Tensor
    ) -> tf.data.Dataset:
        shard = first // manifest.blocks_per_shard
        skipped = first - shard * manifest.blocks_per_shard

        # The records before are not even skipped: `skip` would read their headers,
        # and with each of them a whole buffer.
        records = tf.data.experimental.from_variant(
            tf.raw_ops.TFRecordDatasetV2(
                filenames=[paths[shard]],
                compression_type="",
                buffer_size=_BUFFER,
                byte_offsets=[skipped * (record_size(manifest) + FRAME)],
            ),
            tf.TensorSpec([], tf.string),
        ).take(count)
        # A shard that ends early between two records is an error as well.
        whole = records.apply(tf.data.experimental.assert_cardinality(count))
        return whole.enumerate().map(
            lambda i, record: (first + i, begin + i * size, record)
        )

    def decoded(index: tf.Tensor, begin: tf.Tensor, record: tf.Tensor) -> Any:
        num_rows = tf.minimum(manifest.num_rows - index * size, size)
        path = paths[index // manifest.blocks_per_shard]
        record = checked(record, num_rows, index, path, manifest)
        return begin, rows_of(record, num_rows, manifest)

    sources = tuple(array[used] for array in (first, count, begins))
    records = tf.data.Dataset.from_tensor_slices(sources).flat_map(records_of)
    return in_parallel(records, decoded)


def check_schema(
    folder: str | os.PathLike[str], expected: Schema, received: Schema, difference: str
) -> None:
    """Raises a ValueError where blocks differ from the schema that is asked for."""
    if difference:
        raise ValueError(
            f"{os.fspath(folder)}: expected blocks of the schema {expected.name}, "
            f"received blocks of {received.name}, which differs in {difference}. "
            "Name the schema that they were converted by (in the scripts: "
            "--config.data.schema)."
        )
