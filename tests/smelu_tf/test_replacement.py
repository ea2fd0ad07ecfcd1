"""Activations are replaced in models of both Kerases; all else stays as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from python_code import run_code
from replaceable_models import (
    MODELS,
    X,
    assert_is_the_model_with,
    branched,
    dense,
    ref_smelu,
    refused,
    run,
    sequential,
    weights_of,
    with_random_weights,
)

from smelu_tf import keras_layers, replace_activations, smelu, tf_keras_layers


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("how", ["name", "function", "layer"])
def test_all_places_are_replaced_and_all_else_is_kept(flavour, build, how):
    k, ours = flavour
    model = with_random_weights(build(k, "relu"))
    new = {"name": "smelu", "function": smelu, "layer": ours.SmeLU()}[how]
    copy = assert_is_the_model_with(model, new, build(k, "smelu"))
    assert [layer.name for layer in copy.layers] == [
        layer.name for layer in model.layers
    ] or build is branched


def test_the_forward_pass_by_hand(flavour):
    k, _ = flavour
    model = k.Sequential([k.layers.Input((3,)), dense(k, 4, "relu"), dense(k, 2)])
    copy = replace_activations(with_random_weights(model), {"relu": "smelu:0.5"})
    kernel, bias, last_kernel, last_bias = weights_of(model)
    expected = ref_smelu(X @ kernel + bias, 0.5) @ last_kernel + last_bias
    np.testing.assert_allclose(run(copy), expected, rtol=1e-5, atol=1e-6)


def test_smelu_itself_can_be_replaced(flavour):
    k, _ = flavour
    model = with_random_weights(sequential(k, "smelu"))
    assert_is_the_model_with(
        model, None, sequential(k, "relu"), mapping={"smelu": "relu"}
    )


@pytest.mark.parametrize("new", ["smelu:0.5", "layer"])
@pytest.mark.parametrize(
    "build",
    [
        pytest.param(
            build,
            id=name,
            marks=pytest.mark.slow if name in ("nested", "recurrent") else (),
        )
        for name, build in MODELS.items()
    ],
)
def test_the_copy_trains_and_is_saved(flavour, build, new, tmp_path):
    k, ours = flavour
    k.utils.set_random_seed(1)
    copy = replace_activations(
        build(k, "relu"), {"relu": ours.SmeLU(0.5) if new == "layer" else new}
    )
    copy.compile("sgd", "mse")
    history = copy.fit(
        X, np.ones((len(X), *copy.output_shape[1:])), epochs=8, verbose=0
    )
    assert history.history["loss"][-1] < history.history["loss"][0]
    path = str(tmp_path / "model.keras")
    copy.save(path)
    np.testing.assert_array_equal(run(k.models.load_model(path)), run(copy))


def test_several_inputs_in_a_dictionary(flavour):
    k, _ = flavour
    inputs = {name: k.layers.Input((3,), name=name) for name in ("a", "b")}
    outputs = {"sum": k.layers.Add()([dense(k, 2, "relu")(x) for x in inputs.values()])}
    model = k.Model(inputs, outputs)
    copy = replace_activations(model, {"relu": "smelu"})
    got = copy({"a": tf.constant(X), "b": tf.constant(2 * X)})
    first, bias, second, _ = weights_of(model)
    expected = ref_smelu(X @ first + bias, 1.0) + ref_smelu(2 * X @ second, 1.0)
    np.testing.assert_allclose(got["sum"], expected, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_replaced_is_listed_in_one_error(flavour):
    k, _ = flavour

    class Hidden(k.layers.Layer):
        def call(self, x):
            return tf.nn.relu(x)

    model = k.Sequential(
        [
            k.layers.Input((3,)),
            dense(k, 3, "relu"),
            k.layers.ReLU(max_value=4, name="clipped"),
            dense(k, 3, k.layers.ReLU(threshold=1, name="late")),
            Hidden(name="hidden"),
        ]
    )
    refused(
        model,
        {"relu": "smelu"},
        r"received 3 that cannot: clipped \(ReLU with max_value=4(\.0)?\); "
        r"late \(ReLU with threshold=1(\.0)?\); "
        r"\S*hidden(_1)?/Relu \(Relu\)\.",
    )
    # The replacement is made of the same operation: there is nothing to tell by.
    only_hidden = k.Sequential([k.layers.Input((3,)), dense(k, 3, "relu"), Hidden()])
    replace_activations(only_hidden, {"relu": tf.nn.crelu})


def test_the_copy_is_not_compiled(flavour):
    k, _ = flavour
    model = k.Sequential([k.layers.Input((3,)), dense(k, 3, "relu")])
    model.compile("adam", "mse")
    model.fit(X, X, verbose=0)
    with pytest.raises((RuntimeError, ValueError), match="compile"):
        replace_activations(model, {"relu": "smelu"}).fit(X, X, verbose=0)


def test_mappings_that_are_refused(flavour):
    k, ours = flavour
    model = k.Sequential(
        [k.layers.Input((3,)), dense(k, 3, "relu"), dense(k, 3, "elu")]
    )
    other = tf_keras_layers if k is keras else keras_layers
    refused(model, {}, "expected an activation or more, received none")
    refused(model, {"rleu": "smelu"}, "that Keras knows, received 'rleu'")
    refused(model, {7: "smelu"}, "that Keras knows, received 7")
    refused(model, {"relu": "smleu"}, "the nearest is smelu")
    refused(model, {"relu": "smelu:-1"}, "beta")
    refused(model, {"relu": 3}, "a function or a layer .* received 3", TypeError)
    refused(model, {"relu": ours.SmeLU}, "a function or a layer .*", TypeError)
    refused(model, "relu", "expected a dictionary .*, received 'relu'", TypeError)
    refused(
        model,
        {"tanh": "smelu", "relu": "smelu"},
        "nothing to replace for tanh; .* are: elu, linear, relu|relu, elu|elu, relu",
    )
    refused(
        model,
        {"relu": other.SmeLU()},
        f"a layer of {k.__name__}, .* received SmeLU, a layer of (tf_)?keras",
    )


def test_models_that_are_refused(flavour):
    k, ours = flavour
    refused(3, {"relu": "smelu"}, "expected a Keras model, received int", TypeError)
    refused(ours.SmeLU(), {"relu": "smelu"}, "model, received SmeLU", TypeError)
    model = k.Sequential([dense(k, 3, "relu")])
    refused(model, {"relu": "smelu"}, "expected a built model, received 'sequential")


def test_a_model_whose_inputs_are_unknown_is_refused():
    class Sum(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = dense(keras, 2, "relu")

        def call(self, x, y):
            return self.dense(x + y)

        def get_config(self):
            return {}

    model = Sum()
    model(tf.constant(X), tf.constant(X))  # Keras 3 records the first shape only
    refused(model, {"relu": "smelu"}, "expected a copy that can be called on")


@pytest.mark.parametrize("legacy", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_the_other_keras_is_not_loaded(legacy):
    code = """
import sys
import tensorflow as tf
from smelu_tf.replacement import replace_activations
layers = tf.keras.layers
model = tf.keras.Sequential([layers.Input((3,)), layers.Dense(2, "relu")])
replace_activations(model, {"relu": "smelu:0.5"})
assert len({"keras", "tf_keras"} & set(sys.modules)) == 1, sorted(sys.modules)
"""
    returncode, output = run_code(code, TF_USE_LEGACY_KERAS=legacy)
    assert returncode == 0, output
