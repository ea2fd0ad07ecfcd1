"""keras_layers.py and tf_keras_layers.py: training, saved models and exports."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from activation_layers import FUNCTIONS, LAYERS, X, each_layer, model_of
from python_code import run_code

from smelu_tf.functional import DENSITIES


@pytest.mark.parametrize("how", [*LAYERS, *FUNCTIONS])
@pytest.mark.parametrize(
    "file",
    [
        "model.keras",
        pytest.param("model.h5", marks=pytest.mark.slow),
        pytest.param("saved", marks=pytest.mark.slow),
    ],
)
def test_training_saving_and_loading(flavour, tmp_path, how, file):
    k, ours = flavour
    if (
        k is tf_keras
        and file == "model.h5"
        and how in ("name", "function", "gsmelu", "rescu")
    ):
        pytest.skip("tf-keras cannot read any function of one's own from HDF5")
    activation = LAYERS[how][0](ours) if how in LAYERS else FUNCTIONS[how]
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
        for got, weight in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(got, weight)


@each_layer
def test_a_reloaded_saved_model_has_right_gradients(flavour, make, function, tmp_path):
    k, ours = flavour
    model = model_of(k, make(ours))
    x = tf.constant(X)

    def gradient(f):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return tape.gradient(y, x)

    expected = gradient(model)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    signature = loaded.signatures["serving_default"]
    got = gradient(lambda x: next(iter(signature(x).values())))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    if k is tf_keras:
        model.save(str(tmp_path / "whole"))
        again = tf_keras.models.load_model(str(tmp_path / "whole"), compile=False)
        np.testing.assert_allclose(gradient(again), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("k", ["keras", "tf_keras"])
def test_mirrored_strategy_trains_as_one_device_does(k):
    code = f"""
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import {k} as keras
from smelu_tf import {k}_layers as ours
x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
weights, losses = None, []
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for strategy in (tf.distribute.get_strategy(), mirrored):
    with strategy.scope():
        model = keras.Sequential([
            keras.layers.Input((3,)),
            keras.layers.Dense(5, activation="smelu"),
            ours.GSmeLU(trainable_parameters=True),
            ours.RESCU(density="normal"),
            keras.layers.Dense(1),
        ])
        model.compile(keras.optimizers.SGD(0.1), "mse")
    weights = weights or model.get_weights()
    model.set_weights(weights)
    fitted = model.fit(x, x[:, :1], batch_size=16, epochs=3, shuffle=False, verbose=0)
    losses.append(fitted.history["loss"])
assert losses[0][-1] < losses[0][0]
np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
"""
    returncode, output = run_code(code, TF_USE_LEGACY_KERAS=str(int(k == "tf_keras")))
    assert returncode == 0, output


@pytest.mark.slow
def test_an_export_of_every_activation_compiles_nothing(flavour, tmp_path):
    k, ours = flavour
    activations = [make(ours) for make, _ in LAYERS.values()]
    activations += [k.layers.Activation(f) for f in FUNCTIONS.values()]
    activations += [ours.RESCU(0.5, density) for density in DENSITIES]
    model = k.Sequential([k.layers.Input((3,)), *activations, k.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    model.predict(X, verbose=0)
    (model.export if k is keras else model.save)(str(tmp_path / "keras"))
    tf.saved_model.save(model, str(tmp_path / "plain"))
    code = """
import sys
import tensorflow as tf
if sys.argv[2:] == ["control"]:
    tf.function(tf.sin, jit_compile=True)(tf.zeros([1]))
model = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
for size in range(1, 101):
    (y,) = model(tf.zeros([size, 3])).values()
    assert y.shape == (size, 1)
"""
    for name in ("keras", "plain"):
        proto = (tmp_path / name / "saved_model.pb").read_bytes()
        assert b"_XlaMustCompile" not in proto
        returncode, output = run_code(
            code, str(tmp_path / name), TF_CPP_MIN_LOG_LEVEL="0"
        )
        assert returncode == 0, output
        assert "Compiled cluster using XLA" not in output
    # The line that is looked for is there if something is compiled.
    _, output = run_code(
        code, str(tmp_path / "plain"), "control", TF_CPP_MIN_LOG_LEVEL="0"
    )
    assert "Compiled cluster using XLA" in output
