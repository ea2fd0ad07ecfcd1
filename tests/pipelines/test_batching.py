"""pipelines/batching.py: no row lost or repeated, for any number of workers."""

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.pipelines import (
    Batch,
    Categorical,
    Schema,
    Shuffle,
    for_worker,
    read_blocks,
    with_last_batch,
    write_blocks,
)

SCHEMA = Schema("rows", (), (Categorical("row", buckets=100_000),), weight="w")
NUM_ROWS = 1013


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batching") / "blocks"
    rows = np.arange(NUM_ROWS, dtype=np.int32)
    features = {"numeric": np.zeros((NUM_ROWS, 0), np.float32), "ids": rows[:, None]}
    batch = Batch(features, rows % 2, np.ones(NUM_ROWS, np.float32))
    write_blocks([batch], SCHEMA, folder, rows_per_block=100, blocks_per_shard=3)
    return folder


def rows_and_weights(dataset):
    batches = list(dataset.as_numpy_iterator())
    ids = [batch.features["ids"][:, 0] for batch in batches]
    return np.concatenate(ids), np.concatenate([batch.weight for batch in batches])


@pytest.mark.parametrize("last_batch", ["keep", "pad"])
@pytest.mark.parametrize("batch_size", [64, 100, 1000, 2000])
@pytest.mark.parametrize("num_workers", [1, 2, 3, 4, 5])
def test_workers_see_every_row_once(blocks, num_workers, batch_size, last_batch):
    parts, num_batches = [], []
    for worker in range(num_workers):
        batches = read_blocks(blocks, SCHEMA, batch_size)
        batches = with_last_batch(batches, batch_size, last_batch)
        batches = for_worker(batches, worker, num_workers)
        parts.append(rows_and_weights(batches))
        num_batches.append(len(list(batches)))
    rows = np.concatenate([rows for rows, _ in parts])
    weights = np.concatenate([weights for _, weights in parts])
    assert weights.sum() == NUM_ROWS
    assert sorted(rows[weights > 0]) == list(range(NUM_ROWS))
    assert len(set(num_batches)) == 1
    if last_batch == "pad":
        assert len(rows) == -(-NUM_ROWS // batch_size) * batch_size


def test_a_batch_is_the_parts_of_all_workers_together(blocks):
    whole = read_blocks(blocks, SCHEMA, 64, shuffle=Shuffle(1, window=300))
    parts = [for_worker(whole, worker, 3) for worker in range(3)]
    for batch, *own in zip(whole, *parts, strict=True):
        joined = tf.concat([part.features["ids"] for part in own], axis=0)
        np.testing.assert_array_equal(joined, batch.features["ids"])


def test_the_last_batch_is_dropped_or_filled_up(blocks):
    whole = read_blocks(blocks, SCHEMA, 64)
    dropped = with_last_batch(whole, 64, "drop")
    assert dropped.element_spec.label.shape == (64,)
    rows, weights = rows_and_weights(dropped)
    np.testing.assert_array_equal(rows, np.arange(15 * 64))
    padded = with_last_batch(whole, 64, "pad")
    assert padded.element_spec.features["ids"].shape == (64, 1)
    rows, weights = rows_and_weights(padded)
    assert len(rows) == 1024
    assert rows[NUM_ROWS:].tolist() == weights[NUM_ROWS:].tolist() == [0] * 11
    assert with_last_batch(whole, 64, "keep") is whole


def test_a_full_last_batch_is_kept_as_it_is(blocks):
    for last_batch in ("keep", "pad", "drop"):
        batches = read_blocks(blocks, SCHEMA, 100, stop=300)
        rows, _ = rows_and_weights(with_last_batch(batches, 100, last_batch))
        np.testing.assert_array_equal(rows, np.arange(300))


def test_impossible_settings_are_refused(blocks):
    whole = read_blocks(blocks, SCHEMA, 64)
    with pytest.raises(ValueError, match="expected keep, pad or drop, received 'all'"):
        with_last_batch(whole, 64, "all")
    with pytest.raises(ValueError, match="received worker 3 of 3"):
        for_worker(whole, 3, 3)
