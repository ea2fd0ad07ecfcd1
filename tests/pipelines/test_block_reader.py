"""pipelines/block_reader.py: batches come back bit for bit, from any row."""

import dataclasses

import pytest
from same_bits import assert_same_bits
from written_blocks import (
    NUMERIC,
    SCHEMA,
    SCHEMAS,
    SIZES,
    batches_of,
    copy_of,
    cut,
    read_whole,
    write_rows,
    write_weighted,
)

from smelu_tf.pipelines import read_blocks, read_text, write_blocks


@pytest.fixture(scope="module", params=SCHEMAS)
def data(request, tmp_path_factory):
    """A schema, and its rows as one batch of NumPy arrays."""
    schema = SCHEMAS[request.param]
    return schema, read_whole(tmp_path_factory.mktemp("text"), schema)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    return write_weighted(tmp_path_factory.mktemp("weighted"))


@pytest.mark.parametrize("rows_per_block", [1, 64, 1003, 4096])
@pytest.mark.parametrize("batch_size", [64, 100, 5000])
def test_batches_come_back_bit_for_bit(data, tmp_path, rows_per_block, batch_size):
    schema, batch = data
    write_blocks(
        batches_of(batch, 117),
        schema,
        tmp_path,
        rows_per_block=rows_per_block,
        blocks_per_shard=300,
    )
    dataset = read_blocks(tmp_path, schema, batch_size)
    received = list(dataset.as_numpy_iterator())
    expected = batches_of(batch, batch_size)
    assert len(received) == len(expected)
    for ours, theirs in zip(received, expected, strict=True):
        assert_same_bits(ours, theirs)


def test_the_dataset_has_the_structure_of_the_text_reader(data, tmp_path):
    schema, batch = data
    path = write_rows(tmp_path / "rows.tsv", schema, 10)
    write_blocks([batch], schema, tmp_path / "blocks", **SIZES)
    expected = read_text(path, schema, 50).element_spec
    assert read_blocks(tmp_path / "blocks", batch_size=50).element_spec == expected
    assert read_blocks(tmp_path / "blocks", batch_size=60).element_spec == expected


@pytest.mark.parametrize("batch_size", [50, 70])
@pytest.mark.parametrize(
    "start, stop",
    [
        (0, 1),
        (49, 51),
        (50, 100),
        (200, None),
        (777, 1003),
        (1003, None),
        (401, 950),
        (5, 5),
    ],
)
def test_reading_starts_and_stops_at_any_row(weighted, start, stop, batch_size):
    batch, folder = weighted
    dataset = read_blocks(folder, None, batch_size, start=start, stop=stop)
    received = list(dataset.as_numpy_iterator())
    for ours, theirs in zip(
        received, batches_of(cut(batch, start, stop), batch_size), strict=True
    ):
        assert_same_bits(ours, theirs)


def test_what_lies_before_the_start_is_not_read(weighted, tmp_path):
    batch, folder = weighted
    folder = copy_of(folder, tmp_path / "blocks")
    for name, place in ("shard-00000.blocks", 100), ("shard-00001.blocks", 100):
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 1
        (folder / name).write_bytes(content)
    (received,) = read_blocks(folder, None, 753, start=250).as_numpy_iterator()
    assert_same_bits(received, cut(batch, 250, None))


@pytest.mark.parametrize("start, stop", [(-1, None), (5, 4), (0, 1004), (1004, None)])
def test_rows_that_are_not_there_are_refused(weighted, start, stop):
    with pytest.raises(ValueError, match="expected 0 <= start <= stop <= 1003 rows"):
        read_blocks(weighted[1], start=start, stop=stop)


def test_another_schema_is_refused_with_what_differs(weighted):
    other = dataclasses.replace(SCHEMA, seed=1, numeric=NUMERIC[:1], fields=())
    with pytest.raises(
        ValueError, match="differs in the numeric columns .*, fields, seed"
    ):
        read_blocks(weighted[1], other)
    read_blocks(weighted[1], dataclasses.replace(SCHEMA, name="renamed"))
