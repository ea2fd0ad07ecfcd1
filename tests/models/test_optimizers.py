"""models/optimizers.py against NumPy: FTRL, lazy Adam, Adagrad, rows looked up only."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from part_variables import variables

from smelu_tf.models import (
    OptimizerConfig,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
)
from smelu_tf.pipelines import Categorical, Schema


class _RefAdam:
    def __init__(self, value, rate):
        self.value, self.rate = value.astype(np.float64), rate
        self.m, self.v, self.t = np.zeros_like(self.value), np.zeros_like(self.value), 0

    def update(self, rows, grad):
        self.t += 1
        self.m[rows] = 0.9 * self.m[rows] + 0.1 * grad
        self.v[rows] = 0.999 * self.v[rows] + 0.001 * grad**2
        rate = self.rate * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        self.value[rows] -= rate * self.m[rows] / (np.sqrt(self.v[rows]) + 1e-7)


class _RefAdagrad:
    def __init__(self, value, rate):
        self.value, self.rate = value.astype(np.float64), rate
        self.sum = np.full_like(self.value, 0.1)

    def update(self, rows, grad):
        self.sum[rows] += grad**2
        self.value[rows] -= self.rate * grad / (np.sqrt(self.sum[rows]) + 1e-7)


class _RefFtrl:
    def __init__(self, value, rate, l1, l2):
        self.value, self.rate, self.l1, self.l2 = value.astype(float), rate, l1, l2
        self.n, self.z = np.full_like(self.value, 0.1), np.zeros_like(self.value)

    def update(self, rows, grad):
        n = self.n[rows] + grad**2
        sigma = (np.sqrt(n) - np.sqrt(self.n[rows])) / self.rate
        self.z[rows] += grad - sigma * self.value[rows]
        self.n[rows] = n
        z = self.z[rows]
        self.value[rows] = np.where(
            np.abs(z) <= self.l1,
            0.0,
            -(z - np.sign(z) * self.l1) / (np.sqrt(n) / self.rate + 2 * self.l2),
        )


def as_dense(grad, rows, shape):
    """A sparse gradient as a tensor, as XLA's programs have it."""
    return tf.math.unsorted_segment_sum(tf.constant(grad, tf.float32), rows, shape[0])


@pytest.mark.parametrize("rule", ["adam", "adagrad"])
@pytest.mark.parametrize("is_dense", [False, True])
def test_updates_are_the_formulas_on_the_rows_looked_up(rule, is_dense):
    wide, table, kernel = variables()
    optimizer = WideDeepOptimizer(
        rule, learning_rate=0.1, wide_learning_rate=0.3, l1=0.05, l2=0.1
    )
    reference = _RefAdam if rule == "adam" else _RefAdagrad
    references = (
        _RefFtrl(wide.numpy(), 0.3, 0.05, 0.1),
        reference(table.numpy(), 0.1),
        reference(kernel.numpy(), 0.1),
    )
    random = np.random.default_rng(0)
    for _ in range(5):
        rows = random.integers(0, 4, 5)  # repeated ones among them; never 4 and 5
        grads = [random.normal(size=(5, 1)), random.normal(size=(5, 2))]
        dense = random.normal(size=(2, 2))
        optimizer.apply_gradients(
            [
                (
                    as_dense(g, rows, v.shape)
                    if is_dense
                    else tf.IndexedSlices(tf.constant(g, tf.float32), rows, v.shape),
                    v,
                )
                for g, v in zip(grads, (wide, table), strict=True)
            ]
            + [(tf.constant(dense, tf.float32), kernel)]
        )
        distinct, inverse = np.unique(rows, return_inverse=True)
        for oracle, grad in zip(references[:2], grads, strict=True):
            summed = np.zeros((len(distinct), grad.shape[1]))
            np.add.at(summed, inverse, grad)
            oracle.update(distinct, summed)
        references[2].update(slice(None), dense)
    for oracle, variable in zip(references, (wide, table, kernel), strict=True):
        np.testing.assert_allclose(variable.numpy(), oracle.value, rtol=2e-5, atol=1e-6)
    np.testing.assert_array_equal(table.numpy()[4:], 1.0)
    np.testing.assert_array_equal(wide.numpy()[4:], 0.0)


@pytest.mark.parametrize("name", ["wide", "deep", "wide_deep"])
def test_the_model_s_own_name_does_not_decide_which_part_is_which(name):
    schema = Schema("s", (), (Categorical("a", buckets=3),))
    model = WideDeep(schema, WideDeepConfig(hidden_units=(2,)), name=name)
    optimizer = WideDeepOptimizer("adam")
    optimizer._create_all_weights(model.trainable_variables)
    has_linear = {"linear" in variable.name for variable in optimizer.weights}
    assert has_linear == {True, False}
    slots = [v.name for v in optimizer.weights if v.name.endswith("/linear:0")]
    assert len(slots) == len(model.wide.trainable_variables)


@pytest.mark.parametrize("is_dense", [False, True])
def test_slots_of_other_rows_do_not_change(is_dense):
    _, table, _ = variables()
    optimizer = WideDeepOptimizer("adam")
    for rows in ([0, 1], [2]):
        grad = tf.IndexedSlices(tf.ones([len(rows), 2]), rows, [6, 2])
        if is_dense:
            grad = tf.convert_to_tensor(grad)
        optimizer.apply_gradients([(grad, table)])
        if rows == [0, 1]:
            before = optimizer.get_slot(table, "m").numpy().copy()
    after = optimizer.get_slot(table, "m").numpy()
    np.testing.assert_array_equal(before[[0, 1, 3, 4, 5]], after[[0, 1, 3, 4, 5]])
    assert np.all(after[2] != 0)


def test_config_round_trip():
    optimizer = WideDeepOptimizer.of(
        OptimizerConfig("adagrad", 0.3, 0.2, 0.4, 0.5, 0.6, 0.7)
    )
    config = tf_keras.optimizers.serialize(optimizer)
    again = tf_keras.optimizers.deserialize(config, use_legacy_optimizer=True)
    assert isinstance(again, WideDeepOptimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.get_config()["learning_rate"] == pytest.approx(0.3)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="expected adam or adagrad, received 'sgd'"):
        WideDeepOptimizer("sgd")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_it_checkpoints_under_mixed_precision(tmp_path, policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        outputs = []
        for _ in range(2):
            model = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(3,))])
            model.compile(WideDeepOptimizer("adam", learning_rate=0.1), "mse")
            checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
            newest = tf.train.latest_checkpoint(tmp_path)
            if newest:
                checkpoint.restore(newest)
            else:
                model.fit(np.ones((8, 3)), np.zeros(8), verbose=0)
                checkpoint.save(str(tmp_path / "ckpt"))
            model.fit(np.ones((8, 3)), np.zeros(8), verbose=0)
            outputs.append(model.get_weights()[0])
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_array_equal(*outputs)
