"""The layers of both Kerases climb one ladder; names and flavours in own processes."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from smelu_tf import keras_layers, smelu, tf_keras_layers

FLAVOURS = {"keras": (keras, keras_layers), "tf_keras": (tf_keras, tf_keras_layers)}


@pytest.fixture(params=FLAVOURS)
def flavour(request):
    return FLAVOURS[request.param]


def model_of(k, activation):
    """A small network with an activation, as a layer or inside Dense."""
    layers = [k.layers.Input((3,)), k.layers.Dense(5)]
    if isinstance(activation, k.layers.Layer):
        layers += [activation]
    else:
        layers[1] = k.layers.Dense(5, activation=activation)
    return k.Sequential([*layers, k.layers.Dense(1)])


X = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)


def test_the_layer_is_the_function(flavour):
    _, ours = flavour
    got = ours.SmeLU(0.5)(tf.constant(X))
    np.testing.assert_array_equal(got, smelu(tf.constant(X), 0.5))


def test_config_round_trip(flavour):
    k, ours = flavour
    layer = ours.SmeLU(beta=0.25, name="act")
    assert ours.SmeLU.from_config(layer.get_config()).get_config() == layer.get_config()
    again = k.layers.deserialize(k.layers.serialize(layer))
    assert type(again) is ours.SmeLU
    assert again.beta == 0.25


def test_symbolic_shape_and_dtype_are_those_of_values(flavour):
    k, ours = flavour
    for shape in ((4,), (None, 2), (3, 3, 2)):
        symbolic = ours.SmeLU()(k.layers.Input(shape))
        assert tuple(symbolic.shape) == (None, *shape)
    for policy in ("float64", "mixed_bfloat16", "mixed_float16"):
        layer = ours.SmeLU(dtype=policy)
        y = layer(tf.constant(X))
        assert tf.as_dtype(y.dtype).name == layer.compute_dtype


def test_it_has_no_weights_and_passes_masks_on(flavour):
    _, ours = flavour
    layer = ours.SmeLU()
    layer(tf.constant(X))
    assert layer.weights == []
    assert layer.supports_masking


@pytest.mark.parametrize("how", ["layer", "name", "function"])
@pytest.mark.parametrize("file", ["model.keras", "model.h5", "saved"])
def test_training_saving_and_loading(flavour, tmp_path, how, file):
    k, ours = flavour
    if k is tf_keras and file == "model.h5" and how != "layer":
        pytest.skip("tf-keras cannot read any function of one's own from HDF5")
    activation = {"layer": ours.SmeLU(0.5), "name": "smelu", "function": smelu}[how]
    model = model_of(k, activation)
    model.compile("sgd", "mse")
    first = model.evaluate(X, X[:, :1], verbose=0)
    model.fit(X, X[:, :1], epochs=5, verbose=0)
    assert model.evaluate(X, X[:, :1], verbose=0) < first
    path = str(tmp_path / file)
    expected = np.asarray(model.predict(X, verbose=0))
    if file == "saved":
        (model.export if k is keras else model.save)(path)
        assert (
            b"_XlaMustCompile" not in (tmp_path / file / "saved_model.pb").read_bytes()
        )
        loaded = tf.saved_model.load(path)
        (got,) = loaded.signatures["serving_default"](tf.constant(X)).values()
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    else:
        model.save(path)
        # Keras 3 cannot read its own "mse" back from HDF5.
        again = k.models.load_model(path, compile=file != "model.h5")
        np.testing.assert_array_equal(again.predict(X, verbose=0), expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(flavour, policy):
    k, ours = flavour
    model = k.Sequential(
        [
            k.layers.Input((3,)),
            k.layers.Dense(5, dtype=policy),
            ours.SmeLU(dtype=policy),
            k.layers.Dense(1, dtype="float32"),
        ]
    )
    model.compile("sgd", "mse")
    history = model.fit(X, X[:, :1], epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf"), "1", [1.0], None])
def test_a_beta_that_is_none_is_refused(flavour, beta):
    with pytest.raises(ValueError, match="beta: expected a (finite|single) number"):
        flavour[1].SmeLU(beta)


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error:::smelu_tf", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("legacy", ["0", "1"])
def test_import_loads_no_keras_but_tensorflow_s_own(legacy):
    code = """
import sys
import tensorflow
before = {name.partition(".")[0] for name in sys.modules}
import smelu_tf
import tensorflow as tf
after = {name.partition(".")[0] for name in sys.modules}
assert after - before == {"smelu_tf"} or after - before <= {"smelu_tf", "__future__"}, (
    after - before
)
layer = tf.keras.layers.Dense(2, activation="smelu")
assert layer.activation is smelu_tf.smelu
assert isinstance(smelu_tf.SmeLU(), tf.keras.layers.Layer)
"""
    returncode, output = run(code, TF_USE_LEGACY_KERAS=legacy)
    assert returncode == 0, output


def test_another_backend_is_refused_in_one_sentence():
    code = """
import sys, types
import keras
keras.backend.backend = lambda: "jax"
import smelu_tf
"""
    returncode, output = run(code, TF_USE_LEGACY_KERAS="0")
    assert returncode == 1
    assert "expected Keras to run on TensorFlow, received the backend 'jax'" in output
