"""SmeLU and its kin for TensorFlow and Keras, and the prediction difference.

`SmeLU`, `GSmeLU`, `RESCU`, `SignalPreserving` and `metrics` are those of whatever
`tf.keras` is; `smelu_tf.keras_layers` and `keras_metrics` (Keras 3) and
`smelu_tf.tf_keras_layers` and `tf_keras_metrics` (tf-keras) hold those of each flavour.
Importing this package makes `activation="smelu"` known to that Keras.
"""

from . import metrics
from ._keras_flavour import flavour_of_tensorflow as _flavour_of_tensorflow
from .bootstrap import Interval, bootstrap_interval, interval_over_models, pd_ratio
from .difference_counts import PredictionDifferenceCounts
from .difference_kinds import DifferenceKind
from .difference_slices import (
    DifferenceSlice,
    Slicing,
    measure_slices,
    slice_by_click_rate,
    slice_by_prediction,
    slice_by_value,
)
from .functional import gsmelu, rescu, smelu
from .kernel import get_kernel, set_kernel
from .names import get
from .prediction_difference import (
    DifferenceSummary,
    prediction_difference,
    summarize_by_label,
    summarize_prediction_difference,
    true_label_predictions,
)
from .replacement import replace_activations
from .resampling import Bootstrap

# TensorFlow has loaded its Keras already; the other one is left alone.
if _flavour_of_tensorflow() == "tf_keras":
    from .tf_keras_layers import RESCU, GSmeLU, SignalPreserving, SmeLU
else:
    from .keras_layers import RESCU, GSmeLU, SignalPreserving, SmeLU

__version__ = "0.1.0"

__all__ = [
    "RESCU",
    "Bootstrap",
    "DifferenceKind",
    "DifferenceSlice",
    "DifferenceSummary",
    "GSmeLU",
    "Interval",
    "PredictionDifferenceCounts",
    "SignalPreserving",
    "Slicing",
    "SmeLU",
    "bootstrap_interval",
    "get",
    "get_kernel",
    "gsmelu",
    "interval_over_models",
    "measure_slices",
    "metrics",
    "pd_ratio",
    "prediction_difference",
    "replace_activations",
    "rescu",
    "set_kernel",
    "slice_by_click_rate",
    "slice_by_prediction",
    "slice_by_value",
    "smelu",
    "summarize_by_label",
    "summarize_prediction_difference",
    "true_label_predictions",
]
