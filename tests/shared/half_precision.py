"""Learners in float16, gradients that overflow in it, and programs that print."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import small_rows
import tensorflow as tf
import tf_keras

from smelu_tf.models import (
    BinaryMetrics,
    OptimizerConfig,
    TrainOptions,
    WideDeep,
    WideDeepOptimizer,
)
from smelu_tf.models.learner import Learner
from smelu_tf.models.losses import Objective
from smelu_tf.pipelines import for_replicas

HALF = TrainOptions(compute_dtype="float16", steps_per_execution=4, checkpoint_steps=8)
CONFIG = dataclasses.replace(small_rows.CONFIG, train=HALF)
ROWS = small_rows.make_rows(320)
BATCH_SIZE = 16


class Overflow:
    """A term of the loss that is 0, and whose gradient is infinite at some steps."""

    def __init__(self, steps):
        self.steps = tf.constant(sorted(steps), tf.int64)

    def __call__(self, logits, batch, step):
        is_now = tf.reduce_any(tf.cast(step, tf.int64) == self.steps)

        @tf.custom_gradient
        def zero(x):
            return 0 * x, lambda dy: tf.where(is_now, np.float32(np.inf), 0 * dy)

        return zero(logits[0])


def learner(overflows=(), initial_scale=None, growth_steps=None, jit=False, **options):
    model = WideDeep(
        small_rows.SCHEMA, CONFIG.model, dtype="mixed_float16", jit_compile=jit
    )
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(
        WideDeepOptimizer.of(OptimizerConfig(**options)),
        initial_scale=initial_scale,
        dynamic_growth_steps=growth_steps,
    )
    optimizer._create_all_weights(model.trainable_variables)
    objective = Objective(terms=(Overflow(overflows),) if overflows else ())
    return Learner(model, optimizer, BinaryMetrics(), objective)


def batches():
    return iter(for_replicas(ROWS.batches(BATCH_SIZE), 0, 1, 1))


def make_steep(model, slope):
    """What comes out of the last hidden layer is 0, and the logit's slope in it is."""
    kernel = model.deep.mlp.hidden[-1].kernel
    kernel.assign(tf.zeros_like(kernel))
    kernel = model.deep.logit.kernel
    kernel.assign(slope * tf.ones_like(kernel))


def lines_of(program, *arguments):
    """What a program prints; a process of its own has settings of its own."""
    tests = Path(__file__).parents[1]
    folders = (tests / "models", tests / "shared")
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, (*folders, *arguments))],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()
