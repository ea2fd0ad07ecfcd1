"""Intervals of the prediction difference, by resampling models, examples or both."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .differences import DifferenceKind, check_predictions, check_weights, pair_sums

OVER = ("models", "examples", "both")
"""What can be resampled."""

MAX_SETS = 1000
"""More clusters of examples than these are put into so many sets, at random."""

_RESAMPLES_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Args:
        over: what is drawn anew, with replacement: `models`, for what other
            retrainings would show on the same examples; `examples`, for what the same
            models would show on other examples; or `both`.
        num_resamples: how often.
        confidence: the part of the resampled values that lies inside.
        seed: of the draws; equal seeds give equal intervals.

    Raises:
        ValueError: a value that is none of these.

    Example:
        >>> Bootstrap("both", confidence=0.9).num_resamples
        1000
    """

    over: str = "models"
    num_resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.over not in OVER:
            raise ValueError(
                f"over: expected one of {', '.join(OVER)}, received {self.over!r}."
            )
        if self.num_resamples < 1:
            raise ValueError(
                f"num_resamples: expected 1 or more, received {self.num_resamples}."
            )
        if not 0 < self.confidence < 1:
            raise ValueError(
                "confidence: expected a number between 0 and 1, received "
                f"{self.confidence}."
            )
        if self.seed < 0:
            raise ValueError(f"seed: expected 0 or more, received {self.seed}.")

    @property
    def resamples_models(self) -> bool:
        """Whether models are drawn anew."""
        return self.over != "examples"

    @property
    def resamples_examples(self) -> bool:
        """Whether examples are drawn anew."""
        return self.over != "models"


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate and its percentile interval.

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
        predictions: as in `differences.check_predictions`; three models or more where
            models are drawn.
        weights: of the examples, (num_examples,), not negative; equal where None.
        kind: of the difference.
        bootstrap: how; by default over models.
        clusters: a key of each example, (num_examples,), where examples are drawn:
            those with one key (of a user, of a day) are drawn together. None draws each
            for itself.

    Returns:
        The interval.

    Raises:
        ValueError: as `check_predictions` and `check_weights`; too few models, or fewer
            than two examples or clusters of weight above 0, to be drawn.

    Example:
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
    sets, num_sets = _sets(w, clusters, bootstrap, random)
    group = _Group.of(p, w, kind, sets, num_sets)
    models = _draw_models(group.num_models, bootstrap, random)
    examples = _draw_sets(num_sets, bootstrap, random)
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

    Example:
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
    if not np.array_equal(d, d.T) or np.any(np.diagonal(d)):
        raise ValueError(
            "pair_means: expected a symmetric matrix of finite values with zeros on "
            "its diagonal, received another."
        )
    random = np.random.default_rng(bootstrap.seed)
    group = _Group(d[None], np.ones(1))
    models = _draw_models(group.num_models, bootstrap, random)
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
        weights: of the examples.
        kind: of the difference.
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

    Example:
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
    sets, num_sets = _sets(w, clusters, bootstrap, random)
    over, under = (_Group.of(p, w, kind, sets, num_sets) for p in (above, below))
    examples = _draw_sets(num_sets, bootstrap, random)
    models = _draw_models(over.num_models, bootstrap, random)
    others = models if paired else _draw_models(under.num_models, bootstrap, random)
    denominators = under.means(others, examples)
    if not under.mean() > 0 or not np.all(denominators > 0):
        raise ValueError(
            "denominator: expected models whose prediction difference is above 0, in "
            "every resample, received 0."
        )
    ratios = over.means(models, examples) / denominators
    return _interval(over.mean() / under.mean(), ratios, bootstrap)


@dataclasses.dataclass(frozen=True)
class _Group:
    """Sums over sets of examples, of which means over resamples are taken.

    Attributes:
        pair_sums: float64 (num_sets, num_models, num_models).
        weights: float64 (num_sets,).
    """

    pair_sums: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(
        cls,
        p: np.ndarray,
        w: np.ndarray,
        kind: DifferenceKind,
        sets: np.ndarray | None,
        num_sets: int,
    ) -> _Group:
        if sets is None:
            return cls(pair_sums(p, w, kind) / w.sum(), np.ones(1))
        return cls(
            pair_sums(p, w, kind, sets, num_sets),
            np.bincount(sets, weights=w, minlength=num_sets),
        )

    @property
    def num_models(self) -> int:
        return self.pair_sums.shape[1]

    def mean(self) -> float:
        """The mean over all pairs."""
        sums = self.pair_sums.sum(axis=0)
        num_pairs = self.num_models * (self.num_models - 1)
        return float(sums.sum() / num_pairs / self.weights.sum())

    def means(
        self, models: np.ndarray | None, examples: np.ndarray | None
    ) -> np.ndarray:
        """The means of resamples, (num_resamples,).

        Args:
            models: how often each model is drawn, (num_resamples, num_models); None
                is once in all.
            examples: how often each set is, (num_resamples, num_sets); None as above.
        """
        num_sets, num_models = self.pair_sums.shape[:2]
        num_resamples = len(next(x for x in (models, examples) if x is not None))
        flat = self.pair_sums.reshape(num_sets, -1)
        parts = []
        for start in range(0, num_resamples, _RESAMPLES_AT_ONCE):
            part = slice(start, min(start + _RESAMPLES_AT_ONCE, num_resamples))
            ones = np.ones((part.stop - start, num_models))
            counts = ones if models is None else models[part].astype(np.float64)
            if examples is None:
                sums, weight = flat.sum(axis=0)[None], self.weights.sum()
            else:
                drawn = examples[part].astype(np.float64)
                sums, weight = drawn @ flat, drawn @ self.weights
            sums = sums.reshape(-1, num_models, num_models)
            # The diagonal is 0: a model makes no pair with its own copy.
            total = np.einsum("bi,bij,bj->b", counts, sums, counts, optimize=True)
            num_pairs = counts.sum(axis=1) ** 2 - np.square(counts).sum(axis=1)
            parts.append(total / num_pairs / weight)
        return np.concatenate(parts)


def _sets(
    weights: np.ndarray,
    clusters: Any,
    bootstrap: Bootstrap,
    random: np.random.Generator,
) -> tuple[np.ndarray | None, int]:
    """Which set each example is drawn with, and how many sets there are."""
    if clusters is not None and not bootstrap.resamples_examples:
        raise ValueError(
            "clusters: expected None where only models are drawn, received others."
        )
    if not bootstrap.resamples_examples:
        return None, 1
    keys = np.arange(len(weights)) if clusters is None else np.asarray(clusters)
    if keys.shape != weights.shape:
        raise ValueError(
            f"clusters: expected shape {weights.shape}, received {keys.shape}."
        )
    # Without weight an example is in no sum: it is not there to be drawn.
    there = weights > 0
    values, codes = np.unique(keys[there], return_inverse=True)
    if len(values) < 2:
        raise ValueError(
            "examples: expected 2 or more (or 2 clusters) of weight above 0 to be "
            f"drawn, received {len(values)}."
        )
    num_sets = min(len(values), MAX_SETS)
    of_cluster = random.permutation(len(values)) % num_sets
    sets = np.zeros(len(weights), np.int64)
    sets[there] = of_cluster[codes]
    return sets, num_sets


def _draw_models(
    num_models: int, bootstrap: Bootstrap, random: np.random.Generator
) -> np.ndarray | None:
    """How often each model is drawn, (num_resamples, num_models)."""
    if not bootstrap.resamples_models:
        return None
    if num_models < 3:
        raise ValueError(
            "predictions: expected 3 models or more to be drawn, received "
            f"{num_models}; with 2, draw examples only."
        )
    counts = _draw(num_models, bootstrap.num_resamples, random)
    # A resample of one model alone has no pair.
    while np.any(alone := counts.max(axis=1) == num_models):
        counts[alone] = _draw(num_models, int(alone.sum()), random)
    return counts


def _draw_sets(
    num_sets: int, bootstrap: Bootstrap, random: np.random.Generator
) -> np.ndarray | None:
    if not bootstrap.resamples_examples:
        return None
    return _draw(num_sets, bootstrap.num_resamples, random)


def _draw(num: int, num_resamples: int, random: np.random.Generator) -> np.ndarray:
    return random.multinomial(num, np.full(num, 1 / num), size=num_resamples)


def _interval(estimate: float, values: np.ndarray, bootstrap: Bootstrap) -> Interval:
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), bootstrap.confidence)
