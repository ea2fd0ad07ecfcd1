"""pipelines/batching.py: no row lost or repeated, for any number of workers."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from smelu_tf.pipelines import (
    Batch,
    Categorical,
    Schema,
    Shuffle,
    for_replicas,
    for_worker,
    read_blocks,
    sample_negatives,
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
@pytest.mark.parametrize(
    "batch_size",
    [
        64,
        pytest.param(100, marks=pytest.mark.slow),
        1000,
        pytest.param(2000, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "num_workers",
    [
        1,
        2,
        3,
        pytest.param(4, marks=pytest.mark.slow),
        pytest.param(5, marks=pytest.mark.slow),
    ],
)
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


def in_memory(num_rows, batch_size):
    random = np.random.default_rng(0)
    features = {"ids": np.arange(num_rows, dtype="i4")[:, None]}
    label = (random.random(num_rows) < 0.3).astype("f")
    batch = Batch(features, label, np.ones(num_rows, "f"))
    return tf.data.Dataset.from_tensor_slices(batch).batch(batch_size)


@hypothesis.given(
    num_rows=st.integers(1, 40),
    batch_size=st.integers(1, 12),
    num_replicas=st.integers(1, 5),
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_the_parts_of_all_replicas_are_the_batch(num_rows, batch_size, num_replicas):
    batches = in_memory(num_rows, batch_size)
    parts = iter(for_replicas(batches, 0, num_replicas, num_replicas))
    for batch in batches:
        own = [next(parts) for _ in range(num_replicas)]
        ids = np.concatenate([part.features["ids"] for part, _ in own])
        np.testing.assert_array_equal(ids, batch.features["ids"])
        assert {int(size) for _, size in own} == {len(ids)}
        sizes = [len(part.label) for part, _ in own]
        assert max(sizes) - min(sizes) <= 1
    assert next(parts, None) is None


@pytest.mark.parametrize(("num_replicas", "size"), [(2, 4), (4, 2), (3, None)])
def test_parts_of_batches_of_one_size_have_one_size(num_replicas, size):
    batches = with_last_batch(in_memory(20, 8), 8, "drop")
    parts = for_replicas(batches, 0, num_replicas, num_replicas)
    part, _ = parts.element_spec
    assert part.label.shape.as_list() == [size]
    assert part.features["ids"].shape.as_list()[0] == size
    assert len([*parts]) == 2 * num_replicas


def test_a_worker_s_replicas_get_its_parts():
    batches = in_memory(50, 8)
    every = [part for part, _ in for_replicas(batches, 0, 4, 4)]
    of_workers = [
        [part for part, _ in for_replicas(batches, first, 2, 4)] for first in (0, 2)
    ]
    first, second = (iter(parts) for parts in of_workers)
    for number, part in enumerate(every):
        own = next(first if number % 4 < 2 else second)
        np.testing.assert_array_equal(own.features["ids"], part.features["ids"])


def kept(batches):
    read = [*batches]
    ids = np.concatenate([batch.features["ids"][:, 0] for batch in read])
    return ids, np.concatenate([batch.label for batch in read])


def test_negatives_are_left_out_by_their_place():
    batches = in_memory(4000, 64)
    ids, label = kept(sample_negatives(batches, 0.25, seed=1))
    every, labels = kept(batches)
    assert label.sum() == labels.sum()
    negatives = len(label) - label.sum()
    assert negatives == pytest.approx(0.25 * (labels == 0).sum(), rel=0.1)
    again, _ = kept(sample_negatives(batches, 0.25, seed=1))
    np.testing.assert_array_equal(ids, again)
    other, _ = kept(sample_negatives(batches, 0.25, seed=2))
    assert len(other) != len(ids) or np.any(other != ids)
    # A run that goes on at batch 30 meets the rows that it would have met.
    rest, _ = kept(sample_negatives(batches.skip(30), 0.25, seed=1, first=30))
    np.testing.assert_array_equal(rest, ids[ids >= 30 * 64])
    for rate in (0.0, 1.5):
        with pytest.raises(ValueError, match="expected 0 < rate <= 1"):
            sample_negatives(batches, rate, seed=1)
    assert sample_negatives(batches, 1.0, seed=1) is batches
