"""The prediction difference from one other model, counted while rows go by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
import tf_keras

from smelu_tf.difference_kinds import DifferenceKind, distance
from smelu_tf.pipelines.transform import Features

from .metrics import Figures

_KINDS = (DifferenceKind("relative"), DifferenceKind("absolute"))

Logit = Callable[[Features], tf.Tensor]
"""A model as a function of `Batch.features`, to float32 (B,)."""


@dataclasses.dataclass(frozen=True, eq=False)
class DifferenceCounts:
    """What the differences of two models' predictions are taken from: it adds up.

    Attributes:
        sums: float64 (4,): the number of examples, and the weighted sums of 1 (the
            weight), the relative and the absolute difference.

    Examples:
        >>> DifferenceCounts(np.array([2.0, 2.0, 0.1818, 0.02])).figures()
        {'prediction_difference': 0.0909, 'absolute_prediction_difference': 0.01}
    """

    sums: np.ndarray

    @classmethod
    def zero(cls) -> DifferenceCounts:
        """The counts of no rows."""
        return cls(np.zeros(4))

    def __sub__(self, other: DifferenceCounts) -> DifferenceCounts:
        return DifferenceCounts(self.sums - other.sums)

    @property
    def num_examples(self) -> int:
        """How many examples have been counted."""
        return int(self.sums[0])

    def figures(self) -> Figures:
        """The mean differences by name; None where there is no weight.

        - `prediction_difference`: mean of 2·|p - q| / (p + q);
        - `absolute_prediction_difference`: mean of |p - q|.
        """
        _, weight, relative, absolute = (float(value) for value in self.sums)
        return {
            "prediction_difference": relative / weight if weight > 0 else None,
            "absolute_prediction_difference": absolute / weight if weight > 0 else None,
        }


class Differences(tf_keras.metrics.Metric):
    """Counts the differences of two models' predictions, in float64.

        relative: 2·|p - q| / (p + q),  absolute: |p - q|,  p, q = sigmoid(logits)

    0 where both are 0. Sums merge exactly over batches and replicas.

    Args:
        name: of the metric.

    Source: the relative difference is that of Shamir & Lin, arXiv 2202.06499, for two
    models.
    """

    def __init__(self, name: str = "differences") -> None:
        super().__init__(name=name, dtype="float64")
        # As in `DifferenceCounts`.
        self.sums = self.add_weight(name="sums", shape=(4,), initializer="zeros")

    def update_state(self, logit: Any, other: Any, sample_weight: Any) -> None:
        """Adds a batch.

        Args:
            logit: of one model, (B,).
            other: of the other one, (B,).
            sample_weight: weights, (B,).
        """
        p, q, weight = (
            tf.reshape(tf.cast(values, tf.float64), [-1])
            for values in (logit, other, sample_weight)
        )
        p, q = tf.sigmoid(p), tf.sigmoid(q)
        relative, absolute = (distance(p, q, kind, tnp) for kind in _KINDS)
        values = tf.stack([tf.ones_like(p), relative, absolute])
        size = tf.cast(tf.size(p), tf.float64)
        weighted = tf.linalg.matvec(values, weight)
        self.sums.assign_add(tf.concat([[size], weighted], axis=0))

    def counts(self) -> DifferenceCounts:
        """What has been added."""
        return DifferenceCounts(tf.convert_to_tensor(self.sums).numpy())

    def result(self) -> dict[str, tf.Tensor]:
        """The figures of `DifferenceCounts` by name; 0 where there are none."""
        sums = tf.convert_to_tensor(self.sums)
        means = tf.math.divide_no_nan(sums[2:], sums[1])
        names = DifferenceCounts.zero().figures()
        return dict(zip(names, tf.unstack(means), strict=True))

    def reset_state(self) -> None:
        """Starts again from nothing."""
        self.sums.assign(tf.zeros_like(self.sums))


class Comparison:
    """A model that others are compared with, and how far they have differed from it.

    Made under the strategy in force.

    Args:
        served: the model.

    Attributes:
        differences: what has been counted.
    """

    def __init__(self, served: Logit) -> None:
        self._served = served
        self.differences = Differences()

    def update(self, features: Features, logit: tf.Tensor, weight: tf.Tensor) -> None:
        """Counts a batch that the compared model has predicted.

        Args:
            features: as in `Batch`.
            logit: what the compared model predicts, (B,).
            weight: of the rows, (B,).
        """
        self.differences.update_state(logit, self._served(features), weight)
