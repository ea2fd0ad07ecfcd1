"""Kinds of difference, and predictions that are compared by them."""

import numpy as np
import pytest

from smelu_tf import DifferenceKind
from smelu_tf.difference_kinds import KINDS

ALL = [
    *map(DifferenceKind, KINDS),
    *(DifferenceKind(name, from_logits=True) for name in KINDS),
    DifferenceKind("hamming", threshold=0.3),
    DifferenceKind("hamming", from_logits=True, threshold=0.3),
]
each_kind = pytest.mark.parametrize("kind", ALL, ids=str)
some_labels = pytest.mark.parametrize("num_labels", [None, 1, 3])


def sample(kind, num_models, num_examples, num_labels=None, seed=0):
    """Predictions (probabilities or logits) of models that differ a little."""
    random = np.random.default_rng(seed)
    labels = () if num_labels is None else (num_labels,)
    common = random.normal(-1, 2, (1, num_examples, *labels))
    own = random.normal(0, 0.7, (num_models, num_examples, *labels))
    logits = common + own
    return logits if kind.from_logits else 1 / (1 + np.exp(-logits))


def like_models(num_models=6, num_examples=200, spread=0.2, seed=0):
    """Probabilities of models that differ in what they make of five features."""
    random = np.random.default_rng(seed)
    rate = random.uniform(0.01, 0.3, num_examples)
    features = random.normal(size=(5, num_examples)) / np.sqrt(5)
    own = random.normal(size=(num_models, 5))
    return rate * np.exp(spread * own @ features)
