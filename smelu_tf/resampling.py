"""Models and examples drawn anew, and the prediction differences of what is drawn."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .difference_kinds import DifferenceKind
from .differences import pair_sums

OVER = ("models", "examples", "both")
"""What can be resampled."""

MAX_SETS = 1000
"""More clusters of examples than these are put into so many sets, at random."""

_RESAMPLES_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        over: what is drawn anew, with replacement: `models`, for what other
            retrainings would show on the same examples; `examples`, for what the same
            models would show on other examples; or `both`.
        num_resamples: how often.
        confidence: the part of the resampled values that lies inside.
        seed: of the draws; equal seeds give equal intervals.

    Raises:
        ValueError: a value that is none of these.

    Examples:
        >>> p = np.random.default_rng(0).uniform(0.1, 0.2, (8, 500))
        >>> both, examples = (
        ...     bootstrap_interval(p, bootstrap=Bootstrap(over, confidence=0.9))
        ...     for over in ("both", "examples")
        ... )
        >>> both.high - both.low > examples.high - examples.low
        True
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


def sets_of_examples(
    weights: np.ndarray,
    clusters: Any,
    bootstrap: Bootstrap,
    random: np.random.Generator,
) -> tuple[np.ndarray | None, int]:
    """Which set each example is drawn with, and how many sets there are.

    Args:
        weights: checked, float64 (num_examples,).
        clusters: a key of each example, or None, as in `bootstrap_interval`.
        bootstrap: what is drawn.
        random: of the sets, where there are more clusters than `MAX_SETS`.

    Returns:
        int (num_examples,), or None where examples are not drawn and all are one set;
        and the number of sets.

    Raises:
        ValueError: clusters that do not fit, or fewer than two of weight above 0.
    """
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


def draw_models(
    num_models: int, bootstrap: Bootstrap, random: np.random.Generator
) -> np.ndarray | None:
    """How often each model is drawn, (num_resamples, num_models); None is once in all.

    Raises:
        ValueError: fewer than three models are to be drawn.
    """
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


def draw_sets(
    num_sets: int, bootstrap: Bootstrap, random: np.random.Generator
) -> np.ndarray | None:
    """How often each set of examples is drawn, (num_resamples, num_sets), or None."""
    if not bootstrap.resamples_examples:
        return None
    return _draw(num_sets, bootstrap.num_resamples, random)


def _draw(num: int, num_resamples: int, random: np.random.Generator) -> np.ndarray:
    return random.multinomial(num, np.full(num, 1 / num), size=num_resamples)


@dataclasses.dataclass(frozen=True)
class ModelGroup:
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
    ) -> ModelGroup:
        """The sums of checked predictions and weights, over sets of examples."""
        if sets is None:
            return cls(pair_sums(p, w, kind) / w.sum(), np.ones(1))
        return cls(
            pair_sums(p, w, kind, sets, num_sets),
            np.bincount(sets, weights=w, minlength=num_sets),
        )

    @property
    def num_models(self) -> int:
        """How many models there are."""
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
