"""The compiled training step, under every strategy whose replicas go together."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import tensorflow as tf

from smelu_tf.pipelines import Batch

from .metrics import BinaryMetrics
from .optimizers import WideDeepOptimizer
from .wide_deep import WideDeep

MAX_LOSS = 100.0
"""A batch's mean log loss beyond which a training has diverged: odds of e^100."""


class Steps(NamedTuple):
    """What a call of `TrainSteps` has done.

    Attributes:
        last_loss: the mean log loss of the last batch, before it was learned.
        stop_wanted: how many workers want to stop.
        num_steps: how many batches were learned.
        finished: whether the data are over.
    """

    last_loss: float
    stop_wanted: int
    num_steps: int
    finished: bool


class TrainSteps:
    """A model, its optimizer and its figures, and the function that trains them.

    Each batch is predicted, counted into the figures, then learned. All calls but those
    that meet the data's end train on the same number of batches.

    Args:
        model: built under the strategy in force, as are the optimizer and the figures.
        optimizer: counts the steps.
        metrics: the progressive figures.
        negative_rate: the part of the rows of label 0 that the batches hold. The loss
            then is that of logit - log(rate): the odds among the rows kept are
            1 / rate times those among all rows, which the logit stays the log of. In
            the figures a row of label 0 stands for 1 / rate rows.
        steps_per_execution: batches a call.

    Source: of the correction, McMahan et al., Ad Click Prediction, KDD 2013, which
    weights the loss; here it is exact in the logit instead.
    """

    def __init__(
        self,
        model: WideDeep,
        optimizer: WideDeepOptimizer,
        metrics: BinaryMetrics,
        negative_rate: float = 1.0,
        steps_per_execution: int = 1,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._metrics = metrics
        self._negative_rate = negative_rate
        self._num_steps = steps_per_execution
        self._strategy = tf.distribute.get_strategy()
        self._run = tf.function(self._steps, autograph=False)

    def __call__(self, iterator: Any, stop_wanted: bool = False) -> Steps:
        """Trains on the next batches of an iterator.

        It ends early behind a batch whose loss is no longer a sensible number.

        Args:
            iterator: of the parts and sizes that `for_replicas` gives.
            stop_wanted: whether this worker wants to stop: all learn of it.
        """
        before = int(self._optimizer.iterations)
        try:
            loss, wanted = self._run(iterator, tf.constant(int(stop_wanted)))
            result, finished = (float(loss), int(wanted)), False
        except tf.errors.OutOfRangeError:
            result, finished = (0.0, 0), True
        return Steps(*result, int(self._optimizer.iterations) - before, finished)

    def join(self) -> float:
        """Waits for nothing: calls have been made when they return."""
        return 0.0

    def step(self, batch: Batch, num_rows: tf.Tensor) -> tf.Tensor:
        """Learns this replica's part of a batch; returns its part of the mean loss."""
        label = batch.label
        with tf.GradientTape() as tape:
            logit = tf.reshape(self._model(batch.features, training=True), [-1])
            loss = batch.weight * tf.nn.sigmoid_cross_entropy_with_logits(
                labels=label, logits=logit - math.log(self._negative_rate)
            )
            mean = tf.reduce_sum(loss) / tf.cast(tf.maximum(num_rows, 1), loss.dtype)
        variables = self._model.trainable_variables
        gradients = tape.gradient(mean, variables)
        if self._model.is_random_in_training:
            logit = tf.reshape(self._model(batch.features, training=False), [-1])
        weight = batch.weight
        if self._negative_rate < 1:
            weight *= tf.where(label > 0, 1.0, 1.0 / self._negative_rate)
        self._metrics.update_state(label, logit, weight)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return mean

    def _steps(self, iterator: Any, stop_wanted: tf.Tensor) -> tuple[tf.Tensor, ...]:
        def body(done: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, ...]:
            losses = self._strategy.run(self.step, args=next(iterator))
            return done + 1, self._strategy.reduce("SUM", losses, axis=None)

        def goes_on(done: tf.Tensor, loss: tf.Tensor) -> tf.Tensor:
            return (done < self._num_steps) & (loss < MAX_LOSS)  # false for NaN, too

        _, loss = tf.while_loop(
            goes_on, body, (tf.constant(0), tf.constant(0.0)), parallel_iterations=1
        )
        return loss, self._summed(stop_wanted)

    def _summed(self, number: tf.Tensor) -> tf.Tensor:
        """The sum over replicas of a number that each worker has."""

        def sum_of(number: tf.Tensor) -> tf.Tensor:
            return tf.distribute.get_replica_context().all_reduce("SUM", number)

        if self._strategy.num_replicas_in_sync == 1:
            return number
        sums = self._strategy.run(sum_of, args=(number,))
        return self._strategy.experimental_local_results(sums)[0]
