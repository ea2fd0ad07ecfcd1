"""recording.py: gradients of one's own, which graphs need not outlive."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf import recording


def halved(x):
    """x, with half of the gradient."""
    return recording.with_gradient(tf.identity, lambda dy: [dy / 2], [x])


def traced(x):
    """The gradient of `halved` by a graph, and whether the graph is there still."""

    @tf.function(autograph=False)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = halved(x)
        return tape.gradient(y, x)

    concrete = gradient.get_concrete_function(x)
    return concrete(x).numpy(), weakref.ref(concrete.graph)


@pytest.mark.parametrize("in_graph", [False, True])
def test_the_gradient_is_the_one_given(in_graph):
    x = tf.constant([1.0, 2.0])
    function = tf.function(halved) if in_graph else halved
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(tape.gradient(y, x), [0.5, 0.5])


@pytest.mark.slow
def test_a_graph_goes_when_its_gradients_are_forgotten():
    x = tf.constant(1.0)
    names: set[str] = set()
    with recording.registered_gradients(names):
        value, graph = traced(x)
    assert value == 0.5
    assert len(names) == 1
    gc.collect()
    assert graph() is not None  # TensorFlow keeps it
    recording.forget_gradients(names)
    gc.collect()
    assert graph() is None


def test_gradients_of_others_stay():
    x = tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.function(halved)(x)
    names: set[str] = set()
    with recording.registered_gradients(names):
        traced(x)
    recording.forget_gradients(names)
    assert tape.gradient(y, x).numpy() == 0.5


def test_what_fails_inside_is_noted_too():
    names: set[str] = set()
    with (
        pytest.raises(ZeroDivisionError),
        recording.registered_gradients(names),
    ):
        traced(tf.constant(1.0))
        raise ZeroDivisionError
    assert len(names) == 1
