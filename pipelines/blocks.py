"""Blocks: finished batches on disk, for training at scale.

A data set is a folder of shards, which are TFRecord files of one record a block, and
a manifest. A block holds some thousand rows; `block_format` says how.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .block_format import (
    FRAME,
    MANIFEST,
    Manifest,
    Shard,
    checked,
    empty_manifest,
    encode,
    id_slots,
    pack,
    read_manifest,
    record_size,
    row_dtype,
    rows_of,
    to_batch,
)
from .block_statistics import Tally
from .files import reading, replacing, writing
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


class BlockWriter:
    """Writes blocks, and goes on where an interrupted writer stopped.

    A shard gets its name when it is whole, the manifest comes last. The files do not
    depend on interruptions or on the sizes of batches; memory holds one block.

    Args:
        folder: where the data set goes, made if absent.
        schema: the schema of the batches, its vocabularies counted.
        rows_per_block: rows of a block: the batch size that is fastest to read.
        blocks_per_shard: blocks of a shard.
        resume: keeps the shards that an interrupted writer of the same settings has
            finished: each is read and checked. What comes after the last good one is
            removed.

    Raises:
        ValueError: the folder holds a finished data set or, without `resume`, shards;
            a number below 1; a vocabulary is not counted.

    Example:
        >>> writer = BlockWriter("blocks", schema, resume=True)
        >>> batches = read_text(files, schema, 4096).skip(writer.num_rows // 4096)
        >>> manifest = writer.write(batches)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        schema: Schema,
        *,
        rows_per_block: int = 4096,
        blocks_per_shard: int = 256,
        resume: bool = False,
    ) -> None:
        check_positive("rows_per_block", rows_per_block)
        check_positive("blocks_per_shard", blocks_per_shard)
        self._folder = Path(folder)
        self._manifest = empty_manifest(schema, rows_per_block, blocks_per_shard)
        self._tally = Tally(schema, id_slots(schema, self._manifest.layout))
        present = sorted(self._folder.glob("shard-*.blocks"))
        if (self._folder / MANIFEST).exists() or (present and not resume):
            raise ValueError(
                f"{folder}: expected a folder without blocks to write to, "
                "received one that holds some."
            )
        while self._keep_next():
            pass
        kept = {shard.name for shard in self._manifest.shards}
        # Of a writer that was killed.
        unfinished = list(self._folder.glob(".shard-*.partial"))
        for path in unfinished + [path for path in present if path.name not in kept]:
            path.unlink()

    @property
    def num_rows(self) -> int:
        """Rows that the folder holds: `write` expects those after them."""
        return self._manifest.num_rows

    def write(self, batches: Iterable[Batch]) -> Manifest:
        """Writes the rows that are left, and the manifest.

        Args:
            batches: the rows from number `num_rows` on, in batches of any sizes.

        Raises:
            ValueError: there is no row at all, or a batch does not fit the schema.
            OSError: a file cannot be written.
        """
        blocks = self._blocks(batches)
        for block in blocks:
            rest = itertools.islice(blocks, self._manifest.blocks_per_shard - 1)
            self._write_shard(itertools.chain([block], rest))
        if not self.num_rows:
            raise ValueError(f"{self._folder}: expected rows to write, received none.")
        statistics = self._tally.result()
        manifest = dataclasses.replace(self._manifest, statistics=statistics)
        with replacing(self._folder / MANIFEST) as temporary:
            temporary.write_bytes(manifest.to_json())
        return manifest

    def _blocks(self, batches: Iterable[Batch]) -> Iterator[np.ndarray]:
        """The packed rows of batches of any sizes, `rows_per_block` at a time."""
        size = self._manifest.rows_per_block
        block, filled = np.empty(size, row_dtype(self._manifest.layout)), 0
        for batch in batches:
            rows = pack(batch, self._manifest)
            while len(rows):
                taken, rows = np.split(rows, [size - filled])
                block[filled : filled + len(taken)] = taken
                filled += len(taken)
                if filled == size:
                    yield block
                    block, filled = np.empty_like(block), 0
        if filled:
            yield block[:filled]

    def _write_shard(self, blocks: Iterable[np.ndarray]) -> None:
        path = self._folder / shard_name(len(self._manifest.shards))
        first = index = self.num_rows // self._manifest.rows_per_block
        num_rows = 0
        with replacing(path) as temporary:
            with writing(path):
                file = tf.io.TFRecordWriter(os.fspath(temporary))
            with file:
                for rows in blocks:
                    with writing(path):
                        file.write(encode(rows, index, self._manifest))
                    self._tally.add(rows)
                    index += 1
                    num_rows += len(rows)
                with writing(path):
                    file.flush()
        self._manifest = self._with_shard(path, index - first, num_rows)

    def _keep_next(self) -> bool:
        """Counts the next shard in if it is there, full and undamaged."""
        num_blocks = self._manifest.blocks_per_shard
        first = len(self._manifest.shards) * num_blocks
        path = self._folder / shard_name(len(self._manifest.shards))
        if not path.is_file():
            return False
        num_rows = num_blocks * self._manifest.rows_per_block
        longer = self._with_shard(path, num_blocks, num_rows)
        start = first * longer.rows_per_block
        blocks = _read_in_order(self._folder, longer, start, longer.num_rows)
        try:
            for _ in blocks:  # all of them, before one is counted
                pass
        except tf.errors.OpError:
            return False
        for batch in blocks.as_numpy_iterator():
            self._tally.add(pack(batch, longer))
        self._manifest = longer
        return True

    def _with_shard(self, path: Path, num_blocks: int, num_rows: int) -> Manifest:
        size = path.stat().st_size
        shard = Shard(path.name, num_blocks, num_rows, size, _sha256_of(path))
        return dataclasses.replace(
            self._manifest,
            num_rows=self.num_rows + num_rows,
            shards=(*self._manifest.shards, shard),
        )


def write_blocks(
    batches: Iterable[Batch],
    schema: Schema,
    folder: str | os.PathLike[str],
    *,
    rows_per_block: int = 4096,
    blocks_per_shard: int = 256,
) -> Manifest:
    """Writes batches of any sizes as a new data set of blocks.

    Args:
        batches: the rows, as `read_text` gives them.
        schema: their schema.
        folder: where the data set goes; neither a manifest nor a shard may be there.
        rows_per_block: rows of a block: the batch size that is fastest to read.
        blocks_per_shard: blocks of a shard.

    Returns:
        The manifest.

    Raises:
        ValueError: as `BlockWriter` and its `write`.
        OSError: a file cannot be written.

    Example:
        >>> write_blocks(read_text("day_*.tsv", schema, 4096), schema, "blocks")
    """
    writer = BlockWriter(
        folder,
        schema,
        rows_per_block=rows_per_block,
        blocks_per_shard=blocks_per_shard,
    )
    return writer.write(batches)


def is_blocks(path: Any) -> bool:
    """Whether a path is a folder of blocks that is complete; a list of files is not."""
    return isinstance(path, str | os.PathLike) and (Path(path) / MANIFEST).is_file()


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

    Example:
        >>> dataset = read_blocks("blocks", schema, start=step * 4096)
        >>> with block_errors("blocks"):
        ...     model.fit(dataset)
    """
    check_positive("batch_size", batch_size)
    manifest = read_manifest(folder)
    if schema is not None:
        _check_schema(folder, schema, manifest.schema)
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
        batches = _read_in_order(folder, manifest, start, stop, data_service)
        unit = manifest.rows_per_block
        is_batched = unit == batch_size
    if not is_batched or start % batch_size or data_service:
        batches = batches.rebatch(batch_size)
    return untuned(batches.prefetch(4))


@contextlib.contextmanager
def block_errors(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turns TensorFlow's error about a damaged block into a ValueError that names it.

    Args:
        folder: the data set that is read inside.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r"BlockError: (.*?\.)\]", error.message)
        if found is None:
            raise
        raise ValueError(found[1]) from None
    except tf.errors.DataLossError as error:
        # TensorFlow names the place, but not the file: look there in each of them.
        found = re.search(r"record at (\d+)", error.message)
        if found is None:
            raise
        manifest = read_manifest(folder)
        place = int(found[1]) // (record_size(manifest) + FRAME)
        for number, path in enumerate(_paths(folder, manifest)):
            index = number * manifest.blocks_per_shard + place
            with reading(f"{path}, block {index}", "a whole block"):
                list(tf.data.TFRecordDataset(path).skip(place).take(1))
        raise


def verify_blocks(folder: str | os.PathLike[str]) -> Manifest:
    """Reads all of a data set: every byte is as it was written.

    Returns:
        The manifest.

    Raises:
        ValueError: a file is absent or damaged; says which, and what was expected.
    """
    manifest = read_manifest(folder)
    paths = _paths(folder, manifest)
    for shard, path in zip(manifest.shards, paths, strict=True):
        sha256 = _sha256_of(path)
        if sha256 != shard.sha256:
            raise ValueError(
                f"{path}: expected the sha256 {shard.sha256}, received {sha256}."
            )
    # The bytes are the writer's; that they are blocks, in order, the headers tell.
    with block_errors(folder):
        for _ in read_blocks(folder, batch_size=manifest.rows_per_block):
            pass
    return manifest


def _read_in_order(
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
    paths = tf.constant(_paths(folder, manifest), tf.string)
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


def shard_name(number: int) -> str:
    """The name of a shard's file."""
    return f"shard-{number:05}.blocks"


def _paths(folder: str | os.PathLike[str], manifest: Manifest) -> list[str]:
    """The paths of the shards; a ValueError if one is absent or of another size."""
    paths = [os.path.join(folder, shard.name) for shard in manifest.shards]
    for path, shard in zip(paths, manifest.shards, strict=True):
        is_file = os.path.isfile(path)
        received = f"{os.path.getsize(path)} bytes" if is_file else "none"
        if received != f"{shard.num_bytes} bytes":
            raise ValueError(
                f"{path}: expected a shard of {shard.num_bytes} bytes, "
                f"received {received}."
            )
    return paths


def _check_schema(
    folder: str | os.PathLike[str], expected: Schema, received: Schema
) -> None:
    difference = expected.difference(received)
    if difference:
        raise ValueError(
            f"{os.fspath(folder)}: expected blocks of the schema {expected.name}, "
            f"received blocks of {received.name}, which differs in {difference}."
        )


def check_positive(name: str, value: int) -> None:
    """Raises a ValueError where a number is below 1."""
    if value < 1:
        raise ValueError(f"{name}: expected 1 or more, received {value}.")


def _sha256_of(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
