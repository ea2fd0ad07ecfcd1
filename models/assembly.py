"""What a training is made of, as its configuration and the strategy in force say."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from smelu_tf.pipelines import Schema

from .asynchronous import AsynchronousSteps
from .cluster import num_workers
from .comparison import Logit
from .config import TrainConfig
from .distillation import Teachers
from .learner import Learner
from .metrics import BinaryMetrics
from .optimizers import WideDeepOptimizer
from .precision import dtype_policy
from .replicated_scoring import replicated_logit
from .scoring import Scorer
from .steps import TrainSteps
from .strategies import has_accelerator, is_tpu, outside_scope, replica_rows
from .wide_deep import WideDeep


def make_model(
    config: TrainConfig,
    schema: Schema,
    optimizer: WideDeepOptimizer,
    jit_compile: bool | None,
) -> WideDeep:
    """The model.

    Args:
        config: the configuration.
        schema: of the rows.
        optimizer: of the tables that a TPU's embedding hardware updates.
        jit_compile: whether XLA compiles the deep part's layers; None: on accelerators.
    """
    tpu_options = {}
    if is_tpu():
        jit_compile = False  # the program that it is a part of is compiled
        rows = replica_rows(config.data.batch_size)
        tpu_options = {"optimizer": optimizer, "replica_rows": rows}
    return WideDeep(
        schema,
        config.model,
        config.train.seed,
        jit_compile=has_accelerator() if jit_compile is None else jit_compile,
        static_shapes=is_tpu(),
        tpu_options=tpu_options,
        dtype=dtype_policy(config.train.compute_dtype),
    )


def make_learner(
    config: TrainConfig,
    model: WideDeep,
    optimizer: WideDeepOptimizer,
    teachers: Teachers | None,
    served: Logit | None,
) -> Learner:
    """The model with what trains it; see `Learner.of`."""
    # In float16 Keras wraps the optimizer in one that scales the loss.
    # Without figures of its own: reading them would take all workers of a cluster.
    model.compile(optimizer, weighted_metrics=[])
    # A TPU's program does not count: see `TrainSteps`.
    metrics = outside_scope(BinaryMetrics) if is_tpu() else BinaryMetrics()
    return Learner.of(config, model, model.optimizer, metrics, teachers, served)


def make_steps(config: TrainConfig, learner: Learner) -> TrainSteps | AsynchronousSteps:
    """What trains on the next batches."""
    num_steps = config.train.steps_per_execution
    steps = TrainSteps([learner], num_steps, static_shapes=is_tpu())
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        return AsynchronousSteps(steps, num_workers(), num_steps)
    return steps


def make_scorer(config: TrainConfig, model: WideDeep) -> Scorer:
    """What scores while the model is trained."""
    scorer = Scorer.of(model)
    if not is_tpu():
        return scorer
    logit = replicated_logit(model, replica_rows(config.data.batch_size))
    return dataclasses.replace(scorer, logit=logit)
