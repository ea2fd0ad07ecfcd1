"""The metrics of whatever `tf.keras` is; see `keras_metrics` and `tf_keras_metrics`."""

from ._keras_flavour import flavour_of_tensorflow

if flavour_of_tensorflow() == "tf_keras":
    from .tf_keras_metrics import PredictionDifference
else:
    from .keras_metrics import PredictionDifference

__all__ = ["PredictionDifference"]
