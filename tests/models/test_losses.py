"""models/losses.py: the loss of each tower by its own logit, and the cures' terms."""

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.models import (
    DataConfig,
    LossConfig,
    TrainConfig,
    WideDeep,
    WideDeepConfig,
)
from smelu_tf.models.anti_distillation import AntiDistillation
from smelu_tf.models.codistillation import Codistillation
from smelu_tf.models.losses import Objective
from smelu_tf.pipelines import Batch, Categorical, Numeric, Schema

SCHEMA = Schema(
    "small",
    (Numeric("age"),),
    (Categorical("a", buckets=9), Categorical("b", buckets=5)),
)


def some_batch(size=12):
    random = np.random.default_rng(0)
    features = {
        "numeric": tf.constant(random.normal(size=[size, 2]), tf.float32),
        "ids": tf.constant(random.integers(5, size=[size, 2]), tf.int32),
    }
    label = tf.constant(random.integers(2, size=size), tf.float32)
    return Batch(features, label, tf.ones([size]))


def some_model(**shape):
    shape = {"embedding_dim": 3, "hidden_units": (4,), "embedding_stddev": 0.5, **shape}
    return WideDeep(SCHEMA, WideDeepConfig(**shape))


def _ref_log_loss(label, logit):
    p = 1 / (1 + np.exp(-np.asarray(logit, np.float64)))
    return -label * np.log(p) - (1 - label) * np.log(1 - p)


@pytest.mark.parametrize("tables", ["shared", "separate"])
@pytest.mark.parametrize("rate", [1.0, 0.25])
@pytest.mark.parametrize("towers", [1, 3])
def test_the_loss_is_the_sum_of_the_towers_own(towers, rate, tables):
    model, batch = some_model(towers=towers, tower_tables=tables), some_batch()
    loss, logit = Objective(rate)(model, batch)
    logits = np.stack([z[:, 0] for z in model.tower_logits(batch.features)])
    assert logits.shape == (towers, 12)
    expected = _ref_log_loss(batch.label.numpy(), logits - np.log(rate)).sum(axis=0)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(logit, logits.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_terms_are_added_and_see_the_logits_of_the_rows_kept():
    model, batch = some_model(towers=2), some_batch()
    terms = (Codistillation(0.5, burn_in_steps=2), AntiDistillation(0.3))
    plain, _ = Objective(0.25)(model, batch)
    logits = [z[:, 0] for z in model.tower_logits(batch.features)]
    kept = tf.stack(logits) - np.log(0.25)
    for step in (0, 2):
        loss, _ = Objective(0.25, terms)(model, batch, step)
        expected = plain + sum(term(kept, batch, step) for term in terms)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_logit_of_the_figures_is_the_served_one():
    model, batch = some_model(towers=2, serve="first"), some_batch()
    loss, logit = Objective()(model, batch)
    np.testing.assert_allclose(logit, model(batch.features)[:, 0], rtol=1e-6)
    # Both learn all the same.
    assert np.all(loss > 1.1 * _ref_log_loss(batch.label.numpy(), logit))


def test_a_configuration_says_the_terms():
    loss = LossConfig(codistillation=0.5, burn_in_steps=7, anti_distillation=0.1)
    config = TrainConfig(
        data=DataConfig(negative_rate=0.5), model=WideDeepConfig(towers=2), loss=loss
    )
    config.validate()
    assert Objective.of(config) == Objective(
        0.5, (Codistillation(0.5, 7), AntiDistillation(0.1))
    )
    assert Objective.of(TrainConfig()) == Objective()
