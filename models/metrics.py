"""Metrics of a click model from counts and sums that merge."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
import tf_keras

Figures = dict[str, float | int | None]

# The histogram of logits, for AUC: bins of 1/256 from -16 to 16.
NUM_BINS = 8192
BINS_PER_UNIT = 256

_NUM_SNAPSHOTS = 16


def probability(logit: tf.Tensor) -> tf.Tensor:
    """The float32 sigmoid of a logit, the same at every place of a tensor.

    float32 `sigmoid` depends on an element's place in the tensor (vector units and
    their remainder round differently), so it is computed in float64 and rounded.
    """
    return tf.cast(tf.sigmoid(tf.cast(logit, tf.float64)), tf.float32)


def row_values(label: tf.Tensor, logit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What a row of weight 1 adds to `BinaryCounts`.

    Args:
        label: float64 (B,), 0 or 1.
        logit: float64 (B,).

    Returns:
        float64 (4, B): 1, log loss, prediction and label; and int32 (B,): where in the
        flattened histogram it belongs.
    """
    loss = tf.math.softplus(logit) - label * logit
    values = tf.stack([tf.ones_like(loss), loss, tf.sigmoid(logit), label])
    bins = tf.cast(tf.floor(logit * BINS_PER_UNIT), tf.int32) + NUM_BINS // 2
    bins = tf.clip_by_value(bins, 0, NUM_BINS - 1)
    return values, bins + NUM_BINS * tf.cast(label, tf.int32)


@dataclasses.dataclass(frozen=True, eq=False)
class BinaryCounts:
    """What all figures of predictions are taken from: it adds up, and subtracts.

    The counts of two sets of rows are the sum of the counts of each; those of the later
    rows are the counts of all, less those of the earlier ones. With weights that are
    multiples of one power of two (1, 0.5, 4 …) weight, label and histogram are exact
    in this; all else is to the rounding of float64.

    Attributes:
        sums: float64 (5,): the number of examples, and the weighted sums of 1 (the
            weight), log loss, prediction and label.
        histogram: float64 (2, bins): the weight of label 0 and of label 1 by the logit,
            in bins of 1/256 from -16 to 16; logits beyond are in the outermost ones.

    Examples:
        >>> metrics = BinaryMetrics()
        >>> metrics.update_state([0.0, 1.0], [-1.0, 1.0])
        >>> earlier = metrics.counts()
        >>> metrics.update_state([1.0], [0.0])
        >>> round((metrics.counts() - earlier).figures()["log_loss"], 4)
        0.6931
    """

    sums: np.ndarray
    histogram: np.ndarray

    @classmethod
    def zero(cls) -> BinaryCounts:
        """The counts of no rows."""
        return cls(np.zeros(5), np.zeros((2, NUM_BINS)))

    def __add__(self, other: BinaryCounts) -> BinaryCounts:
        return BinaryCounts(self.sums + other.sums, self.histogram + other.histogram)

    def __sub__(self, other: BinaryCounts) -> BinaryCounts:
        return BinaryCounts(self.sums - other.sums, self.histogram - other.histogram)

    @property
    def num_examples(self) -> int:
        """How many examples have been counted."""
        return int(self.sums[0])

    def figures(self) -> Figures:
        """The figures by name, as `BinaryMetrics` has them, ready for JSON.

        A figure that the counts do not determine (of one class only, say) is None.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            values = _figures(self.sums, self.histogram, np)
        finite = {
            name: float(value) if math.isfinite(value) else None
            for name, value in values.items()
        }
        return {**finite, "num_examples": self.num_examples}


class Counts(Protocol):
    """What figures of rows are taken from, as `BinaryCounts` is: it subtracts."""

    def __sub__(self, other: Any) -> Any:
        """The counts of the rows that the other ones are not of."""

    @property
    def num_examples(self) -> int:
        """How many examples have been counted."""

    def figures(self) -> Figures:
        """The figures by name."""


class SlidingWindow:
    """The figures of the latest rows, from counts that only grow.

    From the counts so far it takes off those of some time ago, of which it keeps
    about 16, 130 KB each. The window then has `num_rows` rows, or up to 1/16 and what
    lies between two calls more; as long as there are fewer rows, all of them.

    Args:
        num_rows: of the window, 1 or more.
        start: the counts that were there at the start, which no window looks beyond;
            by default `BinaryCounts` of no rows.

    Raises:
        ValueError: `num_rows` is less than 1.

    Examples:
        >>> metrics, window = BinaryMetrics(), SlidingWindow(2)
        >>> for label in (1.0, 0.0, 0.0):
        ...     metrics.update_state([label], [0.0])
        ...     figures = window.update(metrics.counts())
        >>> figures["num_examples"], figures["calibration"]  # of labels 0 alone
        (2, None)
    """

    def __init__(self, num_rows: int, start: Counts | None = None) -> None:
        if num_rows < 1:
            raise ValueError(f"num_rows: expected 1 or more, received {num_rows}.")
        self._num_rows = num_rows
        self._snapshots: deque[Counts] = deque([start or BinaryCounts.zero()])

    def update(self, counts: Counts) -> Figures:
        """The figures of the latest rows.

        Args:
            counts: of all rows so far, those of the last call among them.
        """
        snapshots = self._snapshots
        first = counts.num_examples - self._num_rows
        while len(snapshots) > 1 and snapshots[1].num_examples <= first:
            snapshots.popleft()
        figures: Figures = (counts - snapshots[0]).figures()
        spacing = self._num_rows / _NUM_SNAPSHOTS
        if counts.num_examples - snapshots[-1].num_examples >= spacing:
            snapshots.append(counts)
        return figures


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
        dtype: float64.

    Raises:
        ValueError: another dtype.

    Examples:
        >>> metrics = BinaryMetrics()
        >>> metrics.update_state([0.0, 1.0], [[-1.0], [1.0]])
        >>> round(float(metrics.result()["log_loss"]), 4)
        0.3133
    """

    def __init__(self, name: str = "metrics", dtype: str = "float64") -> None:
        if tf.as_dtype(dtype) != tf.float64:
            raise ValueError(f"dtype: expected float64, received {dtype}.")
        super().__init__(name=name, dtype="float64")
        # As in `BinaryCounts`.
        self.sums = self.add_weight(name="sums", shape=(5,), initializer="zeros")
        self.histogram = self.add_weight(
            name="histogram", shape=(2, NUM_BINS), initializer="zeros"
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
        values, cells = row_values(label, logit)
        size = tf.cast(tf.size(label), tf.float64)
        # One product takes half the time of a sum for each of them.
        weighted = tf.linalg.matvec(values, weight)
        self.sums.assign_add(tf.concat([[size], weighted], axis=0))
        # Not Bincount: it differs between runs even under op determinism.
        counts = tf.math.unsorted_segment_sum(weight, cells, 2 * NUM_BINS)
        self.histogram.assign_add(tf.reshape(counts, [2, NUM_BINS]))

    def counts(self) -> BinaryCounts:
        """What has been added, as NumPy arrays; the variables are read once."""
        variables = (self.sums, self.histogram)
        return BinaryCounts(*(tf.convert_to_tensor(v).numpy() for v in variables))

    def result(self) -> dict[str, tf.Tensor]:
        """The figures by name; not finite where the counts do not determine one."""
        sums = tf.convert_to_tensor(self.sums)
        return _figures(sums, tf.convert_to_tensor(self.histogram), tnp)

    def figures(self) -> Figures:
        """The figures as Python numbers, ready for JSON: None where undetermined."""
        return self.counts().figures()

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


def _figures(sums: Any, histogram: Any, numpy: Any) -> dict[str, Any]:
    """The figures of counts, in NumPy or in TensorFlow.

    Args:
        sums: as in `BinaryCounts`.
        histogram: as there.
        numpy: `np` for arrays, TensorFlow's `tnp` for tensors: one formula for both.
    """

    def plogp(p: Any) -> Any:
        return p * numpy.log(numpy.where(p == 0, 1.0, p))

    num_examples, weight, loss, prediction, label = (sums[i] for i in range(5))
    rate = label / weight
    entropy = -plogp(rate) - plogp(1 - rate)
    # From the highest logit to the lowest.
    negatives, positives = (numpy.flip(histogram[i], 0) for i in range(2))
    num_negatives, num_positives = numpy.sum(negatives), numpy.sum(positives)
    found = numpy.cumsum(positives)
    concordant = numpy.sum(negatives * (found - positives / 2))
    ranked = found + numpy.cumsum(negatives)
    precision = found / numpy.where(ranked == 0, 1.0, ranked)
    return {
        "num_examples": num_examples,
        "weight": weight,
        "log_loss": loss / weight,
        "normalized_entropy": loss / weight / entropy,
        "auc": concordant / (num_negatives * num_positives),
        "pr_auc": numpy.sum(precision * positives) / num_positives,
        "calibration": prediction / label,
    }
