"""Writes blocks, and goes on where an interrupted writer stopped."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from .batching import check_positive
from .block_format import encode, pack
from .block_layout import id_slots, row_dtype
from .block_reader import read_in_order
from .block_statistics import Tally
from .files import replacing, writing
from .manifest import (
    MANIFEST,
    Manifest,
    Shard,
    empty_manifest,
    sha256_of,
    shard_name,
)
from .schema import Schema
from .transform import Batch


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

    Examples:
        >>> batches = read_blocks("blocks", batch_size=1000)  # six of them
        >>> def killed(batches):
        ...     yield from batches.take(5)
        ...     raise KeyboardInterrupt
        >>> sizes = {"rows_per_block": 1000, "blocks_per_shard": 2}
        >>> schema = read_manifest("blocks").schema
        >>> try:
        ...     BlockWriter("copy", schema, **sizes).write(killed(batches))
        ... except KeyboardInterrupt:
        ...     writer = BlockWriter("copy", schema, **sizes, resume=True)
        >>> writer.num_rows  # in whole shards
        4000
        >>> writer.write(batches.skip(4)).num_rows
        6000
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
        names = (".shard-*.partial", f".{MANIFEST}.*.partial")
        unfinished = [path for name in names for path in self._folder.glob(name)]
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
        blocks = read_in_order(self._folder, longer, start, longer.num_rows)
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
        shard = Shard(path.name, num_blocks, num_rows, size, sha256_of(path))
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

    Examples:
        >>> schema = read_manifest("blocks").schema
        >>> batches = read_text("clicks/day_6.tsv", schema, 400)
        >>> manifest = write_blocks(batches, schema, "last_day", rows_per_block=250)
        >>> manifest.num_rows, manifest.num_blocks
        (1000, 4)
    """
    writer = BlockWriter(
        folder,
        schema,
        rows_per_block=rows_per_block,
        blocks_per_shard=blocks_per_shard,
    )
    return writer.write(batches)
