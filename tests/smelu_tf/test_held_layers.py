"""smelu_tf/_held_layers.py: layers that those of one's own classes hold."""

import keras
import pytest
import tensorflow as tf
from replaceable_models import X, assert_is_the_model_with, dense, with_random_weights

from smelu_tf import replace_activations, smelu


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

    @k.saving.register_keras_serializable("test_held_layers")
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
