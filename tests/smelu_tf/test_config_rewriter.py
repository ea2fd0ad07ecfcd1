"""smelu_tf/_config_rewriter.py: what comes in an activation's place, and what stays."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from replaceable_models import (
    MODELS,
    X,
    assert_is_the_model_with,
    dense,
    recurrent,
    run,
    scaled,
    sequential,
    with_random_weights,
)

from smelu_tf import replace_activations


def test_a_replacement_that_is_a_layer_of_a_function_is_that_function(flavour):
    k, ours = flavour
    layer = k.layers.Activation("smelu")
    assert_is_the_model_with(sequential(k, "relu"), layer, sequential(k, "smelu"))


def test_several_at_once_are_not_replaced_twice(flavour):
    k, _ = flavour

    def made(first, second):
        return k.Sequential(
            [k.layers.Input((3,)), dense(k, 4, first), dense(k, 4, second)]
        )

    assert_is_the_model_with(
        with_random_weights(made("relu", "elu")),
        None,
        made("elu", "relu"),
        mapping={"relu": "elu", "elu": "relu"},
    )


def test_functions_of_one_s_own_are_kept(flavour):
    k, _ = flavour

    def doubled(x):
        return 2 * x

    def made(activation):
        return k.Sequential(
            [k.layers.Input((3,)), dense(k, 4, doubled), dense(k, 4, activation)]
        )

    model, expected = with_random_weights(made("relu")), made("smelu")
    copy = assert_is_the_model_with(model, "smelu", expected)
    assert copy.layers[0].activation is doubled


def test_lambdas_keep_what_they_refer_to(flavour):
    k, _ = flavour
    factor = tf.constant(3.0)

    def made(activation):
        return k.Sequential(
            [
                k.layers.Input((3,)),
                dense(k, 4, activation),
                k.layers.Lambda(lambda x: factor * tf.abs(x)),
                dense(k, 4, lambda x: factor * x),
            ]
        )

    model, expected = with_random_weights(made("relu")), made("smelu")
    with pytest.warns(UserWarning, match="includes a `lambda`"):
        copy = replace_activations(model, {"relu": "smelu"})
    expected.set_weights(model.get_weights())
    np.testing.assert_allclose(run(copy), run(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_every_place_gets_its_own_copy_of_a_layer_with_weights(flavour, build):
    k, _ = flavour
    cls = scaled(k)
    template = cls(name="template")
    model, expected = with_random_weights(build(k, "relu")), build(k, "smelu")
    expected.set_weights(model.get_weights())
    copy = replace_activations(model, {"relu": template})
    assert not template.weights
    new = [layer for layer in copy._flatten_layers() if type(layer) is cls]
    assert len(new) >= 2
    if k is keras or build is not recurrent:  # tf-keras copies within Bidirectional
        assert len({layer.name for layer in new}) == len(new)
    assert len({id(layer.scale) for layer in new}) == len(new)
    assert len(copy.weights) == len(model.weights) + len(new)
    np.testing.assert_allclose(run(copy), run(expected), rtol=1e-5, atol=1e-6)
    copy.compile("sgd", "mse")
    copy.fit(X, np.ones((len(X), *copy.output_shape[1:])), epochs=2, verbose=0)
    assert any(float(layer.scale) != 1 for layer in new)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_dtype_policies_are_kept(flavour, policy):
    k, ours = flavour
    inputs = k.layers.Input((3,))
    x = k.layers.Dense(4, activation="relu", dtype=policy)(inputs)
    x = k.layers.ReLU(dtype=policy, name="relu_layer")(x)
    x = keras.ops.relu(x) if k is keras else tf.nn.relu(x)
    model = k.Model(inputs, [x, k.layers.Dense(1, dtype="float32")(x)])
    for new in ("smelu", ours.SmeLU(0.5), scaled(k)()):
        copy = replace_activations(model, {"relu": new})
        assert [tf.as_dtype(y.dtype) for y in copy.outputs] == [
            tf.as_dtype(y.dtype) for y in model.outputs
        ]
        first = copy(tf.constant(X))[0]
        assert tf.as_dtype(first.dtype).name == policy.removeprefix("mixed_")
        assert copy.get_layer("relu_layer").compute_dtype == first.dtype
        inside = copy.layers[1].activation
        assert getattr(inside, "compute_dtype", first.dtype) == first.dtype
        assert all(tf.as_dtype(w.dtype) == tf.float32 for w in copy.weights)
