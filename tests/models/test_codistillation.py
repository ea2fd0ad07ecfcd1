"""models/codistillation.py: what towers learn of one another."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf.models.codistillation import Codistillation
from smelu_tf.pipelines import Batch

BATCH = Batch({}, label=tf.zeros([5]), weight=tf.ones([5]))


def some_logits(num_towers, seed=0):
    return np.random.default_rng(seed).normal(0, 2, [num_towers, 5]).astype("f")


def _ref_term(logits, strength):
    """The formula of the docstring in NumPy, float64, tower by tower."""
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    total = 0.0
    for i in range(len(p)):
        q = np.mean([p[j] for j in range(len(p)) if j != i], axis=0)
        total -= q * np.log(p[i]) + (1 - q) * np.log(1 - p[i])
    return strength * total


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 5), st.floats(0.01, 10), st.integers(0, 100))
def test_the_term_is_the_formula_s(num_towers, strength, seed):
    logits = some_logits(num_towers, seed)
    got = Codistillation(strength)(tf.constant(logits), BATCH, step=0)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, _ref_term(logits, strength), rtol=1e-5)


def test_the_gradient_is_that_of_a_label_that_the_others_give():
    """λ (p_i - q_i): nothing flows through the others' predictions."""
    logits = tf.Variable(some_logits(3))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(Codistillation(0.5)(logits, BATCH, step=0))
    p = 1 / (1 + np.exp(-logits.numpy().astype(np.float64)))
    others = (p.sum(axis=0) - p) / 2
    np.testing.assert_allclose(
        tape.gradient(total, logits), 0.5 * (p - others), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("kind", [int, tf.Variable])
def test_it_begins_behind_the_burn_in(kind):
    term = Codistillation(1.0, burn_in_steps=3)
    logits = tf.constant(some_logits(2))
    before, behind = (term(logits, BATCH, kind(step)).numpy() for step in (2, 3))
    np.testing.assert_array_equal(before, 0)
    np.testing.assert_array_equal(behind, Codistillation(1.0)(logits, BATCH, 0))


def test_large_logits_have_finite_terms_and_gradients():
    logits = tf.Variable([[200.0] * 5, [-200.0] * 5])
    with tf.GradientTape() as tape:
        term = Codistillation(1.0)(logits, BATCH, step=0)
    np.testing.assert_allclose(term, 400.0)
    assert np.all(np.isfinite(tape.gradient(term, logits)))
