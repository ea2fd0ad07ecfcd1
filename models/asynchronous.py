"""Training with parameter servers: workers that do not wait for one another."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from .steps import Steps, TrainSteps

# Calls under way for each worker: one is computed while the next one is sent.
_CALLS_A_WORKER = 2


class AsynchronousSteps:
    """`TrainSteps` of which each call is made by whichever worker is free.

    The chief reads the rows and sends them: each batch is learned once, in about its
    order, whatever becomes of single workers. What a worker that is lost was about to
    do, another one does; it may have been done already, in part.

    Args:
        steps: made under the strategy in force, a `ParameterServerStrategy`.
        num_workers: how many workers there are.
        steps_per_execution: batches a call.
    """

    def __init__(
        self, steps: TrainSteps, num_workers: int, steps_per_execution: int
    ) -> None:
        strategy = tf.distribute.get_strategy()
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        self._max_calls = _CALLS_A_WORKER * num_workers
        self._num_steps = steps_per_execution
        self._calls: deque[Any] = deque()

        def learn(*batches: Any) -> tf.Tensor:
            losses = [strategy.run(steps.step, args=batch) for batch in batches]
            # Whichever of them is no number, the largest is none either.
            return tf.reduce_max(tf.stack(losses))

        self._learn = tf.function(learn, autograph=False, reduce_retracing=True)

    def __call__(self, iterator: Iterator[Any], stop_wanted: bool = False) -> Steps:
        """Has the next batches learned; see `TrainSteps`.

        Returns the largest loss of some earlier call's batches.
        """
        batches = list(itertools.islice(iterator, self._num_steps))
        if batches:
            self._calls.append(self._coordinator.schedule(self._learn, args=batches))
        loss = 0.0
        if len(self._calls) > self._max_calls:
            loss = float(self._calls.popleft().fetch())
        finished = len(batches) < self._num_steps
        return Steps(loss, int(stop_wanted), len(batches), finished)

    def join(self) -> float:
        """Waits until all that was begun is done; returns the largest loss."""
        self._coordinator.join()
        losses = [float(call.fetch()) for call in self._calls]
        self._calls.clear()
        return float(np.max([0.0, *losses]))  # no number if one of them is none
