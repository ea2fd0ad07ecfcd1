"""models/precision.py, and what of a model computes in which numbers."""

import json

import numpy as np
import pytest
import small_runs
import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.models import (
    TrainConfig,
    TrainOptions,
    WideDeep,
    WideDeepConfig,
    precision,
    train,
)
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
    assert precision.dtype_policy("float16") == "mixed_float16"
    expected = "mixed_bfloat16" if has_it else "float32"
    assert precision.dtype_policy("auto") == expected


def features():
    random = np.random.default_rng(0)
    return {
        # Not numbers that bfloat16 has.
        "numeric": tf.constant(random.normal(0, 3, [50, 4]), tf.float32),
        "ids": tf.constant(random.integers(0, 5, [50, 2]), tf.int32),
    }


def models(config, policy="mixed_bfloat16"):
    pair = WideDeep(SCHEMA, config), WideDeep(SCHEMA, config, dtype=policy)
    random = np.random.default_rng(1)
    weights = [random.normal(0, 0.3, w.shape) for w in pair[0].get_weights()]
    for model in pair:
        model.set_weights(weights)
    return pair


# What half a unit in the last place is of a number.
ROUNDING = {"mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}


@pytest.mark.parametrize("policy", ROUNDING)
@pytest.mark.parametrize("interaction", ["none", "dcn", "dlrm"])
def test_weights_and_logits_are_float32_and_the_logit_is_nearly_the_same(
    interaction, policy
):
    config = WideDeepConfig(
        embedding_dim=4, hidden_units=(16, 8), interaction=interaction
    )
    exact, rounded = models(config, policy)
    assert {v.dtype for v in rounded.trainable_variables} == {tf.float32}
    with tf.GradientTape() as tape:
        logit = rounded(features(), training=True)
    assert logit.dtype == tf.float32
    gradients = tape.gradient(logit, rounded.trainable_variables)
    assert {g.dtype for g in gradients} == {tf.float32}
    difference = np.abs(logit - exact(features(), training=True))
    scale = np.std(exact(features()))
    assert 0 < difference.max() < 13 * ROUNDING[policy] * scale


@pytest.mark.parametrize("policy", ROUNDING)
def test_the_wide_part_is_exact(policy):
    config = WideDeepConfig(embedding_dim=4, hidden_units=(8,))
    exact, rounded = models(config, policy)
    np.testing.assert_array_equal(exact.wide(features()), rounded.wide(features()))
    alone = WideDeep(SCHEMA, WideDeepConfig(deep=False), dtype=policy)
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


@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_hidden_layers_hand_on_float16_and_their_activations_are_exact(normalization):
    """To the rounding of what an activation is given, and gives."""
    config = WideDeepConfig(
        embedding_dim=4,
        hidden_units=(16, 8),
        activation="smelu:0.5",
        normalization=normalization,
    )
    model = WideDeep(SCHEMA, config, dtype="mixed_float16")
    mlp = model.deep.mlp
    x = tf.constant(np.random.default_rng(0).normal(size=[50, 12]), tf.float16)
    before = mlp.hidden[0](x)
    if mlp.norms:
        assert mlp.norms[0].compute_dtype == "float32"
        before = tf.cast(mlp.norms[0](before), tf.float16)
    y = mlp.functions[0](before)
    assert before.dtype == y.dtype == tf.float16
    exact = smelu_tf.smelu(tf.cast(before, tf.float64), 0.5)
    np.testing.assert_array_equal(y, tf.cast(exact, tf.float16))


@pytest.mark.slow
def test_keras_s_own_training_scales_the_loss_in_float16(tmp_path):
    """`compile` wraps the optimizer, and `fit` trains with it."""
    config = WideDeepConfig(embedding_dim=4, hidden_units=(16,), embedding_stddev=0.1)
    random = np.random.default_rng(0)
    columns = {
        "age": random.normal(size=600),
        "price": random.normal(size=600),
        "site": random.integers(20, size=600).astype(str),
        "kind": random.integers(5, size=600).astype(str),
    }
    label = (columns["age"] + random.normal(size=600) > 0).astype("f")
    losses = {}
    for policy in ("float32", "mixed_float16"):
        model = WideDeep(SCHEMA, config, dtype=policy)
        model.compile()
        history = model.fit(
            columns, label, batch_size=32, epochs=3, shuffle=False, verbose=0
        )
        losses[policy] = np.array(history.history["loss"])
        assert int(model.optimizer.iterations) == 57
    half, whole = losses["mixed_float16"], losses["float32"]
    assert isinstance(model.optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
    assert int(model.optimizer.dynamic_counter) == 57  # not one step was skipped
    assert np.all(np.diff(half) < 0)
    np.testing.assert_allclose(half, whole, rtol=1e-3)
    checkpoint = tf.train.Checkpoint(model=model)
    path = checkpoint.save(str(tmp_path / "ckpt"))
    again = WideDeep(SCHEMA, config, dtype="mixed_float16")
    again.compile()
    tf.train.Checkpoint(model=again).restore(path)
    np.testing.assert_array_equal(
        again.predict(columns, verbose=0), model.predict(columns, verbose=0)
    )
    model.save(tmp_path / "model.keras")
    # As whatever a model was trained in: it is scored in float32.
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_training_says_whether_float32_may_be_tf32(criteo_dir, tmp_path, is_allowed):
    rows = small_runs.first_rows(criteo_dir, tmp_path)
    config = TrainConfig(
        model=WideDeepConfig(deep=False),
        train=TrainOptions(tensor_float_32=is_allowed),
    )
    switch = tf.config.experimental
    before = switch.tensor_float_32_execution_enabled()
    switch.enable_tensor_float_32_execution(not is_allowed)
    try:
        train(config, rows, tmp_path / "model")
        assert switch.tensor_float_32_execution_enabled() is is_allowed
    finally:
        switch.enable_tensor_float_32_execution(before)
    recorded = json.loads((tmp_path / "model" / "environment.json").read_text())
    assert recorded["runs"][0]["tensor_float_32"] is is_allowed


@pytest.mark.parametrize("has_it", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_training_says_what_auto_was(criteo_dir, tmp_path, monkeypatch, has_it):
    monkeypatch.setattr(precision, "_has_fast_bfloat16", lambda: has_it)
    config = TrainConfig(train=TrainOptions(compute_dtype="auto"))
    rows = small_runs.first_rows(criteo_dir, tmp_path)
    train(config, rows, tmp_path / "model")
    recorded = json.loads((tmp_path / "model" / "environment.json").read_text())
    expected = "bfloat16" if has_it else "float32"
    assert recorded["runs"][0]["compute_dtype"] == expected
