"""smelu_tf/bootstrap.py against the definitions, and against the truth."""

import numpy as np
import pytest
from difference_samples import like_models

from smelu_tf import Bootstrap, bootstrap_interval, pd_ratio, prediction_difference
from smelu_tf.bootstrap import interval_over_models
from smelu_tf.differences import example_differences, pair_means
from smelu_tf.resampling import OVER


@pytest.mark.parametrize("over", OVER)
def test_the_estimate_is_the_prediction_difference(over):
    p, w = like_models(), np.random.default_rng(1).random(200)
    interval = bootstrap_interval(p, w, bootstrap=Bootstrap(over))
    assert interval.estimate == pytest.approx(prediction_difference(p, w), rel=1e-12)
    assert interval.low < interval.estimate < interval.high
    assert interval.confidence == 0.95


def test_both_is_wider_than_either():
    p = like_models(10, 60)
    width = {}
    for over in OVER:
        interval = bootstrap_interval(p, bootstrap=Bootstrap(over))
        width[over] = interval.high - interval.low
    assert width["both"] > max(width["models"], width["examples"])


def test_the_matrix_of_pairs_gives_the_interval_over_models():
    p, w = like_models(), np.random.default_rng(1).random(200)
    bootstrap = Bootstrap(num_resamples=300, confidence=0.8, seed=7)
    expected = bootstrap_interval(p, w, "logit", bootstrap)
    got = interval_over_models(pair_means(p, w, "logit"), bootstrap)
    for name in ("estimate", "low", "high", "confidence"):
        assert getattr(got, name) == pytest.approx(getattr(expected, name), rel=1e-12)


def test_equal_seeds_give_equal_intervals_and_others_do_not():
    p = like_models()
    one, same, other = (
        bootstrap_interval(p, bootstrap=Bootstrap("both", seed=seed))
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


@pytest.mark.parametrize("over", OVER)
def test_equal_models_have_the_interval_0_to_0(over):
    p = np.repeat(like_models(1), 4, axis=0)
    interval = bootstrap_interval(p, bootstrap=Bootstrap(over))
    assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)


def test_examples_without_weight_are_not_there():
    p, w = like_models(num_examples=50), np.random.default_rng(1).random(50)
    w[10:] = 0
    for over in OVER:
        whole = bootstrap_interval(p, w, bootstrap=Bootstrap(over))
        alone = bootstrap_interval(p[:, :10], w[:10], bootstrap=Bootstrap(over))
        assert whole.estimate == pytest.approx(alone.estimate, rel=1e-12)
        for got, expected in ((whole.low, alone.low), (whole.high, alone.high)):
            assert got == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("num_examples", [900, 20_000])
def test_over_examples_the_width_is_that_of_a_mean(num_examples):
    p = like_models(3, num_examples)
    error = example_differences(p).std() / np.sqrt(num_examples)
    bootstrap = Bootstrap("examples", num_resamples=4000)
    interval = bootstrap_interval(p, bootstrap=bootstrap)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_examples_of_a_cluster_are_drawn_together():
    p = like_models(3, 400)
    copies = np.repeat(p, 4, axis=1)
    bootstrap = Bootstrap("examples", num_resamples=4000)

    def width(p, clusters=None):
        interval = bootstrap_interval(p, bootstrap=bootstrap, clusters=clusters)
        return interval.high - interval.low

    users = np.repeat([f"user {i}" for i in range(400)], 4)
    assert width(copies, users) == pytest.approx(width(p), rel=0.1)
    assert width(copies) == pytest.approx(width(p) / 2, rel=0.15)


def test_a_ratio_is_one_group_s_difference_by_the_other_s():
    smelu, relu = like_models(8, spread=0.1, seed=1), like_models(9, spread=0.2, seed=2)
    ratio = pd_ratio(smelu, relu)
    expected = prediction_difference(smelu) / prediction_difference(relu)
    assert ratio.estimate == pytest.approx(expected, rel=1e-12)
    assert ratio.low < ratio.estimate < ratio.high


def test_paired_groups_that_are_equal_have_the_ratio_1_in_every_resample():
    p = like_models()
    for over in OVER:
        ratio = pd_ratio(p, p, bootstrap=Bootstrap(over), paired=True)
        assert (ratio.estimate, ratio.low, ratio.high) == (1, 1, 1)
    independent = pd_ratio(p, p)
    assert independent.low < 1 < independent.high


def test_groups_share_the_examples_that_are_drawn():
    p = like_models()
    ratio = pd_ratio(p, p, bootstrap=Bootstrap("examples"))
    assert (ratio.low, ratio.high) == (1, 1)


def coverage(num_models, over, num_trials=400):
    """How often a 95 % interval holds the expectation over all models and examples.

    Logarithms of two models' predictions differ by Δ, normal with the deviation
    s = spread · sqrt(2) · length of the features; the relative difference is
    2 · tanh(abs(Δ) / 2).
    """
    spread, num_examples = 0.2, 100
    z = np.linspace(0, 8, 4001)
    density = np.exp(-z * z / 2)
    density /= density.sum()

    def truth(features):
        s = spread * np.sqrt(2) * np.linalg.norm(features, axis=0)
        return np.mean([2 * np.tanh(x * z / 2) @ density for x in s])

    random = np.random.default_rng(0)
    overall = truth(random.normal(size=(5, 20_000)) / np.sqrt(5))
    fixed = random.normal(size=(5, num_examples)) / np.sqrt(5)
    given_examples = truth(fixed)
    held = 0
    for trial in range(num_trials):
        features = fixed
        if over == "both":
            features = random.normal(size=(5, num_examples)) / np.sqrt(5)
        own = random.normal(size=(num_models, 5))
        p = 0.1 * np.exp(spread * own @ features)
        interval = bootstrap_interval(p, bootstrap=Bootstrap(over, 500, seed=trial))
        expected = overall if over == "both" else given_examples
        held += interval.low <= expected <= interval.high
    return held / num_trials


@pytest.mark.slow
@pytest.mark.parametrize("over", ["models", "both"])
@pytest.mark.parametrize(
    ("num_models", "lowest"), [(4, 0.84), (8, 0.88), (16, 0.9), (32, 0.91)]
)
def test_intervals_hold_the_truth(num_models, lowest, over):
    held = coverage(num_models, over)
    print(f"{num_models} models, drawn: {over}: {held:.1%} of 400 intervals")
    assert lowest <= held <= 0.99


EXAMPLES = Bootstrap("examples")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bootstrap_interval(like_models(2)),
            "3 models or more to be drawn, .* 2",
        ),
        (
            lambda: bootstrap_interval(like_models(num_examples=1), bootstrap=EXAMPLES),
            "examples: expected 2 or more .* received 1",
        ),
        (
            lambda: bootstrap_interval(
                like_models(), bootstrap=EXAMPLES, clusters=["a"] * 200
            ),
            r"\(or 2 clusters\) .* received 1",
        ),
        (
            lambda: bootstrap_interval(
                like_models(), bootstrap=EXAMPLES, clusters=["a"]
            ),
            r"clusters: expected shape \(200,\), received \(1,\)",
        ),
        (
            lambda: bootstrap_interval(like_models(), clusters=np.arange(200)),
            "clusters: expected None where only models are drawn",
        ),
        (
            lambda: interval_over_models(np.zeros((3, 3)), EXAMPLES),
            "over: expected models where only pairs are given, received examples",
        ),
        (
            lambda: interval_over_models(np.zeros((3, 2))),
            r"pair_means: expected shape .* received \(3, 2\)",
        ),
        (lambda: interval_over_models(np.eye(3)), "pair_means: expected a symmetric"),
        (
            lambda: interval_over_models(np.triu(np.ones((3, 3)), 1)),
            "pair_means: expected a symmetric",
        ),
        (
            lambda: interval_over_models([[0, np.inf, 1], [np.inf, 0, 1], [1, 1, 0]]),
            "pair_means: expected a symmetric matrix of finite values",
        ),
        (
            lambda: pd_ratio(like_models(), like_models(num_examples=9)),
            r"denominator: expected the numerator's examples, \(200,\)",
        ),
        (
            lambda: pd_ratio(like_models(4), like_models(5), paired=True),
            "denominator: expected 4 models, which are paired .* received 5",
        ),
        (
            lambda: pd_ratio(like_models(), np.repeat(like_models(1), 3, axis=0)),
            "denominator: expected models whose prediction difference is above 0",
        ),
    ],
)
def test_what_cannot_be_resampled_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
