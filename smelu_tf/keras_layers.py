"""The layers and the initializer for Keras 3, and their names there."""

from __future__ import annotations

import keras

from ._keras_flavour import check_backend
from ._layers import GSmeLUMixin, RESCUMixin, SmeLUMixin
from .functional import LAYERS, gsmelu, rescu, smelu
from .initializers import SignalPreservingMixin
from .names import NamedActivation

check_backend(keras)


class _Layer(keras.layers.Layer):
    _keras = keras
    _NO_AUTOCAST = {"autocast": False}


@keras.saving.register_keras_serializable("smelu_tf")
class SmeLU(SmeLUMixin, _Layer):
    __doc__ = SmeLUMixin.__doc__


@keras.saving.register_keras_serializable("smelu_tf")
class GSmeLU(GSmeLUMixin, _Layer):
    __doc__ = GSmeLUMixin.__doc__


@keras.saving.register_keras_serializable("smelu_tf")
class RESCU(RESCUMixin, _Layer):
    __doc__ = RESCUMixin.__doc__


for _name, _layer in {"smelu": SmeLU, "gsmelu": GSmeLU, "rescu": RESCU}.items():
    LAYERS["keras", _name] = _layer


@keras.saving.register_keras_serializable("smelu_tf")
class SignalPreserving(SignalPreservingMixin, keras.initializers.Initializer):
    __doc__ = SignalPreservingMixin.__doc__
    _keras = keras


keras.saving.register_keras_serializable("smelu_tf")(NamedActivation)
_FUNCTIONS = {"smelu": smelu, "gsmelu": gsmelu, "rescu": rescu}
for _name, _function in _FUNCTIONS.items():
    keras.saving.register_keras_serializable("smelu_tf", _name)(_function)
try:  # `activation="smelu"`: Keras 3 looks bare names up in this private table only.
    from keras.src.activations import ALL_OBJECTS_DICT
except ImportError:  # `activation=smelu_tf.smelu` works all the same
    pass
else:
    for _name, _function in _FUNCTIONS.items():
        ALL_OBJECTS_DICT.setdefault(_name, _function)
