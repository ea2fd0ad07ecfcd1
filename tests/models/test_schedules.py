"""models/schedules.py against the formulas of its docstring."""

import math

import pytest
import tensorflow as tf
import tf_keras

from smelu_tf.models import OptimizerConfig, WideDeepOptimizer
from smelu_tf.models.schedules import WarmupDecay


def _ref_rate(t, rate, warmup, kind, decay, final):
    if t < warmup:
        return rate * (t + 1) / warmup
    u = min((t - warmup) / max(decay, 1), 1)
    fall = {"constant": 1, "linear": 1 - u, "cosine": (1 + math.cos(math.pi * u)) / 2}
    return rate * (final + (1 - final) * fall[kind])


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine"])
@pytest.mark.parametrize(("warmup", "final"), [(0, 0.0), (5, 0.1)])
def test_rates_are_the_formula_s(kind, warmup, final):
    schedule = WarmupDecay(0.3, warmup, kind, 20, final)
    for t in range(40):
        expected = _ref_rate(t, 0.3, warmup, kind, 20, final)
        assert float(schedule(t)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_late_steps_are_told_apart():
    schedule = WarmupDecay(1.0, 0, "linear", 1 << 30)
    assert float(schedule((1 << 29) + 64)) < float(schedule(1 << 29)) == 0.5


def test_a_constant_rate_is_a_number():
    assert WarmupDecay.of(OptimizerConfig(learning_rate=0.5)) == 0.5
    config = OptimizerConfig(schedule="cosine", decay_steps=9)
    assert WarmupDecay.of(config).kind == "cosine"


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="expected constant, linear or cosine"):
        WarmupDecay(0.1, kind="stairs")


def test_an_optimizer_takes_it_along_and_steps_by_it():
    config = OptimizerConfig(
        name="adagrad", learning_rate=0.5, warmup_steps=4, clip_norm=2.0
    )
    optimizer = WideDeepOptimizer.of(config)
    serialized = tf_keras.optimizers.serialize(optimizer)
    again = tf_keras.optimizers.deserialize(serialized)
    assert again.get_config() == optimizer.get_config()
    moved = []
    for each in (optimizer, again):
        variable = tf.Variable([1.0])
        each.apply_gradients([(tf.constant([1.0]), variable)])
        first = variable.numpy()[0]
        each.apply_gradients([(tf.constant([1.0]), variable)])
        moved.append((1 - first, first - variable.numpy()[0]))
    assert moved[0] == moved[1]
    # A step is rate * g / sqrt(0.1 + sum of g²).
    assert moved[0][0] == pytest.approx(0.5 / 4 / math.sqrt(1.1), rel=1e-5)
    assert moved[0][1] == pytest.approx(0.5 / 2 / math.sqrt(2.1), rel=1e-5)
