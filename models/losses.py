"""What a training minimises."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from smelu_tf.pipelines import Batch

from .wide_deep import WideDeep


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss of every row of a batch, for a model in training.

        loss = -y log p - (1 - y) log(1 - p),    p = sigmoid(logit - log(negative_rate))

    Attributes:
        negative_rate: the part of the rows of label 0 that the batches hold. The loss
            then is that of logit - log(rate): the odds among the rows kept are
            1 / rate times those among all rows, which the logit stays the log of.

    Source: of the correction, McMahan et al., Ad Click Prediction, KDD 2013, which
    weights the loss; here it is exact in the logit instead.
    """

    negative_rate: float = 1.0

    def __call__(self, model: WideDeep, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of each row, not weighted, and its logit: float32 (B,) each."""
        logit = tf.reshape(model(batch.features, training=True), [-1])
        loss = tf.nn.sigmoid_cross_entropy_with_logits(
            labels=batch.label, logits=logit - math.log(self.negative_rate)
        )
        return loss, logit
