"""Every layer of ours, the functions that they are, and a network around them."""

import numpy as np
import pytest

import smelu_tf
from smelu_tf import gsmelu, rescu, smelu

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

X = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)


def model_of(k, activation, dtype=None):
    """A small network with an activation, as a layer or inside Dense."""
    layers = [k.layers.Input((3,)), k.layers.Dense(5, dtype=dtype)]
    if isinstance(activation, k.layers.Layer):
        layers += [activation]
    else:
        layers[1] = k.layers.Dense(5, activation=activation, dtype=dtype)
    return k.Sequential([*layers, k.layers.Dense(1, dtype="float32")])
