"""What tests of the activations and of the layers share."""

import importlib

import pytest

import smelu_tf


@pytest.fixture(params=["keras", "tf_keras"])
def flavour(request):
    """A Keras, and our layers for it."""
    ours = f"smelu_tf.{request.param}_layers"
    return importlib.import_module(request.param), importlib.import_module(ours)


@pytest.fixture(params=["ops", "xla"])
def ops_and_compiled(request):
    """The test runs with both ways of running the passes."""
    smelu_tf.set_kernel(request.param)
    yield request.param
    smelu_tf.set_kernel("auto")
