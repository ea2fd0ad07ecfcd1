"""Shuffled reading: every row once, in an order that seed, epoch and position make."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf.pipelines import (
    Batch,
    Categorical,
    Schema,
    Shuffle,
    block_errors,
    read_blocks,
    write_blocks,
)
from smelu_tf.pipelines.order import BlockRange, shard_ranges, shuffled_ranges

SCHEMA = Schema("rows", (), (Categorical("row", buckets=100_000),))
NUM_ROWS = 3007
WINDOW = 704  # 44 blocks


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    """Rows whose id is their number."""
    folder = tmp_path_factory.mktemp("order") / "blocks"
    rows = np.arange(NUM_ROWS, dtype=np.int32)
    features = {"numeric": np.zeros((NUM_ROWS, 0), np.float32), "ids": rows[:, None]}
    batch = Batch(features, rows % 2, np.ones(NUM_ROWS, np.float32))
    write_blocks([batch], SCHEMA, folder, rows_per_block=16, blocks_per_shard=50)
    return folder


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr("smelu_tf.pipelines.order._CHUNK", 64)


def rows_of(dataset):
    parts = [batch.features["ids"][:, 0] for batch in dataset.as_numpy_iterator()]
    return np.concatenate(parts) if parts else np.zeros(0, np.int32)


def shuffled(blocks, batch_size=100, start=0, **numbers):
    shuffle = Shuffle(**{"window": WINDOW, **numbers})
    return rows_of(
        read_blocks(blocks, SCHEMA, batch_size, start=start, shuffle=shuffle)
    )


def test_every_row_comes_once_and_far_from_its_place(blocks):
    order = shuffled(blocks)
    assert sorted(order) == list(range(NUM_ROWS))
    assert abs(np.corrcoef(order, np.arange(NUM_ROWS))[0, 1]) < 0.2
    # Neighbours do not stay neighbours, as they would without the second step.
    assert np.mean(np.abs(np.diff(order)) < 16) < 0.1
    # Nor is a window made of one piece of the data, as without the first.
    assert np.ptp(order[:WINDOW]) > 2 * WINDOW


def test_the_same_numbers_give_the_same_order_and_others_another(blocks):
    order = shuffled(blocks, seed=5)
    np.testing.assert_array_equal(shuffled(blocks, 333, seed=5), order)
    for other in ({"seed": 6}, {"seed": 5, "epoch": 1}, {"seed": 5, "window": 705}):
        assert np.mean(shuffled(blocks, **other) == order) < 0.05


@pytest.mark.parametrize("start", [0, 64, 100, 704, 3000])
@pytest.mark.parametrize("batch_size", [64, 100, 704, 5000])
def test_all_batches_but_the_last_are_full(blocks, start, batch_size):
    shuffle = Shuffle(window=WINDOW)
    batches = read_blocks(blocks, SCHEMA, batch_size, start=start, shuffle=shuffle)
    sizes = [len(batch.label) for batch in batches.as_numpy_iterator()]
    full, rest = divmod(NUM_ROWS - start, batch_size)
    assert sizes == [batch_size] * full + [rest] * bool(rest)


def test_a_pass_goes_on_at_any_row(blocks):
    orders = [shuffled(blocks, seed=seed) for seed in range(2)]

    @settings(max_examples=8, deadline=None)
    @given(start=st.integers(0, NUM_ROWS), seed=st.integers(0, 1))
    def check(start, seed):
        got = shuffled(blocks, 64, start, seed=seed)
        np.testing.assert_array_equal(got, orders[seed][start:])

    check()


@settings(max_examples=10, deadline=None)
@given(ends=st.tuples(st.integers(0, NUM_ROWS), st.integers(0, NUM_ROWS)))
def test_any_part_of_the_rows_in_order(blocks, ends):
    start, stop = sorted(ends)
    rows = rows_of(read_blocks(blocks, SCHEMA, 50, start=start, stop=stop))
    np.testing.assert_array_equal(rows, np.arange(start, stop))


def test_what_lies_before_the_window_is_not_read(blocks, tmp_path):
    """A pass that starts late does not see that an early block is damaged."""
    shuffle = Shuffle(window=WINDOW)
    order = shuffled(blocks)
    first_block = order[: WINDOW // 2] // 16
    only_early = [b for b in first_block if b not in order[WINDOW:] // 16]
    damaged = int(only_early[0])
    folder = tmp_path / "blocks"
    folder.mkdir()
    for path in blocks.iterdir():
        content = bytearray(path.read_bytes())
        if path.name == f"shard-{damaged // 50:05}.blocks":
            size = len(content) // 50 if damaged // 50 < 3 else (32 + 5 * 16) + 16
            content[(damaged % 50) * size + 40] ^= 1
        (folder / path.name).write_bytes(content)
    with pytest.raises(ValueError, match=f"block {damaged}"), block_errors(folder):
        rows_of(read_blocks(folder, SCHEMA, 64, shuffle=shuffle))
    late = read_blocks(folder, SCHEMA, 64, start=WINDOW, shuffle=shuffle)
    np.testing.assert_array_equal(rows_of(late), order[WINDOW:])


@given(
    num_blocks=st.integers(1, 300),
    blocks_per_shard=st.integers(1, 70),
    rows_per_block=st.sampled_from([1, 10, 63, 64, 65, 1000]),
)
def test_ranges_hold_every_block_once_and_cross_no_shard(
    num_blocks, blocks_per_shard, rows_per_block
):
    ranges = shuffled_ranges(Shuffle(3), num_blocks, blocks_per_shard, rows_per_block)
    parts = [range(r.first, r.first + r.num_blocks) for r in ranges]
    assert sorted(b for part in parts for b in part) == list(range(num_blocks))
    for part in parts:
        assert part[0] // blocks_per_shard == part[-1] // blocks_per_shard
        assert len(part) * rows_per_block <= max(64, rows_per_block)
    # The last block, which may have fewer rows, stays the last.
    assert ranges[-1] == BlockRange(num_blocks - 1, 1)
    assert sorted(ranges[:-1], key=lambda r: r.first) == shard_ranges(
        num_blocks - 1, blocks_per_shard, max(64 // rows_per_block, 1)
    )


def test_the_order_does_not_change_from_version_to_version(blocks):
    """Resumed with another NumPy or TensorFlow a run sees the rows that are left."""
    assert shuffled_ranges(Shuffle(1, 2), 20, 20, 64)[:4] == [
        BlockRange(first, 1) for first in FIRST_RANGES
    ]
    assert shuffled(blocks, seed=1, epoch=2)[:8].tolist() == FIRST_ROWS


FIRST_RANGES = [9, 2, 0, 6]
FIRST_ROWS = [1789, 620, 2177, 2056, 2804, 167, 421, 1769]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"seed": -1}, "shuffle: expected seed of 0 or more, received -1"),
        ({"epoch": -1}, "shuffle: expected epoch of 0 or more, received -1"),
        ({"window": 1}, "shuffle: expected window 2 to 1073741824, received 1"),
    ],
)
def test_numbers_that_make_no_order_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        Shuffle(**numbers)


def test_a_part_of_a_shuffled_order_is_refused(blocks):
    with pytest.raises(ValueError, match="expected stop=3007, all rows, of a shuffled"):
        read_blocks(blocks, SCHEMA, stop=5, shuffle=Shuffle())


@pytest.mark.parametrize(
    "shuffle",
    [None, pytest.param(Shuffle(2, window=WINDOW), marks=pytest.mark.slow)],
)
def test_a_data_service_gives_every_row_once(blocks, shuffle):
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.removeprefix("grpc://")
    config = tf.data.experimental.service.WorkerConfig
    workers = [
        tf.data.experimental.service.WorkerServer(
            config(address, heartbeat_interval_ms=50)
        )
        for _ in range(2)
    ]
    batches = read_blocks(
        blocks, SCHEMA, 64, shuffle=shuffle, data_service=dispatcher.target
    )
    sizes = [len(batch.label) for batch in batches.as_numpy_iterator()]
    assert sizes == [64] * 46 + [63]
    assert sorted(rows_of(batches)) == list(range(NUM_ROWS))
    late = read_blocks(
        blocks, SCHEMA, 64, start=1600, shuffle=shuffle, data_service=dispatcher.target
    )
    assert len(rows_of(late)) == NUM_ROWS - 1600
    assert len(workers) == 2


def test_a_shuffle_is_a_value():
    assert dataclasses.replace(Shuffle(1), epoch=2) == Shuffle(1, 2)
