"""pipelines/block_verification.py: every damage is found, and named."""

import tempfile

import numpy as np
import pytest
import tensorflow as tf
from written_blocks import copy_of, write_weighted

from smelu_tf.pipelines import (
    Batch,
    Categorical,
    Numeric,
    Schema,
    block_errors,
    read_blocks,
    verify_blocks,
    write_blocks,
)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    return write_weighted(tmp_path_factory.mktemp("weighted"))


def test_every_damaged_byte_is_found(tmp_path):
    schema = Schema("s", (Numeric("x"),), (Categorical("c", buckets=9),))
    features = {
        "numeric": np.array([[1, 0], [0, 1], [2, 0]], np.float32),
        "ids": np.array([[8], [0], [3]], np.int32),
    }
    batch = Batch(features, np.array([0, 1, 1], np.float32), np.ones(3, np.float32))
    folder = tmp_path / "blocks"
    write_blocks([batch], schema, folder, rows_per_block=1, blocks_per_shard=2)
    assert verify_blocks(folder).num_rows == 3
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        assert len(content) > 50
        for place in range(len(content)):
            for mask in (1 << place % 8, 0xFF):
                damaged = bytearray(content)
                damaged[place] ^= mask
                path.write_bytes(damaged)
                with pytest.raises(ValueError, match=path.name):
                    verify_blocks(folder)
        path.write_bytes(content)
    verify_blocks(folder)


def test_reading_names_the_damaged_block(weighted, tmp_path):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "shard-00002.blocks"
    content = path.read_bytes()
    size = len(content) // 4
    dataset = read_blocks(folder, batch_size=50)
    places = {8: 0, 0: 0, 11: 0, 12: 0, size - 1: 0, size + 40: 1, len(content) - 1: 3}
    for place, block in places.items():
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"00002\.blocks, block {8 + block}: exp"):
            with block_errors(folder):
                list(dataset)


def record(content):
    """A record as TFRecord frames it."""
    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            writer.write(content)
        return file.read()


@pytest.mark.parametrize("kind", ["order", "fingerprint", "length", "short", "version"])
def test_a_whole_record_that_is_another_is_named(weighted, tmp_path, kind):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "shard-00001.blocks"
    content = path.read_bytes()
    size = len(content) // 4
    blocks = [content[i * size : (i + 1) * size] for i in range(4)]
    body = blocks[1][12:-4]
    if kind == "order":
        blocks[1], blocks[2] = blocks[2], blocks[1]
    if kind == "fingerprint":
        blocks[1] = record(body[:24] + b"\0" + body[25:])
    if kind == "version":
        blocks[1] = record(body[:8] + b"\2" + body[9:])
    if kind == "length":  # the file's size stays
        blocks[1] = record(body[:-1])
        blocks[2] = record(blocks[2][12:-4] + b"\0")
    if kind == "short":
        blocks[1] = record(body[:5])
        blocks[2] = record(blocks[2][12:-4] + bytes(len(body) - 5))
    path.write_bytes(b"".join(blocks))
    assert path.stat().st_size == len(content)
    with pytest.raises(
        ValueError, match=r"00001\.blocks, block 5: expected the length"
    ):
        with block_errors(folder):
            list(read_blocks(folder, batch_size=50))


def test_a_change_that_leaves_every_block_readable_is_found(weighted, tmp_path):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "shard-00005.blocks"
    body = path.read_bytes()[12:-4]
    path.write_bytes(record(body[:-1] + bytes([body[-1] ^ 1])))  # the last label
    assert len(list(read_blocks(folder, batch_size=50))) == 21
    with pytest.raises(ValueError, match=r"00005\.blocks: expected the sha256"):
        verify_blocks(folder)


def test_other_errors_pass_through(weighted):
    with pytest.raises(tf.errors.InvalidArgumentError), block_errors(weighted[1]):
        tf.debugging.Assert(False, ["another"])
