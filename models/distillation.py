"""Distillation: a model that also learns what models made before predict."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import tensorflow as tf

from smelu_tf import recording
from smelu_tf.pipelines import Batch, Schema
from smelu_tf.pipelines.transform import Features

from .comparison import Logit
from .scoring import load_logit
from .wide_deep import WideDeep


@dataclasses.dataclass(frozen=True)
class Teachers:
    """Models that another one learns from: their mean probability.

    Attributes:
        logits: the models, one or more.
    """

    logits: tuple[Logit, ...]

    @classmethod
    def load(
        cls, paths: Sequence[str | os.PathLike[str]], schema: Schema
    ) -> Teachers | None:
        """The models of model_dirs and SavedModels; None of no paths.

        Args:
            paths: where they are.
            schema: of the batches that they are to predict.

        Raises:
            ValueError: as `load_logit`.
        """
        if not paths:
            return None
        return cls(tuple(load_logit(path, schema, "loss.teachers") for path in paths))

    @classmethod
    def of(cls, models: Sequence[WideDeep]) -> Teachers:
        """Models in memory, whatever their weights are when they are asked."""
        return cls(tuple(model.scores for model in models))

    def probability(self, features: Features) -> tf.Tensor:
        """The mean of what the models predict, float32 (B,); no gradient goes back."""
        with recording.paused():
            parts = [tf.sigmoid(logit(features)) for logit in self.logits]
            return tf.stop_gradient(tf.add_n(parts) / len(parts))


@dataclasses.dataclass(frozen=True)
class Distillation:
    """Has a model learn what its teachers predict, besides the labels.

        λ Σ_k ψ(q, p_k),  q = stop_gradient(mean of the teachers' probabilities),
        ψ(q, p) = -q log p - (1 - q) log(1 - p),  p_k = sigmoid(z_k)

    With an ensemble as the teachers, one model comes near the ensemble's agreement.
    With the model that is being served as the teacher, predictions change less from one
    model to the next: λ is the price of change.

    Attributes:
        strength: λ, above 0.
        teachers: the models.
        negative_rate: the part of the rows of label 0 that the batches hold. The
            teachers predict for all rows: what is learned is their probability among
            the rows kept, q / (q + negative_rate · (1 - q)).

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, arXiv
    1503.02531; Fard et al., Launch and Iterate: Reducing Prediction Churn, NeurIPS
    2016, and Jiang et al., Churn Reduction via Distillation, arXiv 2106.02654, for the
    model that is being served as the teacher.

    Examples:
        >>> distill = Distillation(1.0, Teachers((lambda features: tf.zeros([1]),)))
        >>> batch = Batch({}, label=tf.zeros([1]), weight=tf.ones([1]))
        >>> distill(tf.constant([[0.0]]), batch).numpy().round(4)
        array([0.6931], dtype=float32)
    """

    strength: float
    teachers: Teachers
    negative_rate: float = 1.0

    def __call__(
        self, logits: tf.Tensor, batch: Batch, step: tf.Tensor | int = 0
    ) -> tf.Tensor:
        """The term of each row.

        Args:
            logits: of each tower, float32 (K, B): the log odds among the rows kept.
            batch: the rows.
            step: how many steps were made; makes no difference.

        Returns:
            float32 (B,).
        """
        target = self.teachers.probability(batch.features)
        if self.negative_rate < 1:
            target /= target + self.negative_rate * (1.0 - target)
        targets = tf.broadcast_to(target, tf.shape(logits))
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
        return self.strength * tf.reduce_sum(losses, axis=0)
