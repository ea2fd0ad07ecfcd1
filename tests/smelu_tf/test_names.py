"""smelu_tf.get: activations by name, and as Keras stores them."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from python_code import run_code

import smelu_tf
from smelu_tf import gsmelu, keras_layers, rescu, smelu, tf_keras_layers
from smelu_tf.names import _BY_NAME

X = tf.constant([-2.0, -0.25, 0.0, 0.25, 2.0])


def test_get_gives_functions_by_name():
    x = X
    np.testing.assert_array_equal(smelu_tf.get("smelu")(x), smelu(x))
    half = smelu_tf.get("smelu:0.5")
    np.testing.assert_array_equal(half(x), smelu(x, 0.5))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(half))(x), half(x))
    assert smelu_tf.get("relu") is tf.nn.relu
    assert smelu_tf.get(tf.sin) is tf.sin


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rleu", "nearest is relu"),
        ("smelu:-1", "beta: expected"),
        ("smelu:nan", "beta: expected"),
        ("smelu:inf", "beta: expected"),
        ("smelu:abc", "expected a number after smelu:"),
        ("relu:1", "expected relu without a parameter"),
        ("", "expected one of smelu"),
    ],
)
def test_get_refuses_what_it_does_not_know(name, message):
    with pytest.raises(ValueError, match=message):
        smelu_tf.get(name)


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("gsmelu:0.5:1:0.1:0.9:-1", lambda x: gsmelu(x, 0.5, 1, 0.1, 0.9, -1)),
        ("gsmelu:g_minus=0.1:t=-1", lambda x: gsmelu(x, g_minus=0.1, t=-1)),
        ("rescu:2", lambda x: rescu(x, 2)),
        ("rescu:0.5:normal", lambda x: rescu(x, 0.5, "normal")),
        ("rescu:density=laplace", lambda x: rescu(x, density="laplace")),
        ("swish:2", lambda x: x * tf.sigmoid(2 * x)),
    ],
)
def test_parameters_follow_colons_in_the_function_s_order_or_by_name(
    identifier, expected
):
    np.testing.assert_allclose(smelu_tf.get(identifier)(X), expected(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("gsmelu:1:-2", "alpha . beta: expected 0 or more"),
        ("gsmelu:1:x", "expected a number after gsmelu:1:, received"),
        ("gsmelu:slope=1", "expected one of alpha, beta, g_minus, g_plus, t before ="),
        ("smelu:1:2", r"at most 1 parameters after smelu \(beta\)"),
        ("rescu:1:box", "density: expected one of uniform, .* received 'box'"),
        ("swish:nan", "beta: expected a finite number"),
        ("gsmelu:beta=2:3", "parameters without a name before those with one"),
        ("gsmelu:t=1:t=2", "expected t once"),
        ("gsmelu:1:alpha=2", "expected alpha once"),
        ("gsmelu:t=1:beta=t", "expected a number after gsmelu:t=1:beta=, received"),
    ],
)
def test_parameters_that_are_none_are_refused(identifier, message):
    with pytest.raises(ValueError, match=message):
        smelu_tf.get(identifier)


def test_making_one_starts_no_tensorflow():
    """Configurations name activations before devices and threads are set."""
    code = """
import smelu_tf
smelu_tf.get("gsmelu:0.5"), smelu_tf.get("rescu:0.5:normal"), smelu_tf.get("smelu:0.5")
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)  # too late once it has
"""
    returncode, output = run_code(code)
    assert returncode == 0, output


@pytest.mark.parametrize(
    ("k", "ours"),
    [(keras, keras_layers), (tf_keras, tf_keras_layers)],
    ids=["keras", "tf_keras"],
)
@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
@pytest.mark.parametrize(
    "identifier", [*_BY_NAME, "smelu:0.5", "gsmelu:g_minus=0.1", "rescu:1:normal"]
)
def test_a_named_activation_survives_both_file_formats(
    k, ours, file, identifier, tmp_path
):
    if (
        k is tf_keras
        and file == "model.h5"
        and identifier in ("smelu", "gsmelu", "rescu")
    ):
        pytest.skip("tf-keras cannot read any function of one's own from HDF5")
    activation = smelu_tf.get(identifier)
    model = k.Sequential(
        [k.layers.Input((3,)), k.layers.Dense(4, activation=activation)]
    )
    model.save(str(tmp_path / file))
    again = k.models.load_model(str(tmp_path / file))
    x = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(again(x), model(x), rtol=1e-6)  # or Keras's own function
