"""smelu_tf/_model_state.py: weights and all other state are the copy's too."""

import keras
import numpy as np
import tensorflow as tf
from replaceable_models import (
    X,
    dense,
    refused,
    run,
    scaled,
    sequential,
    with_random_weights,
)

from smelu_tf import replace_activations


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
