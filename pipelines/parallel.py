"""How the steps of an input pipeline run: side by side, and as they are written.

TensorFlow's own ways cost seconds. AutoGraph rewrites the source of every function that
it is given; AUTOTUNE begins with one call at a time, and keeps an iterator that is over
from being deleted until it has finished computing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

unconverted = tf.autograph.experimental.do_not_convert
"""A function that AutoGraph leaves alone."""


def in_parallel(
    dataset: tf.data.Dataset, function: Callable[..., Any]
) -> tf.data.Dataset:
    """The dataset of a function's results: a call a core, results in order."""
    return dataset.map(
        unconverted(function),
        num_parallel_calls=len(os.sched_getaffinity(0)),
        deterministic=True,
    )


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset without TensorFlow's tuning of numbers that are given."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
