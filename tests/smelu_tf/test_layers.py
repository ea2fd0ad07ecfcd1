"""The layers of both Kerases climb one ladder; names and flavours in own processes."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf import gsmelu, keras_layers, rescu, smelu, tf_keras_layers
from smelu_tf.functional import DENSITIES

FLAVOURS = {"keras": (keras, keras_layers), "tf_keras": (tf_keras, tf_keras_layers)}


@pytest.fixture(params=FLAVOURS)
def flavour(request):
    return FLAVOURS[request.param]


# The layers, and the functions with the parameters that they start from.
LAYERS = {
    "SmeLU": (lambda o, **k: o.SmeLU(0.5, **k), lambda x: smelu(x, 0.5)),
    "SmeLU trained": (
        lambda o, **k: o.SmeLU(0.5, trainable_parameters=True, **k),
        lambda x: smelu(x, 0.5),
    ),
    "SmeLU trained by unit": (
        lambda o, **k: o.SmeLU(0.5, trainable_parameters=True, shared_axes=[], **k),
        lambda x: smelu(x, 0.5),
    ),
    "GSmeLU": (
        lambda o, **k: o.GSmeLU(0.5, 1, 0.1, 0.9, -0.2, **k),
        lambda x: gsmelu(x, 0.5, 1, 0.1, 0.9, -0.2),
    ),
    "GSmeLU trained": (
        lambda o, **k: o.GSmeLU(
            0.5, 1, 0.1, 0.9, -0.2, trainable_parameters=True, shared_axes=[], **k
        ),
        lambda x: gsmelu(x, 0.5, 1, 0.1, 0.9, -0.2),
    ),
    "RESCU": (
        lambda o, **k: o.RESCU(0.5, "triangular", **k),
        lambda x: rescu(x, 0.5, "triangular"),
    ),
    "RESCU trained": (
        lambda o, **k: o.RESCU(0.5, "normal", trainable_parameters="beta", **k),
        lambda x: rescu(x, 0.5, "normal"),
    ),
}
FUNCTIONS = {
    "name": "smelu",
    "function": smelu,
    "gsmelu": "gsmelu",
    "rescu": rescu,
    "named": smelu_tf.get("rescu:0.5:normal"),
}
each_layer = pytest.mark.parametrize(("make", "function"), LAYERS.values(), ids=LAYERS)


def model_of(k, activation, dtype=None):
    """A small network with an activation, as a layer or inside Dense."""
    layers = [k.layers.Input((3,)), k.layers.Dense(5, dtype=dtype)]
    if isinstance(activation, k.layers.Layer):
        layers += [activation]
    else:
        layers[1] = k.layers.Dense(5, activation=activation, dtype=dtype)
    return k.Sequential([*layers, k.layers.Dense(1, dtype="float32")])


X = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)


@each_layer
def test_the_layer_is_the_function(flavour, make, function):
    _, ours = flavour
    got = make(ours)(tf.constant(X))
    np.testing.assert_allclose(got, function(tf.constant(X)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "function",
    [
        smelu,
        lambda x: smelu(x=x, beta=0.5),
        lambda x: gsmelu(x, 0.5, t=1.0),
        lambda x: rescu(x, 0.5, "normal"),
        smelu_tf.get("smelu:0.5"),
        smelu_tf.get("rescu:1:laplace"),
    ],
)
def test_a_function_called_on_a_symbolic_tensor_is_a_layer(flavour, function, tmp_path):
    k, _ = flavour
    inputs = k.layers.Input((3,))
    model = k.Model(inputs, function(inputs))
    np.testing.assert_allclose(model(X), function(tf.constant(X)), rtol=1e-6)
    model.save(str(tmp_path / "model.keras"))
    again = k.models.load_model(str(tmp_path / "model.keras"))
    np.testing.assert_array_equal(again(X), model(X))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_a_symbolic_call_keeps_the_dtype_and_takes_what_the_function_takes(
    flavour, dtype
):
    k, _ = flavour
    inputs = k.layers.Input((3,), dtype=dtype)
    assert tf.as_dtype(smelu(inputs).dtype) == dtype
    x = tf.cast(tf.constant(X), dtype)
    model = k.Model(inputs, smelu(inputs, 0.5))
    np.testing.assert_array_equal(model(x), smelu(x, 0.5))
    with pytest.raises(TypeError, match="too many positional"):
        smelu(inputs, 0.5, True)
    with pytest.raises(ValueError, match="floating-point tensor, received int32"):
        smelu(k.layers.Input((3,), dtype="int32"))


@pytest.mark.parametrize("trained", [False, True])
def test_a_layer_within_a_branch_is_trained(flavour, trained):
    k, ours = flavour

    class Sometimes(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.bend = ours.SmeLU(0.5, trainable_parameters=trained)

        def build(self, input_shape):
            self.bend.build(input_shape)
            self.built = True

        def call(self, inputs):
            return tf.cond(
                tf.size(inputs) > 0, lambda: self.bend(inputs), lambda: inputs
            )

    model = k.Sequential([k.layers.Input((3,)), k.layers.Dense(4), Sometimes()])
    model.compile("sgd", "mse", jit_compile=False)
    history = model.fit(X, np.zeros((32, 4)), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    if trained:
        assert float(model.layers[-1].bend.beta) != pytest.approx(0.5, rel=1e-6)


@each_layer
def test_config_round_trip(flavour, make, function):
    k, ours = flavour
    layer = make(ours, name="act", regularizer="l2")
    config = json.loads(json.dumps(layer.get_config()))  # plain values only
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    again = k.layers.deserialize(k.layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    assert again.name == "act"


@each_layer
def test_symbolic_shape_and_dtype_are_those_of_values(flavour, make, function):
    k, ours = flavour
    for shape in ((4,), (7, 2), (3, 3, 2)):
        symbolic = make(ours)(k.layers.Input(shape))
        assert tuple(symbolic.shape) == (None, *shape)
    for policy in ("float64", "mixed_bfloat16", "mixed_float16", "bfloat16"):
        layer = make(ours, dtype=policy)
        y = layer(tf.constant(X))
        assert tf.as_dtype(y.dtype).name == layer.compute_dtype
        for weight in layer.weights:
            assert tf.as_dtype(weight.dtype).name == layer.variable_dtype


@each_layer
def test_masks_are_passed_on(flavour, make, function):
    k, ours = flavour
    inputs = k.layers.Input((4,))
    embedded = k.layers.Embedding(5, 3, mask_zero=True)(inputs)
    activated = make(ours)(embedded)
    pooled = k.layers.GlobalAveragePooling1D()(activated)
    steps, mean = k.Model(inputs, [activated, pooled])(np.array([[1, 2, 0, 0]]))
    # Padding does not count: the mean is that of the two steps that are none.
    np.testing.assert_allclose(mean, np.mean(steps[:, :2], axis=1), rtol=1e-6)


@each_layer
@pytest.mark.slow
def test_mixed_precision_trains(flavour, make, function):
    k, ours = flavour
    for policy in ("mixed_bfloat16", "mixed_float16"):
        model = model_of(k, make(ours, dtype=policy), dtype=policy)
        model.compile("sgd", "mse")
        history = model.fit(X, X[:, :1], epochs=8, verbose=0).history["loss"]
        assert history[-1] < history[0]


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


def test_trained_parameters_move_and_are_found_again(flavour, tmp_path):
    k, ours = flavour
    layers = {
        "one": ours.SmeLU(0.7, trainable_parameters=True),
        "many": ours.GSmeLU(trainable_parameters=["beta", "t"], shared_axes=[]),
        "wide": ours.RESCU(2.0, "logistic", trainable_parameters=True),
    }
    model = k.Sequential([k.layers.Input((3,)), k.layers.Dense(4), *layers.values()])
    start = {name: layer.parameters() for name, layer in layers.items()}
    np.testing.assert_allclose(start["one"]["beta"], 0.7, rtol=1e-6)
    np.testing.assert_allclose(start["many"]["beta"], np.ones(4), rtol=1e-6)
    model.compile("adam", "mse")
    model.fit(X, np.tile(X[:, :1], 4), epochs=5, verbose=0)
    assert float(layers["one"].beta) != pytest.approx(0.7, rel=1e-5)
    assert np.all(np.abs(layers["many"].parameters()["t"]) > 1e-5)
    assert layers["many"].parameters()["alpha"] == 1.0  # not among the trained
    assert float(layers["wide"].beta) != pytest.approx(2.0, rel=1e-5)
    model.save(str(tmp_path / "model.keras"))
    again = k.models.load_model(str(tmp_path / "model.keras"))
    for layer, loaded in zip(layers.values(), again.layers[1:], strict=True):
        for name, value in layer.parameters().items():
            np.testing.assert_array_equal(loaded.parameters()[name], value)


@pytest.mark.parametrize("raw", [-1e30, -100.0, 0.0, 100.0, 1e30])
def test_no_weight_makes_a_width_invalid(flavour, raw):
    _, ours = flavour
    for layer in (
        ours.SmeLU(trainable_parameters=True),
        ours.GSmeLU(trainable_parameters=["alpha", "beta"]),
        ours.RESCU(density="squareplus", trainable_parameters=True),
    ):
        layer.build((None, 3))
        layer.set_weights([np.float32(raw) for _ in layer.get_weights()])
        x = tf.constant([[-2.0, 0.0, 2.0]])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        assert 1e-3 <= float(layer.parameters()["beta"]) < np.inf
        assert np.all(np.isfinite(y))
        assert np.all(np.isfinite(tape.gradient(y, x)))


def test_shapes_of_trained_parameters(flavour):
    _, ours = flavour
    by_axes = {(): (4, 5, 3), (1, 2): (1, 1, 3), (-1,): (4, 5, 1), 1: (1, 5, 3)}
    for axes, shape in {None: (), **by_axes}.items():
        layer = ours.SmeLU(0.5, trainable_parameters=True, shared_axes=axes)
        layer(tf.zeros([2, 4, 5, 3]))
        assert tuple(layer.weights[0].shape) == shape
    # A list gives each channel its own beginning, trained or fixed.
    for trained in (False, True):
        layer = ours.SmeLU([0.5, 1.0, 2.0], trained, shared_axes=[1, 2])
        got = layer(tf.zeros([2, 4, 5, 3]))
        np.testing.assert_allclose(got[0, 0, 0], [0.125, 0.25, 0.5], rtol=1e-6)


def test_the_regularizer_sees_the_parameter_and_not_its_weight(flavour):
    k, ours = flavour
    layer = ours.SmeLU(2.0, True, regularizer=k.regularizers.L2(0.1))
    layer(tf.constant(X))
    assert float(layer.losses[0]) == pytest.approx(0.1 * 2.0**2, rel=1e-5)
    model = model_of(k, ours.SmeLU(2.0, True, regularizer=k.regularizers.L1(100.0)))
    model.compile(k.optimizers.SGD(1e-3), "mse")
    model.fit(X, X[:, :1], epochs=3, verbose=0)
    assert float(model.layers[1].beta) < 1.9


@pytest.mark.parametrize(
    "k", [pytest.param("keras", marks=pytest.mark.slow), "tf_keras"]
)
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
    returncode, output = run(code, TF_USE_LEGACY_KERAS=str(int(k == "tf_keras")))
    assert returncode == 0, output


@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf"), "1", [-1.0], None])
def test_a_beta_that_is_none_is_refused(flavour, beta):
    for make in (flavour[1].SmeLU, flavour[1].RESCU):
        with pytest.raises(ValueError, match="beta: expected a finite number"):
            make(beta)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: o.SmeLU(tf.constant(1.0)), "expected a number or a list of numbers"),
        (lambda o: o.SmeLU(0.0, True), "beta: expected more than 0.001 where it is"),
        (
            lambda o: o.GSmeLU(-0.5, trainable_parameters="alpha"),
            "alpha: expected more",
        ),
        (lambda o: o.GSmeLU(0.5, -1.0), r"alpha \+ beta: expected 0 or more"),
        (
            lambda o: o.GSmeLU(trainable_parameters="gamma"),
            "among alpha, beta, .*'gamma'",
        ),
        (lambda o: o.RESCU(density="box"), "density: expected one of uniform"),
        (
            lambda o: o.GSmeLU(1.0, -0.5, trainable_parameters="alpha"),
            "beta: expected 0 or more where alpha is trained, received -0.5",
        ),
        (lambda o: o.SmeLU([], True), "beta: expected a finite number"),
        (lambda o: o.SmeLU(1.0, None), "expected True, False or names .*received None"),
        (lambda o: o.SmeLU(1.0, True, "a"), "shared_axes: expected None or whole num"),
        (lambda o: o.SmeLU(1.0, True, [1.5]), "shared_axes: .*received .1.5."),
        (
            lambda o: o.SmeLU(1.0, True, shared_axes=[0])(X),
            r"shared_axes: expected different axes from 1 to 1 of inputs of shape "
            r"\(32, 3\), received \[0\]",
        ),
        (
            lambda o: o.SmeLU(1.0, True, shared_axes=[2])(X),
            "shared_axes: expected diff",
        ),
        (
            lambda o: o.SmeLU(1.0, True, shared_axes=[]).build((None, None, 3)),
            "shared_axes: expected all axes whose size is not known",
        ),
        (
            lambda o: o.SmeLU([1.0, 2.0], True, shared_axes=[])(X),
            r"beta: expected a shape that broadcasts to the parameter's, \(3,\), "
            r"received \(2,\)",
        ),
    ],
)
def test_what_layers_do_not_take_is_refused(flavour, make, message):
    with pytest.raises(ValueError, match=message):
        make(flavour[1])


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
        returncode, output = run(code, str(tmp_path / name), TF_CPP_MIN_LOG_LEVEL="0")
        assert returncode == 0, output
        assert "Compiled cluster using XLA" not in output
    # The line that is looked for is there if something is compiled.
    _, output = run(code, str(tmp_path / "plain"), "control", TF_CPP_MIN_LOG_LEVEL="0")
    assert "Compiled cluster using XLA" in output


def run(code, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error:::smelu_tf", "-c", code, *arguments],
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
assert after - before <= {"smelu_tf", "__future__"}, after - before
layer = tf.keras.layers.Dense(2, activation="smelu")
assert layer.activation is smelu_tf.smelu
assert isinstance(smelu_tf.SmeLU(), tf.keras.layers.Layer)
"""
    returncode, output = run(code, TF_USE_LEGACY_KERAS=legacy)
    assert returncode == 0, output


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
    returncode, output = run(code, TF_USE_LEGACY_KERAS="1")
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
