"""A model with what trains it: one step of it, on one replica's part of a batch."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import tensorflow as tf

from smelu_tf.pipelines import Batch

from . import loss_scale
from .comparison import Comparison, Logit
from .config import TrainConfig
from .distillation import Teachers
from .loss_scale import AnyOptimizer
from .losses import Objective
from .metrics import BinaryMetrics
from .wide_deep import WideDeep


class Predicted(NamedTuple):
    """What the figures are of: float32 (B,) each.

    Attributes:
        label: 0 to 1.
        logit: predicted before it was learned.
        weight: of each row of all, if the batch is a sample.
    """

    label: tf.Tensor
    logit: tf.Tensor
    weight: tf.Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Learner:
    """A model, what trains it, and its figures.

    Attributes:
        model: built under the strategy in force, as are the optimizer and the figures.
        optimizer: counts the steps, those among them that a loss scale skips.
        metrics: the progressive figures. Where batches hold a part of the rows of label
            0 only, each stands for 1 / `objective.negative_rate` rows in them.
        objective: what is minimised.
        comparison: a model that the predictions counted in the figures are compared
            with.
    """

    model: WideDeep
    optimizer: AnyOptimizer
    metrics: BinaryMetrics
    objective: Objective = Objective()
    comparison: Comparison | None = None

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        model: WideDeep,
        optimizer: AnyOptimizer,
        metrics: BinaryMetrics,
        teachers: Teachers | None = None,
        served: Logit | None = None,
    ) -> Learner:
        """A model with what trains it as a configuration says.

        Args:
            config: the configuration.
            model: built under the strategy in force.
            optimizer: for the model's dtype policy. Its slots are made here, under the
                strategy too, and are there to be restored.
            metrics: the progressive figures.
            teachers: what the model learns from, if anything.
            served: the model that its predictions are compared with, if any.
        """
        optimizer._create_all_weights(model.trainable_variables)
        return cls(
            model,
            optimizer,
            metrics,
            Objective.of(config, teachers),
            None if served is None else Comparison(served),
        )

    def learn(self, batch: Batch, num_rows: tf.Tensor) -> tuple[tf.Tensor, Predicted]:
        """Learns this replica's part of a batch, which is predicted before.

        Args:
            batch: the part.
            num_rows: int32 scalar: the rows of the whole batch.

        Returns:
            Its part of the mean log loss: that of the model's logit, whatever else is
            minimised, and no number where what is minimised is none, or where its
            gradients in float16 are none at any scale. And the predictions, which are
            yet to be counted.
        """
        with tf.GradientTape() as tape:
            loss, logit = self.objective(self.model, batch, self.optimizer.iterations)
            size = tf.cast(tf.maximum(num_rows, 1), loss.dtype)
            mean = tf.reduce_sum(batch.weight * loss) / size
        log_loss = self.objective.log_loss(batch, logit)
        mean_log_loss = tf.reduce_sum(batch.weight * log_loss) / size
        if self.model.is_random_in_training:
            logit = self.model.scores(batch.features)
        weight, rate = batch.weight, self.objective.negative_rate
        if rate < 1:
            weight *= tf.where(batch.label > 0, 1.0, 1.0 / rate)
        predicted = Predicted(batch.label, logit, weight)
        if self.comparison is not None:
            self.comparison.update(batch.features, logit, weight)
        can_learn = loss_scale.minimize(
            self.optimizer, mean, self.model.trainable_variables, tape
        )
        mean = tf.where(can_learn, mean, math.inf)
        return tf.where(tf.math.is_finite(mean), mean_log_loss, mean), predicted

    def count(self, predicted: Predicted) -> None:
        """Counts predictions into the figures."""
        self.metrics.update_state(*predicted)
