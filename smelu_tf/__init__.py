"""SmeLU and its kin for TensorFlow and Keras, and the prediction difference.

`SmeLU`, `GSmeLU`, `RESCU` and `SignalPreserving` are those of whatever `tf.keras` is;
`smelu_tf.keras_layers` (Keras 3) and `smelu_tf.tf_keras_layers` (tf-keras) hold those
of each flavour. Importing this package makes `activation="smelu"` known to that Keras.
"""

import tensorflow as _tf

from .functional import gsmelu, rescu, smelu
from .kernel import get_kernel, set_kernel
from .names import get
from .prediction_difference import prediction_difference
from .replacement import replace_activations

# TensorFlow has loaded its Keras already; the other one is left alone.
if _tf.keras.Model.__module__.partition(".")[0] == "tf_keras":
    from .tf_keras_layers import RESCU, GSmeLU, SignalPreserving, SmeLU
else:
    from .keras_layers import RESCU, GSmeLU, SignalPreserving, SmeLU

__version__ = "0.1.0"

__all__ = [
    "GSmeLU",
    "RESCU",
    "SignalPreserving",
    "SmeLU",
    "get",
    "get_kernel",
    "gsmelu",
    "prediction_difference",
    "replace_activations",
    "rescu",
    "set_kernel",
    "smelu",
]
