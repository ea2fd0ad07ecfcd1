"""models/training_rows.py: text or blocks, in any order, and on from any place."""

import dataclasses
import shutil

import pytest
import small_runs
import tensorflow as tf
from same_weights import assert_same_weights

from smelu_tf.models import train
from smelu_tf.models.training_rows import TrainingRows
from smelu_tf.pipelines import open_rows, read_blocks

SMALL = small_runs.CROSSED


def test_training_on_blocks_is_training_on_the_text(small_run, small_blocks, tmp_path):
    result, _ = small_run
    got = train(SMALL, small_blocks, tmp_path / "model")
    assert got.progressive == result.progressive
    assert_same_weights(got.model, result.model)


def test_a_run_on_blocks_goes_on_without_reading_what_it_has_learned(
    small_run, small_blocks, tmp_path, monkeypatch
):
    small_runs.interrupt(10_000, SMALL, small_blocks, tmp_path / "model")
    starts = []

    def read(*args, start, **kwargs):
        starts.append(start)
        return read_blocks(*args, start=start, **kwargs)

    monkeypatch.setattr("smelu_tf.pipelines.sources.read_blocks", read)
    result = train(SMALL, small_blocks, tmp_path / "model")
    assert starts[0] > 8000
    assert result.progressive == small_run[0].progressive


def test_of_a_tpu_s_batches_which_are_whole_any_may_be_the_first(
    small_run, small_blocks, monkeypatch
):
    monkeypatch.setattr("smelu_tf.models.training_rows.is_tpu", lambda: True)
    data = dataclasses.replace(SMALL.data, epochs=3, batch_size=5000)
    config = dataclasses.replace(SMALL, data=data)
    rows = TrainingRows(open_rows(small_blocks), config, small_run[0].model, "")
    means = [float(tf.reduce_mean(batch.label)) for batch in rows.batches(0)]
    assert len(means) == 9  # three of the 18,000 rows' four batches a pass
    assert means[:3] == means[3:6] and len(set(means)) == 3
    for first in range(10):
        left = [float(tf.reduce_mean(batch.label)) for batch in rows.batches(first)]
        assert left == means[first:]


SHUFFLED = dataclasses.replace(
    SMALL, data=dataclasses.replace(SMALL.data, epochs=2, shuffle=True, shuffle_seed=3)
)


def test_shuffled_epochs_end_with_the_same_bits_wherever_they_stop(
    small_run, small_blocks, tmp_path
):
    whole = train(SHUFFLED, small_blocks, tmp_path / "whole")
    assert whole.progressive["num_examples"] == 2 * 18_000
    in_the_second_pass = 25_000
    small_runs.interrupt(
        in_the_second_pass, SHUFFLED, small_blocks, tmp_path / "stopped"
    )
    again = train(SHUFFLED, small_blocks, tmp_path / "stopped")
    assert again.progressive == whole.progressive
    assert_same_weights(again.model, whole.model)
    # Another order than the text's.
    assert whole.progressive["log_loss"] != small_run[0].progressive["log_loss"]


def test_a_data_service_s_workers_read_every_row_once(small_blocks, tmp_path):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.removeprefix("grpc://")
    workers = [service.WorkerServer(service.WorkerConfig(address)) for _ in range(2)]
    got = train(SMALL, small_blocks, tmp_path / "model", data_service=dispatcher.target)
    assert got.progressive["num_examples"] == 18_000
    assert len(workers) == 2


def test_what_takes_blocks_is_refused_of_text(criteo_dir, tmp_path):
    with pytest.raises(ValueError, match=r"expected a folder of blocks .* row files"):
        train(SHUFFLED, criteo_dir / "day_0.tsv", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_blocks_that_are_others_or_damaged_are_refused(small_blocks, tmp_path):
    config = small_runs.hashed(SMALL, tmp_path)
    with pytest.raises(ValueError, match="which differs in C1.buckets"):
        train(config, small_blocks, tmp_path / "model")
    damaged = shutil.copytree(small_blocks, tmp_path / "damaged")
    shard = damaged / "shard-00000.blocks"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match="shard-00000.blocks, block .*a whole block"):
        train(SMALL, damaged, tmp_path / "model")
