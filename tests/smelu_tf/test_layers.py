"""The layers of both Kerases climb one ladder."""

import json

import numpy as np
import pytest
import tensorflow as tf
from activation_layers import X, each_layer, model_of

import smelu_tf
from smelu_tf import gsmelu, rescu, smelu


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


@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf"), "1", [-1.0], None])
def test_a_beta_that_is_none_is_refused(flavour, beta):
    for make in (flavour[1].SmeLU, flavour[1].RESCU):
        with pytest.raises(ValueError, match="beta: expected a finite number"):
            make(beta)
