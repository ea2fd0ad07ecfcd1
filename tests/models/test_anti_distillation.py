"""models/anti_distillation.py: what towers predict in common is penalised."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf.models.anti_distillation import AntiDistillation
from smelu_tf.pipelines import Batch


def batch_of(weight):
    weight = tf.constant(weight, tf.float32)
    return Batch({}, label=tf.zeros_like(weight), weight=weight)


def some_logits(num_towers, size=20, seed=0):
    random = np.random.default_rng(seed)
    common = random.normal(size=size)
    return (common + random.normal(size=[num_towers, size])).astype("f")


def _ref_term(logits, weight):
    """The squared correlations of all pairs by NumPy, float64; ε is too small here."""
    weights = None if weight is None else np.asarray(weight, np.float64)
    covariance = np.cov(logits.astype(np.float64), ddof=0, aweights=weights)
    sigma = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sigma, sigma)
    return np.sum(np.triu(correlation, 1) ** 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 5), st.floats(0.01, 10), st.integers(0, 100))
def test_the_term_is_the_formula_s(num_towers, strength, seed):
    logits = some_logits(num_towers, seed=seed)
    term = AntiDistillation(strength)
    got = term(tf.constant(logits), batch_of(np.ones(20)), step=0).numpy()
    expected = strength * _ref_term(logits, None)
    np.testing.assert_allclose(got, np.full(20, expected), rtol=1e-4)


def test_rows_count_by_their_weights():
    logits = some_logits(3)
    weight = np.random.default_rng(1).integers(0, 4, 20).astype("f")
    got = AntiDistillation(1.0)(tf.constant(logits), batch_of(weight), step=0)
    np.testing.assert_allclose(got[0], _ref_term(logits, weight), rtol=1e-4)
    # Those of weight 0 are as if they were not there.
    kept = weight > 0
    alone = AntiDistillation(1.0)(
        tf.constant(logits[:, kept]), batch_of(weight[kept]), step=0
    )
    np.testing.assert_allclose(got[0], alone[0], rtol=1e-5)


def test_sign_scale_and_place_of_a_tower_s_logits_change_nothing():
    logits = some_logits(2)
    batch = batch_of(np.ones(20))
    same = np.stack([logits[0], 3 - 7 * logits[1]])
    got, expected = (
        AntiDistillation(1.0)(tf.constant(each), batch, step=0)[0]
        for each in (same, logits)
    )
    assert float(got) == pytest.approx(float(expected), rel=1e-4)


def test_a_step_against_its_gradient_lowers_the_correlation():
    logits = tf.Variable(some_logits(3))
    batch = batch_of(np.ones(20))
    values = []
    for _ in range(2):
        with tf.GradientTape() as tape:
            term = AntiDistillation(1.0)(logits, batch, step=0)[0]
        values.append(float(term))
        logits.assign_sub(0.1 * tape.gradient(term, logits))
    assert values[1] < values[0]


@pytest.mark.parametrize(
    ("logits", "weight"),
    [
        ([[0.1, 0.1, 0.1], [0.2, 0.2, 0.2]], [1.0, 1.0, 1.0]),
        ([[0.3], [0.5]], [1.0]),
        ([[1.0, 2.0], [3.0, 5.0]], [0.0, 0.0]),
        ([[], []], []),
    ],
    ids=["all alike", "one row", "no weight", "no row"],
)
def test_without_variation_there_is_no_term_and_hardly_a_gradient(logits, weight):
    variable = tf.Variable(np.array(logits, "f"))
    with tf.GradientTape() as tape:
        term = tf.reduce_sum(AntiDistillation(1.0)(variable, batch_of(weight), step=0))
    assert float(term) == pytest.approx(0, abs=1e-6)
    assert np.all(np.abs(tape.gradient(term, variable)) < 1e-3)
