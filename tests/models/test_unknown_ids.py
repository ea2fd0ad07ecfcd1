"""models/unknown_ids.py: known values taken for unknown ones, in training only."""

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.models import OptimizerConfig, TrainConfig, WideDeep, WideDeepConfig
from smelu_tf.models.replicas import Replicas, with_seed
from smelu_tf.models.unknown_ids import UnknownIds
from smelu_tf.pipelines import Batch, Categorical, Numeric, Schema

LETTERS = tuple("abcdefgh")
SCHEMA = Schema(
    "letters",
    numeric=(Numeric("age", binned=True),),
    categorical=(
        Categorical("site", vocabulary=LETTERS),
        Categorical("page", vocabulary=LETTERS, oov_buckets=3),
        Categorical("user", buckets=50),
    ),
)


def all_ids(num_rows=30_000):
    random = np.random.default_rng(0)
    return np.stack(
        [random.integers(n, size=num_rows) for n in SCHEMA.num_ids], axis=1
    ).astype("i4")


def test_a_part_of_the_known_values_becomes_unknown_and_nothing_else_changes():
    ids = all_ids()
    taken = UnknownIds(0.3, SCHEMA)(tf.constant(ids), training=True).numpy()
    site, page = ids[:, 0] > 1, ids[:, 1] > 3
    changed = taken != ids
    np.testing.assert_array_equal(taken[changed[:, 0], 0], 1)
    assert {*taken[changed[:, 1], 1]} == {1, 2, 3}
    assert np.mean(changed[site, 0]) == pytest.approx(0.3, abs=0.02)
    assert np.mean(changed[page, 1]) == pytest.approx(0.3, abs=0.02)
    assert not changed[~site, 0].any()
    assert not changed[~page, 1].any()
    assert not changed[:, 2:].any()  # hashed, and bins: they know every value


def test_scoring_takes_ids_as_they_are():
    ids = tf.constant(all_ids(100))
    layer = UnknownIds(0.9, SCHEMA)
    np.testing.assert_array_equal(layer(ids), ids)
    np.testing.assert_array_equal(layer(ids, training=False), ids)
    assert int(layer.num_calls) == 0


def test_a_rate_out_of_range_is_refused():
    with pytest.raises(ValueError, match="rate: expected 0 <= rate < 1, received 1"):
        UnknownIds(1, SCHEMA)
    with pytest.raises(ValueError, match=r"model.unknown_rate: expected 0 <= rate < 1"):
        WideDeepConfig(unknown_rate=1.0).validate()


def batches(ids, label):
    features = {"numeric": np.zeros([len(ids), 2], "f"), "ids": ids}
    batch = Batch(features, label.astype("f"), np.ones(len(ids), "f"))
    return tf.data.Dataset.from_tensor_slices(batch).batch(64)


def test_a_value_never_seen_gets_the_mean_of_those_seen():
    """Without the rate its row stays where it began, and so does its logit."""
    ids = all_ids(8000)
    ids[:, 0] = np.maximum(ids[:, 0], 2)
    label = np.random.default_rng(1).random(len(ids)) < 0.8
    unknown = ids[:1].copy()
    unknown[:, 0] = 1
    logits = []
    for rate in (0.0, 0.2):
        config = TrainConfig(
            model=WideDeepConfig(deep=False, unknown_rate=rate),
            optimizer=OptimizerConfig(wide_learning_rate=0.5),
        )
        replicas = Replicas([config], SCHEMA)
        replicas.train(batches(ids, label))
        table = replicas.models[0].wide.ids.table.numpy()[:, 0]
        logits.append((table[1], np.mean(table[2:10])))
    (silent, _), (learned, mean) = logits
    assert silent == 0.0
    assert learned == pytest.approx(mean, abs=0.3)
    assert learned > 0.1


def test_models_of_all_seeds_meet_the_same_values():
    """What is taken for unknown is no difference between retrained models."""
    config = TrainConfig(model=WideDeepConfig(deep=False, unknown_rate=0.5))
    replicas = Replicas([with_seed(config, seed) for seed in (1, 2)], SCHEMA)
    ids = all_ids(500)
    data = batches(ids, ids[:, 0] > 4)
    replicas.train(data)
    first, second = replicas.logits(data)
    np.testing.assert_array_equal(first, second)


def test_a_model_counts_its_calls_in_its_checkpoint(tmp_path):
    config = WideDeepConfig(hidden_units=(4,), unknown_rate=0.5)
    model, restored = WideDeep(SCHEMA, config), WideDeep(SCHEMA, config)
    features = {"numeric": tf.zeros([4, 2]), "ids": tf.constant(all_ids(4))}
    model(features, training=True)
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    tf.train.Checkpoint(model=restored).restore(path).assert_consumed()
    expected = model(features, training=True)
    np.testing.assert_array_equal(restored(features, training=True), expected)
