"""models/learner.py: a model with what trains it, one step of it."""

import dataclasses

import numpy as np
import pytest
import small_rows
import tensorflow as tf

from smelu_tf.models import (
    BinaryMetrics,
    DataConfig,
    LossConfig,
    OptimizerConfig,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
)
from smelu_tf.models.codistillation import Codistillation
from smelu_tf.models.learner import Learner

SHAPE = WideDeepConfig(embedding_dim=4, hidden_units=(8,), crosses=("site*kind",))


def learner_of(config, **kwargs):
    model = WideDeep(small_rows.SCHEMA, config.model)
    optimizer = WideDeepOptimizer.of(config.optimizer)
    return Learner.of(config, model, optimizer, BinaryMetrics(), **kwargs)


def test_it_is_as_the_configuration_says():
    config = dataclasses.replace(
        small_rows.CONFIG,
        data=DataConfig(negative_rate=0.5),
        model=dataclasses.replace(SHAPE, towers=2),
        loss=LossConfig(codistillation=0.7, burn_in_steps=3),
    )
    learner = learner_of(config)
    assert learner.objective.negative_rate == 0.5
    (term,) = learner.objective.terms
    assert isinstance(term, Codistillation)
    assert learner.comparison is None


def test_slots_are_there_before_the_first_step():
    learner = learner_of(small_rows.CONFIG)
    before = len(learner.optimizer.variables())
    (batch,) = small_rows.make_rows(32).batches(32)
    learner.learn(batch, tf.size(batch.label))
    assert before == len(learner.optimizer.variables()) > 1


def test_predictions_are_compared_with_those_of_the_model_that_is_served():
    config = small_rows.CONFIG
    learner = learner_of(config, served=lambda features: features["numeric"][:, 0])
    rows = small_rows.make_rows(32)
    p = tf.sigmoid(learner.model(rows.features)[:, 0]).numpy().astype(float)
    q = 1 / (1 + np.exp(-rows.features["numeric"][:, 0].astype(float)))
    (batch,) = rows.batches(32)
    learner.learn(batch, tf.size(batch.label))
    figures = learner.comparison.differences.counts().figures()
    expected = np.average(np.abs(p - q), weights=rows.weight)
    got = figures["absolute_prediction_difference"]
    assert got == pytest.approx(expected, rel=1e-5)


def test_a_whole_step_is_one_program_of_xla():
    model = WideDeep(small_rows.SCHEMA, SHAPE, static_shapes=True)
    plain = WideDeep(small_rows.SCHEMA, SHAPE)
    learners = []
    for one in (model, plain):
        optimizer = WideDeepOptimizer.of(OptimizerConfig())
        optimizer._create_all_weights(one.trainable_variables)
        learners.append(Learner(one, optimizer, BinaryMetrics()))
    compiled = tf.function(lambda *args: learners[0].learn(*args)[0], jit_compile=True)
    for batch in small_rows.make_rows(320).batches(32):
        size = tf.size(batch.label)
        loss, _ = learners[1].learn(batch, size)
        assert float(compiled(batch, size)) == pytest.approx(float(loss), rel=1e-5)
