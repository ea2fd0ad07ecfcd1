"""Activations are replaced in models of both Kerases; all else stays as it was."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf import keras_layers, smelu, tf_keras_layers
from smelu_tf.replacement import replace_activations

FLAVOURS = {"keras": (keras, keras_layers), "tf_keras": (tf_keras, tf_keras_layers)}
X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)


@pytest.fixture(params=FLAVOURS)
def flavour(request):
    return FLAVOURS[request.param]


def _ref_smelu(x, beta):
    inside = (x + beta) ** 2 / (4 * beta)
    return np.where(x <= -beta, 0.0, np.where(x >= beta, x, inside))


def with_random_weights(model):
    """The model, with other weights than any that a layer starts from."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1.0, w.shape) - 0.4 for w in model.weights])
    for layer in model._flatten_layers():
        if "BatchNormalization" in type(layer).__name__:
            layer.moving_variance.assign(layer.moving_variance + 1.0)
    return model


def weights_of(model):
    return [np.array(weight) for weight in model.get_weights()]


def run(model, *inputs):
    return np.asarray(model(*(tf.constant(x) for x in inputs or (X,)), training=False))


def assert_is_the_model_with(model, replacement, expected, mapping=None, inputs=(X,)):
    """`expected`, given the model's weights, computes what its copy computes."""
    before = weights_of(model)
    outputs = run(model, *inputs)
    config = repr(model.get_config())
    copy = replace_activations(model, mapping or {"relu": replacement})
    expected.set_weights(before)
    assert type(copy) is type(model)
    assert [w.shape for w in copy.weights] == [w.shape for w in model.weights]
    for old, new in zip(before, weights_of(copy), strict=True):
        np.testing.assert_array_equal(old, new)
    got = run(copy, *inputs)
    np.testing.assert_allclose(got, run(expected, *inputs), rtol=1e-5, atol=1e-6)
    assert np.abs(got - outputs).max() > 1e-3
    np.testing.assert_array_equal(run(model, *inputs), outputs)
    assert repr(model.get_config()) == config
    shared = {id(v) for v in model.variables} & {id(v) for v in copy.variables}
    assert not shared
    return copy


def dense(k, units, activation=None, **kwargs):
    return k.layers.Dense(units, activation=activation, **kwargs)


def sequential(k, activation):
    return k.Sequential(
        [
            k.layers.Input((3,)),
            dense(k, 6, activation),
            k.layers.BatchNormalization(),
            dense(k, 5),
            k.layers.Activation(activation),
            k.layers.Dropout(0.5),
            dense(k, 4),
            k.layers.ReLU()
            if activation == "relu"
            else k.layers.Activation(activation),
            dense(k, 1),
        ]
    )


def branched(k, activation):
    """A layer that is shared, and a call of the activation."""
    inputs = k.layers.Input((3,))
    shared = dense(k, 3, activation)
    left = shared(inputs)
    right = shared(k.layers.Reshape((3,))(dense(k, 3)(left)))
    if activation == "relu":
        right = keras.ops.relu(right - 1) if k is keras else tf.nn.relu(right - 1)
    else:
        right = k.layers.Activation(activation)(right - 1)
    both = k.layers.Concatenate()([left, right])
    return k.Model(inputs, dense(k, 2)(both))


def nested(k, activation):
    inputs = k.layers.Input((3,))
    inner = k.Sequential([k.layers.Input((3,)), dense(k, 3, activation), dense(k, 3)])
    outer = branched(k, activation)
    return k.Model(inputs, outer(inner(inner(inputs))))


def recurrent(k, activation):
    return k.Sequential(
        [
            k.layers.Input((3,)),
            k.layers.Reshape((3, 1)),
            k.layers.TimeDistributed(dense(k, 4, activation)),
            k.layers.Conv1D(4, 2, activation=activation),
            k.layers.Bidirectional(
                k.layers.LSTM(3, return_sequences=True, activation=activation)
            ),
            k.layers.GRU(3, recurrent_activation=activation),
        ]
    )


MODELS = {
    "sequential": sequential,
    "branched": branched,
    "nested": nested,
    "recurrent": recurrent,
}


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


@pytest.mark.parametrize("how", ["call", "build"])
def test_a_subclassed_model_is_searched_as_an_object(flavour, how):
    k, ours = flavour
    if k is keras and how == "build":
        pytest.skip("Keras 3 builds such a model by calling it only")

    class Block(k.layers.Layer):
        def __init__(self, units, activation, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.name_of_activation = activation
            self.activation = k.activations.get(activation)
            self.layers_in_turn = [
                dense(k, units, activation),
                k.layers.ReLU()
                if activation == "relu"
                else k.layers.Activation(activation),
                dense(k, units),
            ]
            self.last = dense(k, units)

        def call(self, x):
            for layer in self.layers_in_turn:
                x = layer(x)
            return self.last(self.activation(x))

        def get_config(self):
            config = {"units": self.units, "activation": self.name_of_activation}
            return {**super().get_config(), **config}

    class Net(k.Model):
        new = "relu"  # not an argument: only the object shows it

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = dense(k, 4, self.new)
            self.act = (
                k.layers.ReLU() if self.new == "relu" else k.layers.Activation(self.new)
            )
            self.second = dense(k, 4)
            self.inner = k.Sequential([k.layers.Input((4,)), dense(k, 4, self.new)])
            self.block = Block(3, self.new)

        def call(self, x):
            x = self.second(self.act(self.first(x)))
            return self.block(self.inner(x))

        def get_config(self):
            return {"name": self.name}

    def made(new):
        Net.new = new
        model = Net()
        model.build((None, 3)) if how == "build" else model(tf.constant(X))
        return model

    model, expected = with_random_weights(made("relu")), made("smelu")
    Net.new = "relu"
    copy = assert_is_the_model_with(model, "smelu", expected)
    assert copy.block is not model.block
    layered = assert_is_the_model_with(model, ours.SmeLU(), expected)
    assert type(layered.act) is ours.SmeLU


def test_a_custom_layer_in_a_functional_model(flavour):
    k, _ = flavour

    @k.saving.register_keras_serializable("test_replacement")
    class Twice(k.layers.Layer):
        new = "relu"

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = dense(k, 3, self.new)

        def call(self, x):
            return self.dense(self.dense(x))

    def made(new):
        Twice.new = new
        return k.Sequential([k.layers.Input((3,)), Twice()])

    model, expected = with_random_weights(made("relu")), made("smelu")
    model.layers[0].dense.trainable = False  # which no config tells
    Twice.new = "relu"
    copy = assert_is_the_model_with(model, "smelu", expected)
    assert copy.layers[0].trainable
    assert not copy.layers[0].dense.trainable


def test_the_forward_pass_by_hand(flavour):
    k, _ = flavour
    model = k.Sequential([k.layers.Input((3,)), dense(k, 4, "relu"), dense(k, 2)])
    copy = replace_activations(with_random_weights(model), {"relu": "smelu:0.5"})
    kernel, bias, last_kernel, last_bias = weights_of(model)
    expected = _ref_smelu(X @ kernel + bias, 0.5) @ last_kernel + last_bias
    np.testing.assert_allclose(run(copy), expected, rtol=1e-5, atol=1e-6)


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
    np.testing.assert_allclose(run(copy), _ref_smelu(X, 1.0), rtol=1e-5, atol=1e-6)


def test_a_lambda_of_the_function_itself(flavour):
    k, _ = flavour
    function = keras.ops.relu if k is keras else tf.nn.relu
    model = k.Sequential([k.layers.Input((3,)), k.layers.Lambda(function)])
    copy = replace_activations(model, {"relu": "smelu"})
    np.testing.assert_allclose(run(copy), _ref_smelu(X, 1.0), rtol=1e-5, atol=1e-6)


def test_other_names_of_an_activation(flavour):
    k, _ = flavour
    for name, other in (("swish", "silu"), ("silu", "swish")):
        model = k.Sequential([k.layers.Input((3,)), k.layers.Activation(name)])
        copy = replace_activations(model, {other: "smelu"})
        np.testing.assert_allclose(run(copy), _ref_smelu(X, 1.0), rtol=1e-5, atol=1e-6)


def test_smelu_itself_can_be_replaced(flavour):
    k, _ = flavour
    model = with_random_weights(sequential(k, "smelu"))
    assert_is_the_model_with(
        model, None, sequential(k, "relu"), mapping={"smelu": "relu"}
    )


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


def test_a_replacement_that_is_a_layer_of_a_function_is_that_function(flavour):
    k, ours = flavour
    layer = k.layers.Activation("smelu")
    assert_is_the_model_with(sequential(k, "relu"), layer, sequential(k, "smelu"))


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


def test_a_relu_of_at_most_6_is_relu6(flavour):
    k, _ = flavour
    model = k.Sequential([k.layers.Input((3,)), k.layers.ReLU(6.0)])
    copy = replace_activations(model, {"relu6": "smelu"})
    np.testing.assert_allclose(run(copy), _ref_smelu(X, 1.0), rtol=1e-5, atol=1e-6)
    refused(model, {"relu": "smelu"}, "nothing to replace for relu; .* are: relu6")


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


def scaled(k):
    """A layer whose one weight scales an activation."""

    class Scaled(k.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
            super().build(input_shape)

        def call(self, x):
            return self.scale * smelu(x)

        def compute_output_shape(self, input_shape):
            return input_shape

    return Scaled


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


def test_weights_of_activations_that_stay_are_kept(flavour):
    k, _ = flavour
    cls = scaled(k)
    model = with_random_weights(
        k.Sequential(
            [
                k.layers.Input((3,)),
                dense(k, 3, "relu"),
                dense(k, 3, cls()),
                k.layers.PReLU(),
                dense(k, 3, "relu"),
            ]
        )
    )
    as_new = replace_activations(model, {"relu": "smelu"})
    run(model)  # builds what is inside Dense, in Keras 3
    with_random_weights(model)
    assert len(as_new.weights) == len(model.weights)
    once = replace_activations(model, {"relu": cls()})
    assert len(once.weights) == len(model.weights) + 2
    old, new = model.layers[1].activation, once.layers[1].activation
    assert float(old.scale) == float(new.scale) != 1
    np.testing.assert_array_equal(model.layers[2].alpha, once.layers[2].alpha)
    assert float(once.layers[0].activation.scale) == 1


def test_statistics_and_frozen_layers_are_kept(flavour):
    k, _ = flavour
    model = with_random_weights(sequential(k, "relu"))
    model.layers[0].trainable = False
    model.layers[1].trainable = False
    copy = replace_activations(model, {"relu": "smelu"})
    np.testing.assert_array_equal(
        copy.layers[1].moving_variance, model.layers[1].moving_variance
    )
    assert [x.trainable for x in copy.layers] == [x.trainable for x in model.layers]
    assert len(copy.trainable_weights) == len(model.trainable_weights) > 0


def test_state_that_is_no_weight_is_kept(flavour):
    k, _ = flavour
    words = np.array([["b"], ["a"], ["b"], ["c"]])
    lookup, scaling = k.layers.StringLookup(), k.layers.Normalization()
    lookup.adapt(words)
    scaling.adapt(3 * X)  # centred, so that both signs occur
    inputs = k.layers.Input((1,), dtype="string"), k.layers.Input((3,))
    embedded = k.layers.Flatten()(k.layers.Embedding(4, 3)(lookup(inputs[0])))
    outputs = k.layers.Activation("relu")(embedded + scaling(inputs[1]))
    model = k.Model(inputs, outputs)
    copy = replace_activations(model, {"relu": "linear"})
    got = np.asarray(copy((tf.constant(words), tf.constant(X[:4]))))
    expected = np.asarray(model((tf.constant(words), tf.constant(X[:4]))))
    np.testing.assert_array_equal(np.maximum(got, 0), expected)
    assert 0 < np.count_nonzero(expected) < expected.size


def test_states_of_random_numbers_are_kept():
    model = sequential(keras, "relu")
    for _ in range(3):
        model(tf.constant(X), training=True)
    copy = replace_activations(model, {"relu": "linear"})
    old, new = (m.layers[4].seed_generator.state for m in (model, copy))
    np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(
        np.asarray(copy.layers[4](tf.ones((4, 4)), training=True)),
        np.asarray(model.layers[4](tf.ones((4, 4)), training=True)),
    )


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


@pytest.mark.parametrize("new", ["smelu:0.5", "layer"])
@pytest.mark.parametrize(
    "build",
    [
        pytest.param(
            build, id=name, marks=pytest.mark.slow if name == "recurrent" else ()
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
    expected = _ref_smelu(X @ first + bias, 1.0) + _ref_smelu(2 * X @ second, 1.0)
    np.testing.assert_allclose(got["sum"], expected, rtol=1e-5, atol=1e-6)


def refused(model, mapping, match, error=ValueError):
    with pytest.raises(error, match=match):
        replace_activations(model, mapping)


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


def test_a_call_with_other_arguments_is_listed():
    inputs = tf_keras.layers.Input((3,))
    model = tf_keras.Model(inputs, tf.nn.leaky_relu(inputs, alpha=0.5))
    match = r"1 that cannot: \S+ \(TFOpLambda with alpha=0.5\)"
    refused(model, {"leaky_relu": "smelu"}, match)


def test_a_layer_held_twice_by_a_custom_layer_stays_one(flavour):
    k, _ = flavour

    class Held(k.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.one = self.two = dense(k, 3, "relu")

        def call(self, x):
            return self.two(self.one(x))

        def get_config(self):
            return super().get_config()

    model = k.Sequential([k.layers.Input((3,)), Held()])
    held = replace_activations(model, {"relu": "smelu"}).layers[0]
    assert held.one is held.two
    assert held.one.activation is smelu


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


def test_layers_of_several_models_stay_shared_or_are_refused(flavour):
    k, _ = flavour
    shared = dense(k, 3, "relu")
    one = k.Sequential([k.layers.Input((3,)), shared])
    two = k.Sequential([k.layers.Input((3,)), shared])
    inputs = k.layers.Input((3,))
    model = k.Model(inputs, two(one(inputs)))
    refused(model, {"relu": "smelu"}, "no layer to be part of several models")


def test_a_class_that_drops_its_settings_is_refused(flavour):
    k, _ = flavour

    class Forgetful(k.layers.Layer):
        def __init__(self, units=2, **kwargs):
            super().__init__(**kwargs)
            self.dense = dense(k, units, "relu")

        def call(self, x):
            return self.dense(x)

        def get_config(self):
            return super().get_config()

    model = k.Sequential([k.layers.Input((3,)), Forgetful(4)])
    refused(
        model, {"relu": "smelu"}, r"made from its config with the weights of shapes"
    )


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


@pytest.mark.parametrize("legacy", ["0", "1"])
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
    done = subprocess.run(
        [sys.executable, "-W", "error:::smelu_tf", "-c", code],
        env={**os.environ, "TF_USE_LEGACY_KERAS": legacy},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
