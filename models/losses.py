"""What a training minimises."""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import tensorflow as tf

from smelu_tf.pipelines import Batch

from .anti_distillation import AntiDistillation
from .codistillation import Codistillation
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

        loss = Σ_k ℓ(y, p_k) + Σ_t term_t,    ℓ(y, p) = -y log p - (1 - y) log(1 - p),
        p_k = sigmoid(z_k - log(negative_rate))

    The sum is over the model's towers, one of them or several: each learns by its own
    logit z_k. With tables of its own it trains as it would alone, terms aside.

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
        towers = model.tower_logits(batch.features, training=True)
        logit = tf.reshape(model.served_logit(towers), [-1])
        kept = [tf.reshape(z, [-1]) - math.log(self.negative_rate) for z in towers]
        losses = [_log_loss(batch, z) for z in kept]
        losses += [term(tf.stack(kept), batch, step) for term in self.terms]
        return losses[0] if len(losses) == 1 else tf.add_n(losses), logit

    def log_loss(self, batch: Batch, logit: tf.Tensor) -> tf.Tensor:
        """The log loss of each row by the model's logit, terms aside: float32 (B,)."""
        return _log_loss(batch, logit - math.log(self.negative_rate))


def _log_loss(batch: Batch, logit: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=batch.label, logits=logit)


def _terms(config: TrainConfig, teachers: Teachers | None) -> tuple[Term, ...]:
    loss, rate = config.loss, config.data.negative_rate
    terms: list[Term] = []
    if loss.codistillation:
        terms.append(Codistillation(loss.codistillation, loss.burn_in_steps))
    if loss.anti_distillation:
        terms.append(AntiDistillation(loss.anti_distillation))
    if loss.distillation and teachers is not None:
        terms.append(Distillation(loss.distillation, teachers, rate))
    return tuple(terms)
