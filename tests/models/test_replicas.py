"""models/replicas.py: models side by side, each as it would be alone."""

import dataclasses
import gc

import numpy as np
import pytest
import small_rows
import tensorflow as tf

from smelu_tf.models import (
    BinaryMetrics,
    DataConfig,
    OptimizerConfig,
    Replicas,
    TrainConfig,
    TrainOptions,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
    train,
    with_seed,
)
from smelu_tf.models.learner import Learner
from smelu_tf.models.replicas import ReplicaPool
from smelu_tf.pipelines import CRITEO, InMemoryRows, open_rows

CONFIG = small_rows.CONFIG
ROWS = small_rows.make_rows(330)


def replicas_of(*configs):
    return Replicas(configs, small_rows.SCHEMA)


def variant(config, seed=0, **model):
    model = dataclasses.replace(config.model, **model)
    return with_seed(dataclasses.replace(config, model=model), seed)


VARIANTS = [
    CONFIG,
    variant(CONFIG, seed=1),
    variant(CONFIG, seed=1, activation="relu"),
    variant(CONFIG, seed=2, hidden_units=(6, 4), dropout=0.2),
]


def _ref_trained(config, rows, batch_size):
    """The model that learns batch by batch, eagerly, and its figures."""
    model = WideDeep(small_rows.SCHEMA, config.model, config.train.seed)
    optimizer = WideDeepOptimizer.of(config.optimizer)
    learner = Learner(model, optimizer, BinaryMetrics())
    for batch in rows.batches(batch_size):
        _, predicted = learner.learn(batch, tf.size(batch.label))
        learner.count(predicted)
    return model, learner.metrics


@pytest.fixture(scope="module")
def trained():
    replicas = replicas_of(*VARIANTS)
    told = []
    replicas.train(ROWS.batches(32), told.append)
    return replicas, told


@pytest.mark.parametrize("i", range(len(VARIANTS)))
def test_each_ends_where_it_would_have_ended_alone(trained, i):
    replicas, _ = trained
    alone, metrics = _ref_trained(VARIANTS[i], ROWS, 32)
    for a, b in zip(replicas.models[i].get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    figures, expected = replicas.metrics[i].figures(), metrics.figures()
    assert figures == pytest.approx(expected, rel=1e-4)
    assert figures["num_examples"] == len(ROWS)


def test_logits_are_those_of_every_model_for_every_row(trained):
    replicas, _ = trained
    test = small_rows.make_rows(70, seed=3)
    logits = replicas.logits(test.batches(32))
    assert logits.shape == (len(VARIANTS), 70) and logits.dtype == np.float32
    for model, logit in zip(replicas.models, logits, strict=True):
        expected = model(test.features, training=False).numpy().ravel()
        np.testing.assert_allclose(logit, expected, rtol=1e-5, atol=1e-6)
    assert len(np.unique(logits[:, 0])) == len(VARIANTS)


def test_progress_counts_every_batch_once(trained):
    _, told = trained
    assert sum(told) == 11 and max(told) <= 4  # steps_per_execution


def test_training_goes_on_where_it_was(trained):
    replicas = replicas_of(CONFIG)
    replicas.train(ROWS[:160].batches(32))
    replicas.train(ROWS[160:].batches(32))
    whole = trained[0].models[0].get_weights()
    for a, b in zip(replicas.models[0].get_weights(), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_one_that_diverges_ends_all_with_a_reason():
    optimizer = OptimizerConfig(learning_rate=1e6)
    wild = dataclasses.replace(CONFIG, optimizer=optimizer)
    replicas = replicas_of(CONFIG, wild)
    message = r"received .* within \d+ batches; the training diverged"
    with pytest.raises(ArithmeticError, match=message):
        replicas.train(ROWS.batches(32))


def test_a_loss_that_is_no_number_ends_the_training():
    rows = small_rows.make_rows(96)
    rows.features["numeric"][40] = np.nan
    with pytest.raises(ArithmeticError, match="expected a finite loss, received nan"):
        replicas_of(CONFIG).train(rows.batches(32))


def test_bad_configurations_are_refused():
    with pytest.raises(ValueError, match="configs: expected one or more"):
        replicas_of()
    with pytest.raises(ValueError, match="model.embedding_dim: expected an integer"):
        replicas_of(CONFIG, variant(CONFIG, embedding_dim=0))


def test_with_seed_changes_the_seed_alone():
    changed = with_seed(CONFIG, 7)
    assert changed.train.seed == 7 and CONFIG.train.seed == 0
    assert with_seed(changed, 0) == CONFIG


@pytest.mark.slow
def test_a_replica_is_the_model_that_train_trains(criteo_dir, tmp_path):
    config = TrainConfig(
        data=DataConfig(batch_size=128),
        model=WideDeepConfig(embedding_dim=2, hidden_units=(8,)),
        train=TrainOptions(steps_per_execution=6),
    )
    path = criteo_dir / "day_0.tsv"
    alone = train(config, path, tmp_path / "model").model
    schema = open_rows(path).complete(CRITEO)
    replicas = Replicas([with_seed(config, 5), config], schema)
    replicas.train(InMemoryRows.read(open_rows(path), schema).batches(128))
    for a, b in zip(replicas.models[1].get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def with_rates(config, rate, wide_rate):
    optimizer = dataclasses.replace(
        config.optimizer, learning_rate=rate, wide_learning_rate=wide_rate
    )
    return dataclasses.replace(config, optimizer=optimizer)


@pytest.mark.slow
def test_replicas_begun_anew_are_as_new_ones():
    masked = variant(CONFIG, unknown_rate=0.2)
    first = [with_seed(masked, seed) for seed in (0, 1)]
    second = [with_seed(with_rates(masked, 0.02, 0.1), seed) for seed in (5, 6)]
    pool = ReplicaPool(small_rows.SCHEMA)
    replicas = pool.begin(first)
    for configs in (first, second):
        assert pool.begin(configs) is replicas
        fresh = replicas_of(*configs)
        for each in (replicas, fresh):
            each.train(ROWS.batches(64))
        logits, expected = (r.logits(ROWS.batches(64)) for r in (replicas, fresh))
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
        for metrics, others in zip(replicas.metrics, fresh.metrics, strict=True):
            assert metrics.figures() == pytest.approx(others.figures(), rel=1e-4)


@pytest.mark.parametrize(
    "before, after",
    [
        (CONFIG, variant(CONFIG, activation="relu")),
        (CONFIG, variant(CONFIG, embedding_dim=3)),
        (variant(CONFIG, dropout=0.2), variant(CONFIG, dropout=0.2, seed=1)),
    ],
)
def test_other_models_take_another_compiled_step(before, after):
    pool = ReplicaPool(small_rows.SCHEMA)
    replicas = pool.begin([before])
    with pytest.raises(ValueError, match="expected those of before"):
        replicas.restart([after])
    assert pool.begin([after]) is not replicas


def test_models_may_be_prepared_before_they_are_trained():
    """Also those of a compiled step that is used again."""

    def prepare(model):
        table = model.deep.embeddings[0].table
        table.assign(tf.fill(table.shape, 0.5))

    pool = ReplicaPool(small_rows.SCHEMA, prepare)
    for configs in ([CONFIG], [with_seed(CONFIG, 1)]):
        replicas = pool.begin(configs)
        (model,) = replicas.models
        assert np.all(model.deep.embeddings[0].table.numpy() == 0.5)
        replicas.train(ROWS.batches(64))
        assert np.any(model.deep.embeddings[0].table.numpy() != 0.5)


@pytest.mark.slow
def test_models_that_are_no_more_leave_no_graph():
    def num_operations():
        gc.collect()
        graphs = [item for item in gc.get_objects() if isinstance(item, tf.Graph)]
        return sum(len(graph.get_operations()) for graph in graphs)

    pool = ReplicaPool(small_rows.SCHEMA)
    counts = []
    for activation in ("smelu:1", "relu", "smelu:1"):
        replicas = pool.begin([variant(CONFIG, activation=activation)])
        replicas.train(ROWS.batches(64))
        replicas.logits(ROWS.batches(64))
        del replicas
        counts.append(num_operations())
    assert counts[2] < counts[0] + 20  # a step has hundreds
