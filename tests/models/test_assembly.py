"""models/assembly.py: what a configuration and the strategy in force make."""

import dataclasses

import pytest
import small_rows
import tf_keras

from smelu_tf.models import BinaryMetrics, Scorer, WideDeepOptimizer, assembly
from smelu_tf.models.steps import TrainSteps

CONFIG = small_rows.CONFIG


def learner_of(config):
    optimizer = WideDeepOptimizer.of(config.optimizer)
    model = assembly.make_model(config, small_rows.SCHEMA, optimizer, None)
    return assembly.make_learner(config, model, optimizer, None, None)


@pytest.mark.parametrize(
    ("has_accelerator", "asked", "expected"),
    [
        (False, None, False),
        (True, None, True),
        (False, True, True),
        (True, False, False),
    ],
)
def test_layers_are_compiled_on_accelerators_or_as_told(
    monkeypatch, has_accelerator, asked, expected
):
    made = []
    monkeypatch.setattr(assembly, "has_accelerator", lambda: has_accelerator)
    monkeypatch.setattr(assembly, "WideDeep", lambda *_, **kwargs: made.append(kwargs))
    assembly.make_model(CONFIG, small_rows.SCHEMA, None, asked)
    assert made[0]["jit_compile"] is expected
    assert not made[0]["static_shapes"]


def test_a_model_is_trained_by_the_optimizer_that_it_was_compiled_with():
    learner = learner_of(CONFIG)
    assert isinstance(learner.optimizer, WideDeepOptimizer)
    assert learner.optimizer is learner.model.optimizer
    assert isinstance(learner.metrics, BinaryMetrics)


def test_in_float16_its_loss_is_scaled():
    options = dataclasses.replace(CONFIG.train, compute_dtype="float16")
    learner = learner_of(dataclasses.replace(CONFIG, train=options))
    kind = tf_keras.mixed_precision.LossScaleOptimizer
    assert isinstance(learner.optimizer, kind)
    assert learner.optimizer is learner.model.optimizer


def test_on_one_device_steps_and_scorer_are_the_plain_ones():
    learner = learner_of(CONFIG)
    assert isinstance(assembly.make_steps(CONFIG, learner), TrainSteps)
    scorer = assembly.make_scorer(CONFIG, learner.model)
    assert isinstance(scorer, Scorer)
    assert scorer.schema == small_rows.SCHEMA
