"""smelu_tf/_keras_flavour.py: which Keras is loaded, and which is meant."""

import pytest
from python_code import run_code


@pytest.mark.parametrize("legacy", ["0", "1"])
def test_import_loads_no_keras_but_tensorflow_s_own(legacy):
    code = """
import sys
import tensorflow
before = {name.partition(".")[0] for name in sys.modules}
import smelu_tf
import tensorflow as tf
after = {name.partition(".")[0] for name in sys.modules}
assert after - before <= {"smelu_tf", "__future__"}, after - before
layer = tf.keras.layers.Dense(2, activation="smelu")
assert layer.activation is smelu_tf.smelu
assert isinstance(smelu_tf.SmeLU(), tf.keras.layers.Layer)
"""
    returncode, output = run_code(code, TF_USE_LEGACY_KERAS=legacy)
    assert returncode == 0, output


@pytest.mark.slow
def test_a_symbolic_tensor_of_the_other_keras_asks_for_its_module():
    code = """
import keras
import smelu_tf
try:
    smelu_tf.smelu(keras.layers.Input((3,)))
except ValueError as error:
    assert "expected smelu_tf.keras_layers to be imported" in str(error), error
else:
    raise AssertionError
import smelu_tf.keras_layers
smelu_tf.smelu(keras.layers.Input((3,)))
"""
    returncode, output = run_code(code, TF_USE_LEGACY_KERAS="1")
    assert returncode == 0, output


def test_another_backend_is_refused_in_one_sentence():
    code = """
import sys, types
import keras
keras.backend.backend = lambda: "jax"
import smelu_tf
"""
    returncode, output = run_code(code, TF_USE_LEGACY_KERAS="0")
    assert returncode == 1
    assert "expected Keras to run on TensorFlow, received the backend 'jax'" in output
