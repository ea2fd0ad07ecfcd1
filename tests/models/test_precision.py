"""models/precision.py, and what of a model computes in which numbers."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from smelu_tf.models import WideDeep, WideDeepConfig, precision
from smelu_tf.pipelines import Categorical, Numeric, Schema

SCHEMA = Schema(
    "small",
    numeric=(Numeric("age"), Numeric("price", dtype="float64")),
    categorical=(Categorical("site", buckets=20), Categorical("kind", buckets=5)),
)


@pytest.mark.parametrize("has_it", [False, True])
def test_auto_is_bfloat16_where_the_processor_has_it(monkeypatch, has_it):
    monkeypatch.setattr(precision, "_has_fast_bfloat16", lambda: has_it)
    assert precision.dtype_policy("float32") == "float32"
    assert precision.dtype_policy("bfloat16") == "mixed_bfloat16"
    expected = "mixed_bfloat16" if has_it else "float32"
    assert precision.dtype_policy("auto") == expected


def features():
    random = np.random.default_rng(0)
    return {
        # Not numbers that bfloat16 has.
        "numeric": tf.constant(random.normal(0, 3, [50, 4]), tf.float32),
        "ids": tf.constant(random.integers(0, 5, [50, 2]), tf.int32),
    }


def models(config):
    pair = WideDeep(SCHEMA, config), WideDeep(SCHEMA, config, dtype="mixed_bfloat16")
    random = np.random.default_rng(1)
    weights = [random.normal(0, 0.3, w.shape) for w in pair[0].get_weights()]
    for model in pair:
        model.set_weights(weights)
    return pair


@pytest.mark.parametrize("interaction", ["none", "dcn", "dlrm"])
def test_weights_and_logits_are_float32_and_the_logit_is_nearly_the_same(interaction):
    config = WideDeepConfig(
        embedding_dim=4, hidden_units=(16, 8), interaction=interaction
    )
    exact, rounded = models(config)
    assert {v.dtype for v in rounded.trainable_variables} == {tf.float32}
    with tf.GradientTape() as tape:
        logit = rounded(features(), training=True)
    assert logit.dtype == tf.float32
    gradients = tape.gradient(logit, rounded.trainable_variables)
    assert {g.dtype for g in gradients} == {tf.float32}
    difference = np.abs(logit - exact(features(), training=True))
    scale = np.std(exact(features()))
    assert 0 < difference.max() < 0.05 * scale


def test_the_wide_part_is_exact():
    exact, rounded = models(WideDeepConfig(embedding_dim=4, hidden_units=(8,)))
    np.testing.assert_array_equal(exact.wide(features()), rounded.wide(features()))
    alone = WideDeep(SCHEMA, WideDeepConfig(deep=False), dtype="mixed_bfloat16")
    alone.wide.set_weights(exact.wide.get_weights())
    np.testing.assert_array_equal(alone(features()), exact.wide(features()))


def test_a_global_policy_is_followed():
    config = WideDeepConfig(embedding_dim=4, hidden_units=(8,), crosses=("site*kind",))
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = WideDeep(SCHEMA, config)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    assert model.deep.compute_dtype == "bfloat16"
    assert model.wide.compute_dtype == "float32"
    assert model(features()).dtype == tf.float32
