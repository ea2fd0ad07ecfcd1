"""Models that differ in little, trained side by side over one pass of the input."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from smelu_tf.pipelines import Schema, for_replicas

from . import loss_scale
from .config import TrainConfig
from .distillation import Teachers
from .learner import Learner
from .metrics import BinaryMetrics
from .optimizers import WideDeepOptimizer
from .precision import dtype_policy
from .schedules import WarmupDecay
from .steps import MAX_LOSS, TrainSteps
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
        prepare: called with each model before anything else knows it: to give it other
            initial weights.

    Attributes:
        models: the models.
        metrics: the progressive figures of each.

    Raises:
        ValueError: no configuration, or one that is bad.

    Examples:
        >>> configs = [with_seed(load_config("model"), seed) for seed in range(3)]
        >>> schema = Schema.load("model/schema.json")
        >>> replicas = Replicas(configs, schema)
        >>> replicas.train(read_text("clicks/day_0.tsv", schema, 256))
        >>> logits = replicas.logits(read_text("clicks/day_6.tsv", schema, 256))
        >>> logits.shape
        (3, 1000)
        >>> probabilities = tf.sigmoid(logits).numpy()
        >>> 0 < float(smelu_tf.prediction_difference(probabilities)) < 0.5
        True
    """

    def __init__(
        self,
        configs: Sequence[TrainConfig],
        schema: Schema,
        teachers: Sequence[Teachers | None] | None = None,
        prepare: Callable[[WideDeep], object] | None = None,
    ) -> None:
        if not configs:
            raise ValueError("configs: expected one or more, received none.")
        for config in configs:
            config.validate()
        if teachers is None:
            # Those of several models are the same ones.
            load = functools.cache(functools.partial(Teachers.load, schema=schema))
            teachers = [load(config.loss.teachers) for config in configs]
        self._configs = tuple(configs)
        self._schema = schema
        self._prepare = prepare
        self._learners = [
            _learner(config, schema, own, prepare)
            for config, own in zip(configs, teachers, strict=True)
        ]
        self.models = [learner.model for learner in self._learners]
        self.metrics = [learner.metrics for learner in self._learners]
        steps_per_execution = configs[0].train.steps_per_execution
        self._steps = TrainSteps(self._learners, steps_per_execution)
        # As in `TrainSteps`.
        self._logits = tf.function(
            functools.partial(_logits, self.models),
            autograph=False,
            reduce_retracing=True,
        )

    def can_restart(self, configs: Sequence[TrainConfig]) -> bool:
        """Whether `restart` takes these: they differ in what variables hold only.

        That is the seed, unless a seed is of masks too, and constant learning rates.
        Those that learn from teachers have these in their compiled step. The loss scale
        of those in float16 cannot be set back.
        """
        if any(
            config.loss.distillation or config.train.compute_dtype == "float16"
            for config in configs
        ):
            return False
        return [*map(_compiled, configs)] == [*map(_compiled, self._configs)]

    def restart(self, configs: Sequence[TrainConfig]) -> None:
        """Begins anew with other seeds and learning rates, in the same compiled step.

        To compile the step of many small models may take longer than to train them.

        Args:
            configs: one a model, of which `can_restart` is true.

        Raises:
            ValueError: configurations that take another compiled step.
        """
        if not self.can_restart(configs):
            raise ValueError(
                "configs: expected those of before with other seeds or learning rates, "
                "received others."
            )
        for learner, config in zip(self._learners, configs, strict=True):
            fresh = _learner(config, self._schema, None, self._prepare)
            _copy(fresh, learner, config)
        self._configs = tuple(configs)

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
                texts = (loss_scale.exhausted_text(x.optimizer) for x in self._learners)
                wrong = next(
                    filter(None, texts),
                    f"expected a finite loss, received {steps.last_loss}",
                )
                raise ArithmeticError(
                    f"{wrong} within {steps.num_steps} batches; the training diverged "
                    "(a smaller learning rate may help)."
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
            for learner in self._learners:
                weights = learner.model.trainable_variables
                optimizer = loss_scale.unwrapped(learner.optimizer)
                stack.enter_context(optimizer.averages_in(weights))
            yield


class ReplicaPool:
    """Replicas, one set after another: a compiled step is used again where it can be.

    Args:
        schema: of the batches.
        prepare: as in `Replicas`.

    Examples:
        >>> pool = ReplicaPool(Schema.load("model/schema.json"))
        >>> first = pool.begin([TrainConfig()])
        >>> pool.begin([with_seed(TrainConfig(), 1)]) is first
        True
    """

    def __init__(
        self, schema: Schema, prepare: Callable[[WideDeep], object] | None = None
    ) -> None:
        self._schema = schema
        self._prepare = prepare
        self._replicas: Replicas | None = None

    def begin(
        self,
        configs: Sequence[TrainConfig],
        teachers: Sequence[Teachers | None] | None = None,
    ) -> Replicas:
        """Models of these configurations; those of the last call are no more.

        Args:
            configs: as in `Replicas`.
            teachers: as there.
        """
        if self._replicas is not None and self._replicas.can_restart(configs):
            self._replicas.restart(configs)
            return self._replicas
        self._replicas = None
        tf_keras.backend.clear_session()
        gc.collect()
        self._replicas = Replicas(configs, self._schema, teachers, self._prepare)
        return self._replicas


def with_seed(config: TrainConfig, seed: int) -> TrainConfig:
    """A configuration with another seed of the initial weights.

    Args:
        config: the configuration.
        seed: 0 or more.

    Examples:
        >>> [with_seed(TrainConfig(), seed).train.seed for seed in range(3)]
        [0, 1, 2]
    """
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, seed=seed)
    )


def _logits(models: Sequence[WideDeep], features: Any) -> tf.Tensor:
    logits = [model.scores(features) for model in models]
    return tf.stack(logits)


def _learner(
    config: TrainConfig,
    schema: Schema,
    teachers: Teachers | None,
    prepare: Callable[[WideDeep], object] | None,
) -> Learner:
    model = WideDeep(
        schema,
        config.model,
        config.train.seed,
        dtype=dtype_policy(config.train.compute_dtype),
    )
    if prepare is not None:
        prepare(model)
    optimizer = loss_scale.wrapped(
        WideDeepOptimizer.of(config.optimizer), model.dtype_policy
    )
    return Learner.of(config, model, optimizer, BinaryMetrics(), teachers)


def _compiled(config: TrainConfig) -> TrainConfig:
    """A configuration without what a compiled step reads from variables."""
    optimizer = dataclasses.replace(config.optimizer, wide_learning_rate=1.0)
    if optimizer.schedule == "constant" and not optimizer.warmup_steps:
        optimizer = dataclasses.replace(optimizer, learning_rate=1.0)
    config = dataclasses.replace(config, optimizer=optimizer)
    # Masks have their seed in the graph; those of `unknown_rate` are all of one seed.
    return config if config.model.dropout else with_seed(config, 0)


def _copy(source: Learner, target: Learner, config: TrainConfig) -> None:
    """Gives a learner the state of another one."""
    pairs = [
        (source.model.variables, target.model.variables),
        (source.optimizer.variables(), target.optimizer.variables()),
    ]
    for values, variables in pairs:
        for value, variable in zip(values, variables, strict=True):
            variable.assign(value)
    if not isinstance(WarmupDecay.of(config.optimizer), WarmupDecay):
        target.optimizer.learning_rate = config.optimizer.learning_rate
    target.optimizer.wide_learning_rate = config.optimizer.wide_learning_rate
    target.metrics.reset_state()
