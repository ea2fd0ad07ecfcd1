"""Intervals of the prediction difference, by resampling models, examples or both."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .difference_kinds import DifferenceKind
from .prediction_checks import check_predictions, check_weights
from .resampling import (
    Bootstrap,
    ModelGroup,
    draw_models,
    draw_sets,
    sets_of_examples,
)


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate and its percentile interval.

    See `bootstrap_interval`.

    Attributes:
        estimate: from all models and examples.
        low: the lower end.
        high: the upper end.
        confidence: as in `Bootstrap`.
    """

    estimate: float
    low: float
    high: float
    confidence: float


def bootstrap_interval(
    predictions: Any,
    weights: Any = None,
    kind: str | DifferenceKind = "relative",
    bootstrap: Bootstrap | None = None,
    clusters: Any = None,
) -> Interval:
    """The all-pairs prediction difference and its bootstrap interval.

    Pairs share models, so models are drawn and not pairs: with ten models there are 45
    pairs, but ten independent units. A model that is drawn twice makes no pair with
    itself, which would have the difference 0; with drawing counts c the resampled value
    is

        sum over i ≠ j of c_i · c_j · d_ij  /  sum over i ≠ j of c_i · c_j

    whose expectation is the mean over all pairs. Only the matrix of d_ij is needed, so
    a resample costs nothing in examples. More than 1000 examples (or clusters) are put
    at random into 1000 sets of equal size, which are drawn instead: the spread of their
    sums is that of the examples'.

    Args:
        predictions: (num_models, num_examples) or (num_models, num_examples,
            num_labels); three models or more where models are drawn, else two.
        weights: of the examples, (num_examples,), not negative; equal where None.
        kind: of the difference: a name, or a `DifferenceKind`.
        bootstrap: how; by default over models.
        clusters: a key of each example, (num_examples,), where examples are drawn:
            those with one key (of a user, of a day) are drawn together. None draws each
            for itself.

    Returns:
        The interval, with `estimate`, `low`, `high` and `confidence`.

    Raises:
        ValueError: predictions or weights that cannot be; too few models, or fewer than
            two examples or clusters of weight above 0, to be drawn.

    Examples:
        >>> p = np.random.default_rng(0).uniform(0.1, 0.2, (8, 500))
        >>> interval = bootstrap_interval(p, bootstrap=Bootstrap("both"))
        >>> interval.low < interval.estimate < interval.high
        True
    """
    bootstrap = bootstrap or Bootstrap()
    kind = DifferenceKind.of(kind)
    p = check_predictions(predictions, kind)
    w = check_weights(weights, p.shape[1])
    random = np.random.default_rng(bootstrap.seed)
    sets, num_sets = sets_of_examples(w, clusters, bootstrap, random)
    group = ModelGroup.of(p, w, kind, sets, num_sets)
    models = draw_models(group.num_models, bootstrap, random)
    examples = draw_sets(num_sets, bootstrap, random)
    return _interval(group.mean(), group.means(models, examples), bootstrap)


def interval_over_models(
    pair_means: Any, bootstrap: Bootstrap | None = None
) -> Interval:
    """As `bootstrap_interval` over models, from the matrix of pairs alone.

    Args:
        pair_means: (num_models, num_models), symmetric, as `differences.pair_means` or
            `PredictionDifferenceCounts.pair_means` give it; three models or more.
        bootstrap: how; over `models`.

    Raises:
        ValueError: another shape, a matrix that is not symmetric, too few models, or
            examples are to be drawn.

    Examples:
        >>> from smelu_tf.differences import pair_means
        >>> p = np.random.default_rng(0).uniform(0.1, 0.2, (8, 500))
        >>> interval_over_models(pair_means(p)) == bootstrap_interval(p)
        True
    """
    bootstrap = bootstrap or Bootstrap()
    if bootstrap.over != "models":
        raise ValueError(
            "over: expected models where only pairs are given, received "
            f"{bootstrap.over}."
        )
    d = np.asarray(pair_means, np.float64)
    if d.ndim != 2 or d.shape[0] != d.shape[1]:
        raise ValueError(
            f"pair_means: expected shape (num_models, num_models), received {d.shape}."
        )
    good = np.array_equal(d, d.T) and not np.any(np.diagonal(d))
    if not (good and np.all(np.isfinite(d))):
        raise ValueError(
            "pair_means: expected a symmetric matrix of finite values with zeros on "
            "its diagonal, received another."
        )
    random = np.random.default_rng(bootstrap.seed)
    group = ModelGroup(d[None], np.ones(1))
    models = draw_models(group.num_models, bootstrap, random)
    return _interval(group.mean(), group.means(models, None), bootstrap)


def pd_ratio(
    numerator: Any,
    denominator: Any,
    weights: Any = None,
    kind: str | DifferenceKind = "relative",
    bootstrap: Bootstrap | None = None,
    paired: bool = False,
    clusters: Any = None,
) -> Interval:
    """The ratio of two groups' prediction differences, and its interval.

    Models of each group are drawn independently. Examples, where they are drawn, are
    the same in both.

    Args:
        numerator: predictions of one group (with SmeLU, say), as in
            `bootstrap_interval`.
        denominator: of the other group (with ReLU), on the same examples.
        weights: of the examples, (num_examples,), not negative; equal where None.
        kind: of the difference: a name, or a `DifferenceKind`.
        bootstrap: how; by default over models.
        paired: model i of both groups has one seed (of the initial weights, of the
            order of the data): they are drawn together.
        clusters: as in `bootstrap_interval`.

    Returns:
        The interval of numerator ÷ denominator. It speaks for a difference between the
        groups where it does not hold 1.

    Raises:
        ValueError: as `bootstrap_interval`; the groups differ in their examples, or
            where paired in their number of models; or the denominator's prediction
            difference is 0.

    Examples:
        >>> random = np.random.default_rng(0)
        >>> smelu, relu = (random.normal(0.5, s, (9, 400)) for s in (0.01, 0.02))
        >>> interval = pd_ratio(smelu, relu)
        >>> 0.4 < interval.low < interval.high < 0.6
        True
    """
    bootstrap = bootstrap or Bootstrap()
    kind = DifferenceKind.of(kind)
    above, below = (check_predictions(p, kind) for p in (numerator, denominator))
    if above.shape[1:] != below.shape[1:]:
        raise ValueError(
            f"denominator: expected the numerator's examples, {above.shape[1:]}, "
            f"received {below.shape[1:]}."
        )
    if paired and len(above) != len(below):
        raise ValueError(
            f"denominator: expected {len(above)} models, which are paired with the "
            f"numerator's, received {len(below)}."
        )
    w = check_weights(weights, above.shape[1])
    random = np.random.default_rng(bootstrap.seed)
    sets, num_sets = sets_of_examples(w, clusters, bootstrap, random)
    over, under = (ModelGroup.of(p, w, kind, sets, num_sets) for p in (above, below))
    examples = draw_sets(num_sets, bootstrap, random)
    models = draw_models(over.num_models, bootstrap, random)
    others = models if paired else draw_models(under.num_models, bootstrap, random)
    denominators = under.means(others, examples)
    if not under.mean() > 0 or not np.all(denominators > 0):
        raise ValueError(
            "denominator: expected models whose prediction difference is above 0, in "
            "every resample, received 0."
        )
    ratios = over.means(models, examples) / denominators
    return _interval(over.mean() / under.mean(), ratios, bootstrap)


def _interval(estimate: float, values: np.ndarray, bootstrap: Bootstrap) -> Interval:
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), bootstrap.confidence)
