"""Rows whose logits need recalibration, and logits as they are after one."""

import numpy as np
import tensorflow as tf
from scipy import special

KINDS = ("platt", "isotonic")


def sample(n=20_000, seed=0, scale=1.0, shift=0.0, mean=-2.0):
    """Float32 logits, labels drawn with the probabilities of z, and weights.

    The logits are such that scale · logit + shift = z.
    """
    random = np.random.default_rng(seed)
    z = random.normal(mean, 1.3, n)
    label = (random.random(n) < special.expit(z)).astype(np.float32)
    logit = ((z - shift) / scale).astype(np.float32)
    return logit, label, random.choice([0.5, 1.0, 3.0], n).astype(np.float32)


def mapped(recalibration, logits):
    return recalibration(tf.constant(logits, tf.float32)).numpy()
