"""pipelines/block_writer.py: interrupted writers go on to the same bytes."""

import dataclasses

import pytest
from written_blocks import (
    SCHEMA,
    SIZES,
    batches_of,
    copy_of,
    cut,
    files_of,
    write_weighted,
)

from smelu_tf.pipelines import BlockWriter, Categorical, Schema, write_blocks


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    return write_weighted(tmp_path_factory.mktemp("weighted"))


def interrupted(batches, number):
    yield from batches[:number]
    raise KeyError("interrupted")


@pytest.mark.parametrize("number", [0, 1, 5, 6, 11, 18, 34])
def test_an_interrupted_writer_goes_on_to_the_same_bytes(weighted, tmp_path, number):
    batch, expected = weighted
    batches = batches_of(batch, 30)
    with pytest.raises(KeyError):
        write_blocks(interrupted(batches, number), SCHEMA, tmp_path, **SIZES)
    finished = 30 * number // 200
    full = {f"shard-{i:05}.blocks" for i in range(finished)}
    assert {path.name for path in tmp_path.iterdir()} == full
    if full:
        with pytest.raises(ValueError, match="expected a folder without blocks"):
            write_blocks(batches, SCHEMA, tmp_path, **SIZES)
    writer = BlockWriter(tmp_path, SCHEMA, resume=True, **SIZES)
    assert writer.num_rows == finished * 200
    writer.write(batches_of(cut(batch, writer.num_rows, None), 77))
    assert files_of(tmp_path) == files_of(expected)


@pytest.mark.parametrize("kind", ["damaged", "absent", "truncated", "short", "foreign"])
def test_only_good_shards_are_kept(weighted, tmp_path, kind):
    batch, expected = weighted
    folder = copy_of(expected, tmp_path / "blocks")
    (folder / "manifest.json").unlink()
    (folder / ".shard-00005.blocks.1.partial").touch()
    (folder / ".manifest.json.1.partial").touch()
    path = folder / "shard-00002.blocks"
    content = bytearray(path.read_bytes())
    kept = 400
    if kind == "damaged":
        content[-20] ^= 1
        path.write_bytes(content)
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "absent":
        path.unlink()
    elif kind == "short":  # the last shard has no full block
        kept = 1000
    else:
        path = folder / "shard-00000.blocks"
        other = dataclasses.replace(SCHEMA, seed=1)
        write_blocks([cut(batch, 0, 200)], other, tmp_path / "other", **SIZES)
        path.write_bytes((tmp_path / "other" / path.name).read_bytes())
        kept = 0
    writer = BlockWriter(folder, SCHEMA, resume=True, **SIZES)
    assert writer.num_rows == kept
    assert len(list(folder.iterdir())) == kept // 200
    writer.write([cut(batch, kept, None)])
    assert files_of(folder) == files_of(expected)


def test_a_finished_data_set_is_not_written_to(weighted):
    with pytest.raises(ValueError, match="expected a folder without blocks"):
        BlockWriter(weighted[1], SCHEMA, resume=True, **SIZES)


def test_no_rows_are_an_error_and_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="expected rows to write, received none"):
        write_blocks([], SCHEMA, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["rows_per_block", "blocks_per_shard"])
def test_numbers_below_one_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: expected 1 or more, received 0"):
        BlockWriter(tmp_path, SCHEMA, **{name: 0})


def test_a_schema_that_is_not_counted_is_refused(tmp_path):
    schema = Schema("s", (), (Categorical("c", min_count=2),))
    with pytest.raises(ValueError, match="not counted yet"):
        BlockWriter(tmp_path, schema)
