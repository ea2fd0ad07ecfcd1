"""The metrics for Keras 3."""

from __future__ import annotations

import keras

from ._keras_flavour import check_backend
from ._metrics import PredictionDifferenceMixin

check_backend(keras)


@keras.saving.register_keras_serializable("smelu_tf")
class PredictionDifference(PredictionDifferenceMixin, keras.metrics.Metric):
    __doc__ = PredictionDifferenceMixin.__doc__
