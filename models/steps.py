"""The compiled training step, under every strategy whose replicas go together."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from smelu_tf import recording
from smelu_tf.pipelines import Batch

from .learner import Learner, Predicted
from .strategies import AS_GIVEN

MAX_LOSS = 100.0
"""A batch's mean log loss beyond which a training has diverged: odds of e^100."""


class Steps(NamedTuple):
    """What a call of `TrainSteps` has done.

    Attributes:
        last_loss: the mean log loss of the last batch, before it was learned; of
            several models the largest; 0 where the data end within the call.
        stop_wanted: how many workers want to stop.
        num_steps: how many batches were learned.
        finished: whether the data are over.
    """

    last_loss: float
    stop_wanted: int
    num_steps: int
    finished: bool


class TrainSteps:
    """The function that trains models on batches: each is predicted, then learned.

    All calls but those that meet the data's end train on the same number of batches.

    Args:
        learners: the models, all of which learn every batch; one or more.
        steps_per_execution: batches a call.
        static_shapes: whether all batches have one shape, so that replicas can go
            through several in one call. Predictions are then counted outside their
            program, by this process, whose figures are float64: a TPU's would not be.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        steps_per_execution: int = 1,
        static_shapes: bool = False,
    ) -> None:
        self._learners = tuple(learners)
        self._calls = 1
        self._steps_in_graph = steps_per_execution
        self._strategy = tf.distribute.get_strategy()
        self._counts_outside = static_shapes
        if self._strategy.num_replicas_in_sync > 1 and not static_shapes:
            # Collective operations in a loop expect shapes that stay the same, and
            # batches look up different numbers of rows.
            self._calls, self._steps_in_graph = steps_per_execution, 1
        # A partial function is one of its own: TensorFlow counts by code how often a
        # function is traced, and would take other models' for this one's.
        self._run = tf.function(
            functools.partial(TrainSteps._steps, self), autograph=False
        )
        # Or many trainings in one process keep all their graphs.
        self._gradients: set[str] = set()
        weakref.finalize(self, recording.forget_gradients, self._gradients)

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
            with recording.registered_gradients(self._gradients):
                for _ in range(self._calls):
                    result = self._run(iterator, flag)
                    loss, wanted = (value.numpy() for value in result)
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
        """Learns this replica's part of a batch; returns its part of the mean loss.

        Of several models it is the largest, or no number if one of theirs is none.
        """
        loss, predictions = self._learned(batch, num_rows)
        for learner, predicted in zip(self._learners, predictions, strict=True):
            learner.count(predicted)
        return loss

    def _learned(
        self, batch: Batch, num_rows: tf.Tensor
    ) -> tuple[tf.Tensor, list[Predicted]]:
        learned = [learner.learn(batch, num_rows) for learner in self._learners]
        losses, predictions = zip(*learned, strict=True)
        loss = losses[0] if len(losses) == 1 else tf.reduce_max(tf.stack(losses))
        return loss, list(predictions)

    def _step_of_all(self, batch_and_size: Any) -> tf.Tensor:
        """All replicas' part of a step; returns its loss."""
        run = self._strategy.run
        if not self._counts_outside:
            return run(self.step, args=batch_and_size)
        losses, predictions = run(self._learned, args=batch_and_size, options=AS_GIVEN)
        for learner, predicted in zip(self._learners, predictions, strict=True):
            parts = map(self._strategy.experimental_local_results, predicted)
            learner.count(Predicted(*(tf.concat(values, axis=0) for values in parts)))
        return losses

    def _steps(self, iterator: Any, stop_wanted: tf.Tensor) -> tuple[tf.Tensor, ...]:
        def body(done: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, ...]:
            losses = self._step_of_all(next(iterator))
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
        return int(tf.convert_to_tensor(self._learners[0].optimizer.iterations))

    def _summed(self, number: tf.Tensor) -> tf.Tensor:
        """The sum over replicas of a number that each worker has."""

        if self._strategy.num_replicas_in_sync == 1:
            return number
        numbers = self._strategy.run(tf.identity, args=(number,))
        return self._strategy.reduce("SUM", numbers, axis=None)
