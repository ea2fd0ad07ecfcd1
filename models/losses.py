"""What a training minimises."""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import tensorflow as tf

from smelu_tf.pipelines import Batch

from .config import TrainConfig
from .distillation import Distillation, Teachers
from .wide_deep import WideDeep


class Term(Protocol):
    """Something that is minimised besides the log loss, a cure's part of the loss."""

    def __call__(
        self, logits: tf.Tensor, batch: Batch, step: tf.Tensor | int
    ) -> tf.Tensor:
        """The term of each row.

        Args:
            logits: of each tower, float32 (K, B): the log odds among the rows kept.
            batch: the rows.
            step: how many steps were made.

        Returns:
            float32 (B,).
        """


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss of every row of a batch, for a model in training.

        loss = ℓ(y, p) + Σ_t term_t,    ℓ(y, p) = -y log p - (1 - y) log(1 - p),
        p = sigmoid(logit - log(negative_rate))

    Attributes:
        negative_rate: the part of the rows of label 0 that the batches hold. The loss
            then is that of logit - log(rate): the odds among the rows kept are
            1 / rate times those among all rows, which the logit stays the log of.
        terms: what is minimised besides.

    Source: of the correction, McMahan et al., Ad Click Prediction, KDD 2013, which
    weights the loss; here it is exact in the logit instead.
    """

    negative_rate: float = 1.0
    terms: tuple[Term, ...] = ()

    @classmethod
    def of(cls, config: TrainConfig, teachers: Teachers | None = None) -> Objective:
        """The objective that a configuration describes.

        Args:
            config: the configuration.
            teachers: the models that it learns from, if any.
        """
        return cls(config.data.negative_rate, _terms(config, teachers))

    def __call__(
        self, model: WideDeep, batch: Batch, step: tf.Tensor | int = 0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of each row, not weighted, and its logit: float32 (B,) each.

        Args:
            model: whose.
            batch: the rows.
            step: how many steps were made.
        """
        logit = tf.reshape(model(batch.features, training=True), [-1])
        kept = logit - math.log(self.negative_rate)
        losses = [
            tf.nn.sigmoid_cross_entropy_with_logits(labels=batch.label, logits=kept)
        ]
        losses += [term(kept[tf.newaxis], batch, step) for term in self.terms]
        return losses[0] if len(losses) == 1 else tf.add_n(losses), logit


def _terms(config: TrainConfig, teachers: Teachers | None) -> tuple[Term, ...]:
    loss, rate = config.loss, config.data.negative_rate
    terms: list[Term] = []
    if loss.distillation and teachers is not None:
        terms.append(Distillation(loss.distillation, teachers, rate))
    return tuple(terms)
