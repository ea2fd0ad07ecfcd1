"""Small models of either Keras whose activations are replaced, and checks of copies."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from smelu_tf import replace_activations, smelu

X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)


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


def ref_smelu(x, beta):
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


def refused(model, mapping, match, error=ValueError):
    with pytest.raises(error, match=match):
        replace_activations(model, mapping)
