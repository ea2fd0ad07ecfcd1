"""Models that differ in little, trained side by side over one pass of the input."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import Schema, for_replicas

from .config import TrainConfig
from .distillation import Teachers
from .losses import Objective
from .metrics import BinaryMetrics
from .optimizers import WideDeepOptimizer
from .precision import dtype_policy
from .steps import MAX_LOSS, Learner, TrainSteps
from .wide_deep import WideDeep


class Replicas:
    """Models of several configurations that learn the same batches, step by step.

    They are ordinary models in one compiled step: each ends where it would have ended
    alone, to rounding, and the input is read once for all of them. On a few cores small
    models train faster so, since those of one step run side by side.

    Args:
        configs: one a model; what their `data` sections say is not used but for
            `negative_rate`, and all have the same `steps_per_execution`.
        schema: of the batches.
        teachers: of each, what it learns from; by default what `loss.teachers` names.

    Attributes:
        models: the models.
        metrics: the progressive figures of each.

    Raises:
        ValueError: no configuration, or one that is bad.

    Example:
        >>> configs = [with_seed(config, seed) for seed in range(16)]
        >>> replicas = Replicas(configs, schema)
        >>> replicas.train(batches)
        >>> smelu_tf.prediction_difference(sigmoid(replicas.logits(test_batches)))
    """

    def __init__(
        self,
        configs: Sequence[TrainConfig],
        schema: Schema,
        teachers: Sequence[Teachers | None] | None = None,
    ) -> None:
        if not configs:
            raise ValueError("configs: expected one or more, received none.")
        for config in configs:
            config.validate()
        if teachers is None:
            # Those of several models are the same ones.
            load = functools.cache(functools.partial(Teachers.load, schema=schema))
            teachers = [load(config.loss.teachers) for config in configs]
        learners = [
            _learner(config, schema, own)
            for config, own in zip(configs, teachers, strict=True)
        ]
        self.models = [learner.model for learner in learners]
        self.metrics = [learner.metrics for learner in learners]
        self._optimizers = [learner.optimizer for learner in learners]
        self._steps = TrainSteps(learners, configs[0].train.steps_per_execution)
        # As in `TrainSteps`.
        self._logits = tf.function(
            functools.partial(_logits, self.models),
            autograph=False,
            reduce_retracing=True,
        )

    def train(
        self,
        batches: tf.data.Dataset,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Learns all batches of a dataset, in order.

        Args:
            batches: a dataset of `Batch`.
            progress: told of every call how many batches are learned since the last.

        Raises:
            ArithmeticError: a loss is no longer a number, or far too large.
        """
        iterator = iter(for_replicas(batches, 0, 1, 1))
        finished = False
        while not finished:
            steps = self._steps(iterator)
            finished = steps.finished
            if not steps.last_loss < MAX_LOSS:
                raise ArithmeticError(
                    f"expected a finite loss, received {steps.last_loss} within "
                    f"{steps.num_steps} batches; the training diverged (a smaller "
                    "learning rate may help)."
                )
            if progress is not None:
                progress(steps.num_steps)

    def logits(self, batches: tf.data.Dataset) -> np.ndarray:
        """The logits of all rows by every model: float32 (num_models, num_rows).

        With `optimizer.averaging` they are those of the averages of the weights.
        """
        with self.averages():
            parts = [self._logits(batch.features).numpy() for batch in batches]
        return np.concatenate(parts, axis=1)

    @contextlib.contextmanager
    def averages(self) -> Iterator[None]:
        """Inside, the models have their weights' averages, where there are any."""
        with contextlib.ExitStack() as stack:
            for model, optimizer in zip(self.models, self._optimizers, strict=True):
                stack.enter_context(optimizer.averages_in(model.trainable_variables))
            yield


def with_seed(config: TrainConfig, seed: int) -> TrainConfig:
    """A configuration with another seed of the initial weights."""
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, seed=seed)
    )


def _logits(models: Sequence[WideDeep], features: Any) -> tf.Tensor:
    logits = [tf.reshape(model(features, training=False), [-1]) for model in models]
    return tf.stack(logits)


def _learner(config: TrainConfig, schema: Schema, teachers: Teachers | None) -> Learner:
    model = WideDeep(
        schema,
        config.model,
        config.train.seed,
        dtype=dtype_policy(config.train.compute_dtype),
    )
    optimizer = WideDeepOptimizer.of(config.optimizer)
    optimizer._create_all_weights(model.trainable_variables)
    objective = Objective.of(config, teachers)
    return Learner(model, optimizer, BinaryMetrics(), objective)
