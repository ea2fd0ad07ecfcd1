"""smelu_tf/_activation_configs.py: which layers and calls are an activation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from replaceable_models import X, ref_smelu, refused, run, sequential

import smelu_tf
from smelu_tf import replace_activations


@pytest.mark.parametrize("how", ["layer", "Activation", "function"])
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "softmax", "relu6"])
def test_a_layer_or_a_call_with_the_function_s_arguments_is_the_function(
    flavour, name, how
):
    k, _ = flavour
    if how == "layer" and name == "relu6":
        pytest.skip("no such layer")
    if how == "Activation":
        layer = k.layers.Activation(name)
    elif how == "layer":
        slope = "negative_slope" if k is keras else "alpha"
        layer = {
            "relu": lambda: k.layers.ReLU(),
            "leaky_relu": lambda: k.layers.LeakyReLU(**{slope: 0.2}),
            "elu": lambda: k.layers.ELU(),
            "softmax": lambda: k.layers.Softmax(),
        }[name]()
    elif k is keras:
        layer = getattr(keras.activations, name)
    else:
        layer = getattr(tf.nn, name)
    inputs = k.layers.Input((3,))
    model = k.Model(inputs, layer(inputs))
    copy = replace_activations(model, {name: "smelu"})
    np.testing.assert_allclose(run(copy), ref_smelu(X, 1.0), rtol=1e-5, atol=1e-6)


def test_a_lambda_of_the_function_itself(flavour):
    k, _ = flavour
    function = keras.ops.relu if k is keras else tf.nn.relu
    model = k.Sequential([k.layers.Input((3,)), k.layers.Lambda(function)])
    copy = replace_activations(model, {"relu": "smelu"})
    np.testing.assert_allclose(run(copy), ref_smelu(X, 1.0), rtol=1e-5, atol=1e-6)


def test_other_names_of_an_activation(flavour):
    k, _ = flavour
    for name, other in (("swish", "silu"), ("silu", "swish")):
        model = k.Sequential([k.layers.Input((3,)), k.layers.Activation(name)])
        copy = replace_activations(model, {other: "smelu"})
        np.testing.assert_allclose(run(copy), ref_smelu(X, 1.0), rtol=1e-5, atol=1e-6)


def test_a_relu_of_at_most_6_is_relu6(flavour):
    k, _ = flavour
    model = k.Sequential([k.layers.Input((3,)), k.layers.ReLU(6.0)])
    copy = replace_activations(model, {"relu6": "smelu"})
    np.testing.assert_allclose(run(copy), ref_smelu(X, 1.0), rtol=1e-5, atol=1e-6)
    refused(model, {"relu": "smelu"}, "nothing to replace for relu; .* are: relu6")


@pytest.mark.parametrize("how", ["layer", "symbolic", "named"])
def test_our_layers_and_calls_are_activations_too(flavour, how):
    k, ours = flavour
    inputs = k.layers.Input((3,))
    outputs = {
        "layer": lambda: ours.SmeLU()(inputs),
        "symbolic": lambda: smelu_tf.smelu(inputs),
        "named": lambda: k.layers.Activation(smelu_tf.get("swish"))(inputs),
    }[how]()
    name = "silu" if how == "named" else "smelu"
    copy = replace_activations(k.Model(inputs, outputs), {name: "relu"})
    np.testing.assert_array_equal(run(copy), np.maximum(X, 0))


def test_our_layers_with_other_parameters_are_listed(flavour):
    k, ours = flavour
    wide, named = ours.SmeLU(2.0, name="wide"), smelu_tf.get("smelu:0.5")
    model = k.Sequential([k.layers.Input((3,)), wide, k.layers.Dense(2, named)])
    with pytest.raises(ValueError, match=r"2 that cannot: wide .*beta=2.0.*'0.5'"):
        replace_activations(model, {"smelu": "relu"})
    with pytest.raises(ValueError, match="for gsmelu; the model's activations are: "):
        replace_activations(sequential(k, "relu"), {"gsmelu": "relu"})


def test_a_call_with_other_arguments_is_listed():
    inputs = tf_keras.layers.Input((3,))
    model = tf_keras.Model(inputs, tf.nn.leaky_relu(inputs, alpha=0.5))
    match = r"1 that cannot: \S+ \(TFOpLambda with alpha=0.5\)"
    refused(model, {"leaky_relu": "smelu"}, match)
