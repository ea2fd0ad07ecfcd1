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
        self._calls = 1
        self._steps_in_graph = steps_per_execution
        self._strategy = tf.distribute.get_strategy()
        if self._strategy.num_replicas_in_sync > 1:
            # Collective operations in a loop expect shapes that stay the same, and
            # batches look up different numbers of rows.
            self._calls, self._steps_in_graph = steps_per_execution, 1
        self._run = tf.function(self._steps, autograph=False)

    def __call__(self, iterator: Any, stop_wanted: bool = False) -> Steps:
        """Trains on the next batches of an iterator.

        It ends early behind a batch whose loss is no longer a sensible number.

        Args:
            iterator: of the parts and sizes that `for_replicas` gives.
            stop_wanted: whether this worker wants to stop: all learn of it.
        """
        before = self._num_steps_done()
        loss, wanted, finished = 0.0, 0, False
        flag = tf.constant(int(stop_wanted))
        try:
            for _ in range(self._calls):
                loss, wanted = (value.numpy() for value in self._run(iterator, flag))
                if not loss < MAX_LOSS:
                    break
        except tf.errors.OutOfRangeError:
            finished = True
        done = self._num_steps_done() - before
        return Steps(float(loss), int(wanted), done, finished)

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
            return (done < self._steps_in_graph) & (loss < MAX_LOSS)  # not for NaN

        start = (tf.constant(0), tf.constant(0.0))
        if self._steps_in_graph == 1:
            _, loss = body(*start)
        else:
            _, loss = tf.while_loop(goes_on, body, start, parallel_iterations=1)
        return loss, self._summed(stop_wanted)

    def _num_steps_done(self) -> int:
        return int(tf.convert_to_tensor(self._optimizer.iterations))

    def _summed(self, number: tf.Tensor) -> tf.Tensor:
        """The sum over replicas of a number that each worker has."""

        if self._strategy.num_replicas_in_sync == 1:
            return number
        numbers = self._strategy.run(tf.identity, args=(number,))
        return self._strategy.reduce("SUM", numbers, axis=None)
