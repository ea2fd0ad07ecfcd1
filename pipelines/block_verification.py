"""Damaged blocks: found, and named."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import tensorflow as tf

from .block_format import FRAME, record_size
from .block_reader import read_blocks
from .files import reading
from .manifest import Manifest, read_manifest, sha256_of, shard_paths


@contextlib.contextmanager
def block_errors(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turns TensorFlow's error about a damaged block into a ValueError that names it.

    Args:
        folder: the data set that is read inside.

    Raises:
        ValueError: a block that is read inside is damaged; other errors pass.

    Examples:
        >>> schema = read_manifest("blocks").schema
        >>> _ = write_blocks(read_blocks("blocks"), schema, "damaged")
        >>> with open("damaged/shard-00000.blocks", "r+b") as file:
        ...     _ = file.seek(1000), file.write(b"?")
        >>> with block_errors("damaged"):
        ...     list(read_blocks("damaged"))
        Traceback (most recent call last):
        ...
        ValueError: damaged/shard-00000.blocks, block 0: expected a whole block, ...
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
        for number, path in enumerate(shard_paths(folder, manifest)):
            index = number * manifest.blocks_per_shard + place
            with reading(f"{path}, block {index}", "a whole block"):
                list(tf.data.TFRecordDataset(path).skip(place).take(1))
        raise


def verify_blocks(folder: str | os.PathLike[str]) -> Manifest:
    """Reads all of a data set: every byte is as it was written.

    Args:
        folder: the data set.

    Returns:
        The manifest.

    Raises:
        ValueError: a file is absent or damaged; says which, and what was expected.

    Examples:
        >>> verify_blocks("blocks").num_rows
        6000
    """
    manifest = read_manifest(folder)
    paths = shard_paths(folder, manifest)
    for shard, path in zip(manifest.shards, paths, strict=True):
        sha256 = sha256_of(path)
        if sha256 != shard.sha256:
            raise ValueError(
                f"{path}: expected the sha256 {shard.sha256}, received {sha256}."
            )
    # The bytes are the writer's; that they are blocks, in order, the headers tell.
    with block_errors(folder):
        for _ in read_blocks(folder, batch_size=manifest.rows_per_block):
            pass
    return manifest
