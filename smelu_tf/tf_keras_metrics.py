"""The metrics for tf-keras (Keras 2)."""

from __future__ import annotations

import tf_keras

from ._metrics import PredictionDifferenceMixin


@tf_keras.saving.register_keras_serializable("smelu_tf")
class PredictionDifference(PredictionDifferenceMixin, tf_keras.metrics.Metric):
    __doc__ = PredictionDifferenceMixin.__doc__
