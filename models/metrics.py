"""Metrics of a click model from counts and sums that merge."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras

# The histogram of logits, for AUC: bins of 1/256 from -16 to 16.
_NUM_BINS = 8192
_BINS_PER_UNIT = 256


def probability(logit: tf.Tensor) -> tf.Tensor:
    """The float32 sigmoid of a logit, the same at every place of a tensor.

    float32 `sigmoid` depends on an element's place in the tensor (vector units and
    their remainder round differently), so it is computed in float64 and rounded.
    """
    return tf.cast(tf.sigmoid(tf.cast(logit, tf.float64)), tf.float32)


@tf_keras.saving.register_keras_serializable("smelu_tf")
class BinaryMetrics(tf_keras.metrics.Metric):
    """All figures of a model that predicts logits, from float64 sums and counts.

    - `log_loss`: mean of -y log p - (1-y) log(1-p);
    - `normalized_entropy`: log loss ÷ entropy of the mean label;
    - `auc`, `pr_auc`: areas under the ROC and the precision-recall curve, from a
      histogram of the logits (bins of 1/256, values in one bin tie);
    - `calibration`: mean prediction ÷ mean label.

    Sums and counts merge exactly over batches, replicas and shards; the figures are
    taken from the merged ones.

    Args:
        name: of the metric.
        dtype: float64; anything else is refused.

    Example:
        >>> metrics = BinaryMetrics()
        >>> metrics.update_state([0.0, 1.0], [[-1.0], [1.0]])
        >>> round(float(metrics.result()["log_loss"]), 4)
        0.3133
    """

    def __init__(self, name: str = "metrics", dtype: str = "float64") -> None:
        if tf.as_dtype(dtype) != tf.float64:
            raise ValueError(f"dtype: expected float64, received {dtype}.")
        super().__init__(name=name, dtype="float64")
        # examples, weight, loss, prediction, label (the last four weighted)
        self.sums = self.add_weight(name="sums", shape=(5,), initializer="zeros")
        self.histogram = self.add_weight(
            name="histogram", shape=(2, _NUM_BINS), initializer="zeros"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: labels 0 or 1, (B,) or (B, 1).
            y_pred: logits, (B,) or (B, 1).
            sample_weight: weights, (B,) or (B, 1); 1 where None.
        """
        label = tf.reshape(tf.cast(y_true, tf.float64), [-1])
        logit = tf.reshape(tf.cast(y_pred, tf.float64), [-1])
        weight = tf.ones_like(label)
        if sample_weight is not None:
            weight = tf.reshape(tf.cast(sample_weight, tf.float64), [-1])
        loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logit)
        columns = [tf.ones_like(loss), loss, tf.sigmoid(logit), label]
        weighted = [tf.reduce_sum(weight * column) for column in columns]
        size = tf.cast(tf.size(label), tf.float64)
        self.sums.assign_add(tf.stack([size, *weighted]))
        bins = tf.cast(tf.floor(logit * _BINS_PER_UNIT), tf.int32) + _NUM_BINS // 2
        bins = tf.clip_by_value(bins, 0, _NUM_BINS - 1)
        # Not Bincount: it differs between runs even under op determinism.
        counts = tf.math.unsorted_segment_sum(
            weight, bins + _NUM_BINS * tf.cast(label, tf.int32), 2 * _NUM_BINS
        )
        self.histogram.assign_add(tf.reshape(counts, [2, _NUM_BINS]))

    def result(self) -> dict[str, tf.Tensor]:
        """The figures by name; NaN where the counts do not determine one."""
        num_examples, weight, loss, prediction, label = tf.unstack(self.sums)
        log_loss = loss / weight
        rate = label / weight
        entropy = -(tf.math.xlogy(rate, rate) + tf.math.xlogy(1 - rate, 1 - rate))
        return {
            "num_examples": num_examples,
            "weight": weight,
            "log_loss": log_loss,
            "normalized_entropy": log_loss / entropy,
            **_areas(self.histogram),
            "calibration": prediction / label,
        }

    def reset_state(self) -> None:
        """Starts again from nothing."""
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    @property
    def num_examples(self) -> tf.Tensor:
        """How many examples have been added."""
        return self.sums[0]

    @property
    def log_loss(self) -> tf.Tensor:
        """The mean log loss of the examples added."""
        return self.sums[2] / self.sums[1]

    def figures(self) -> dict[str, float | int | None]:
        """The figures as Python numbers, ready for JSON: None where undetermined."""
        values = {name: float(value) for name, value in self.result().items()}
        finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
        return {**finite, "num_examples": int(values["num_examples"])}


def _areas(histogram: tf.Tensor) -> dict[str, tf.Tensor]:
    """Areas under the curves of a histogram (2, bins): negatives, positives."""
    counts = tf.reverse(tf.convert_to_tensor(histogram), axis=[1])
    negatives, positives = tf.unstack(counts)
    above = tf.cumsum(positives, exclusive=True)  # positives ranked higher
    all_negatives, all_positives = tf.reduce_sum(negatives), tf.reduce_sum(positives)
    concordant = tf.reduce_sum(negatives * (above + positives / 2))
    found = above + positives
    ranked = found + tf.cumsum(negatives)
    precision = tf.math.divide_no_nan(found, ranked)
    return {
        "auc": concordant / (all_negatives * all_positives),
        "pr_auc": tf.reduce_sum(precision * positives) / all_positives,
    }
