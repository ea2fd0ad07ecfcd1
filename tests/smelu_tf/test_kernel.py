"""Which kernel runs when; and TensorFlow's private module, with and without it."""

import weakref

import numpy as np
import pytest
import tensorflow as tf

import smelu_tf
from smelu_tf import kernel, recording, smelu


@pytest.fixture(autouse=True)
def policy():
    yield
    smelu_tf.set_kernel("auto")


def test_policies():
    with pytest.raises(ValueError, match="kernel: expected one of auto, xla, ops, tpu"):
        smelu_tf.set_kernel("fast")
    smelu_tf.set_kernel("auto")
    assert smelu_tf.get_kernel() == "auto"
    big = tf.zeros([1 << 16])
    assert not kernel.should_compile(big)
    with tf.GradientTape():
        assert kernel.should_compile(big)
        assert not kernel.should_compile(tf.zeros([10]))
    smelu_tf.set_kernel("xla")
    assert kernel.should_compile(tf.zeros([10]))


def test_auto_compiles_in_training_and_never_in_a_traced_prediction():

    def is_compiled(function, shape=(None, 4)):
        graph = function.get_concrete_function(tf.TensorSpec(shape)).graph
        return "_XlaMustCompile" in str(graph.as_graph_def())

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = smelu(x)
        return tape.gradient(y, x)

    assert is_compiled(tf.function(gradient))
    assert not is_compiled(tf.function(smelu))
    assert is_compiled(tf.function(gradient), (1 << 8, 1 << 8))
    assert not is_compiled(tf.function(gradient), (1 << 8, 1 << 7))


def test_a_tpu_s_program_takes_slopes_from_the_input_without_a_root(monkeypatch):

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = smelu(x)
        return tape.gradient(y, x)

    def operations():
        graph = gradient.get_concrete_function(tf.TensorSpec([1 << 17])).graph
        functions = graph.as_graph_def().library.function
        nodes = [n for f in functions for n in f.node_def]
        found = {node.op for node in [*graph.as_graph_def().node, *nodes]}
        return "Sqrt" in found, "_XlaMustCompile" in str(graph.as_graph_def())

    assert operations() == (True, True)
    smelu_tf.set_kernel("tpu")
    gradient = tf.function(gradient.python_function)
    assert operations() == (False, False)
    smelu_tf.set_kernel("auto")
    # As under a TPU's strategy, which cannot be made here.
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    strategy = object.__new__(tf.distribute.TPUStrategy)
    assert not kernel.keeps_input()  # eager
    gradient = tf.function(gradient.python_function)
    assert operations() == (False, False)


def test_the_private_module_is_there():
    """A TensorFlow without it would train with plain ops, silently slower."""
    assert recording._record is not None


@pytest.mark.parametrize("policy", ["ops", "xla"])
def test_without_the_private_module_all_is_the_same(monkeypatch, policy):
    def derivatives():
        x, beta = tf.constant([-0.9, -0.3, 0.2, 3.0]), tf.constant(0.8)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch([x, beta])
                y = smelu(x, beta)
            first = inner.gradient(y, [x, beta])
        return [y, *first, outer.gradient(first[0], x)]

    smelu_tf.set_kernel(policy)
    expected = derivatives()
    monkeypatch.setattr(recording, "_record", None)
    for got, want in zip(derivatives(), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert not recording.is_recording()


def test_eager_mode_keeps_the_output_alone():
    """The input is freed while the tape is alive."""
    smelu_tf.set_kernel("auto")
    for size in (10, 1 << 17):
        x = tf.random.normal([size])
        with tf.GradientTape() as tape:
            tape.watch(x)
            inner = x + 1
            freed = weakref.ref(inner)
            y = smelu(inner)
            del inner
        assert freed() is None
        assert tape.gradient(y, x).shape == x.shape


def test_forward_mode_differentiates_too():
    x = tf.constant([-0.9, -0.3, 0.2, 3.0])
    with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as accumulator:
        y = smelu(x)
    np.testing.assert_allclose(accumulator.jvp(y), [0.05, 0.35, 0.6, 1], rtol=1e-6)


def test_many_activations_warn_of_no_retracing(caplog):
    smelu_tf.set_kernel("xla")
    x = tf.ones([4])
    for density in ("triangular", "epanechnikov", "normal", "logistic", "squareplus"):
        smelu_tf.rescu(x, 0.5, density)
    for beta in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        smelu(x, beta)
    assert "retracing" not in caplog.text
