"""The layers and the initializer for tf-keras (Keras 2), and their names there."""

from __future__ import annotations

import tf_keras

from ._layers import GSmeLUMixin, RESCUMixin, SmeLUMixin
from .functional import LAYERS, gsmelu, rescu, smelu
from .initializers import SignalPreservingMixin
from .names import NamedActivation


class _Layer(tf_keras.layers.Layer):
    _keras = tf_keras
    _NO_AUTOCAST = {"experimental_autocast": False}


@tf_keras.saving.register_keras_serializable("smelu_tf")
class SmeLU(SmeLUMixin, _Layer):
    __doc__ = SmeLUMixin.__doc__


@tf_keras.saving.register_keras_serializable("smelu_tf")
class GSmeLU(GSmeLUMixin, _Layer):
    __doc__ = GSmeLUMixin.__doc__


@tf_keras.saving.register_keras_serializable("smelu_tf")
class RESCU(RESCUMixin, _Layer):
    __doc__ = RESCUMixin.__doc__


for _name, _layer in {"smelu": SmeLU, "gsmelu": GSmeLU, "rescu": RESCU}.items():
    LAYERS["tf_keras", _name] = _layer


@tf_keras.saving.register_keras_serializable("smelu_tf")
class SignalPreserving(SignalPreservingMixin, tf_keras.initializers.Initializer):
    __doc__ = SignalPreservingMixin.__doc__
    _keras = tf_keras


tf_keras.saving.register_keras_serializable("smelu_tf")(NamedActivation)
# HDF5 files name classes without their package.
tf_keras.saving.get_custom_objects().setdefault("NamedActivation", NamedActivation)
for _name, _function in {"smelu": smelu, "gsmelu": gsmelu, "rescu": rescu}.items():
    tf_keras.saving.register_keras_serializable("smelu_tf", _name)(_function)
    # `activation="smelu"`: bare names are looked up among the custom objects.
    tf_keras.saving.get_custom_objects().setdefault(_name, _function)
