"""smelu_tf/resampling.py against loops over what is drawn."""

import numpy as np
import pytest
from difference_samples import like_models
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf import Bootstrap, DifferenceKind
from smelu_tf.resampling import ModelGroup

RELATIVE = DifferenceKind()


def _ref_mean(d, counts):
    """The mean over pairs of drawn models, none with its own copy."""
    total = weight = 0.0
    for i, a in enumerate(counts):
        for j, b in enumerate(counts):
            if i != j:
                total += a * b * d[i][j]
                weight += a * b
    return total / weight


def _ref_difference(p, q):
    return 2 * abs(p - q) / (p + q)


@settings(deadline=None, max_examples=30)
@given(st.integers(3, 6), st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_a_resample_is_the_mean_over_what_is_drawn(num_models, num_examples, seed):
    p = like_models(num_models, num_examples, seed=seed)
    random = np.random.default_rng(seed)
    w = random.random(num_examples) + 0.1
    models = random.multinomial(num_models, np.full(num_models, 1 / num_models), 4)
    models[models.max(axis=1) == num_models] = 1
    examples = random.multinomial(
        num_examples, np.full(num_examples, 1 / num_examples), 4
    )
    group = ModelGroup.of(p, w, RELATIVE, np.arange(num_examples), num_examples)
    for drawn, sets in ((models, examples), (models, None), (None, examples)):
        got = group.means(drawn, sets)
        for b in range(4):
            times = w if sets is None else w * sets[b]
            d = [
                [
                    sum(
                        times[n] * _ref_difference(p[i, n], p[j, n])
                        for n in range(num_examples)
                    )
                    / sum(times)
                    for j in range(num_models)
                ]
                for i in range(num_models)
            ]
            counts = np.ones(num_models) if drawn is None else drawn[b]
            assert got[b] == pytest.approx(_ref_mean(d, counts), rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(over="rows"), "over: expected one of models, examples, both"),
        (dict(num_resamples=0), "num_resamples: expected 1 or more, received 0"),
        (dict(confidence=95), "confidence: expected a number between 0 and 1"),
        (dict(seed=-1), "seed: expected 0 or more, received -1"),
    ],
)
def test_a_bootstrap_that_is_none_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Bootstrap(**arguments)
