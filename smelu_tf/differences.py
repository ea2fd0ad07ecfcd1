"""How far predictions are apart, over all pairs of models, on every example."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from .difference_kinds import (
    DifferenceKind,
    comparable,
    distance,
    over_labels,
    probabilities,
)
from .prediction_checks import check_predictions, check_weights

# Values of a chunk of examples, float64: those of all models stay in the cache.
_CHUNK_VALUES = 1 << 17


def example_differences(
    predictions: Any, kind: str | DifferenceKind = "relative"
) -> np.ndarray:
    """The mean difference over all pairs of models, of each example.

    Args:
        predictions: as in `check_predictions`.
        kind: of the difference.

    Returns:
        float64 (num_examples,). Exactly 0 where the models agree to the bit.

    Raises:
        ValueError: as `check_predictions`.

    Examples:
        >>> example_differences([[0.10, 0.20], [0.12, 0.20]]).round(4)
        array([0.1818, 0.    ])
    """
    kind = DifferenceKind.of(kind)
    p = check_predictions(predictions, kind)
    num_pairs = len(p) * (len(p) - 1) / 2
    found = np.empty(p.shape[1])
    for part, values in _chunks(p, kind):
        found[part] = _sum_over_pairs(values, kind) / num_pairs
    return found


def differences_from_mean(
    predictions: Any, kind: str | DifferenceKind = "relative", rescale: bool = False
) -> np.ndarray:
    """The mean difference of the models from the ensemble's mean, of each example.

        relative: |p - mean| / mean;   others: as in `DifferenceKind`

    It grows with the number M of models: where a model's deviations are Gaussian,

        E|p_i - mean| / E|p_i - p_j| = sqrt((M - 1) / (2M))

    which is 0.5 for two models (whatever the distribution), 0.671 for ten and 0.707 for
    very many. Of `squared` it is (M - 1) / (2M), whatever the distribution.

    Args:
        predictions: as in `check_predictions`.
        kind: of the difference. The mean is that of what is compared: of `logit` the
            mean logit; of `hamming` the label that the mean probability predicts.
        rescale: divide by this ratio, for a value that is comparable with all pairs'
            and does not depend on M; not for `hamming`.

    Returns:
        float64 (num_examples,).

    Raises:
        ValueError: as `check_predictions`; or `hamming` is to be rescaled.

    Examples:
        >>> differences_from_mean([[0.10, 0.20], [0.12, 0.20]]).round(4)
        array([0.0909, 0.    ])
    """
    kind = DifferenceKind.of(kind)
    p = check_predictions(predictions, kind)
    if rescale and kind.name == "hamming":
        raise ValueError(
            "rescale: expected False for the kind hamming, of which the ratio to all "
            "pairs is not known, received True."
        )
    found = np.empty(p.shape[1])
    for part, values in _chunks(p, kind):
        if kind.name == "hamming":
            mean = _predicted_by_mean(p[:, part], kind)
        else:
            mean = _mean(values)
        if kind.name == "relative":
            each = np.abs(values - mean) / np.where(mean > 0, mean, 1.0)
        else:
            each = distance(values, mean, kind)
        found[part] = over_labels(each, kind, values.ndim == 3).mean(axis=0)
    return found / mean_to_pairs_ratio(len(p), kind) if rescale else found


def mean_to_pairs_ratio(
    num_models: int, kind: str | DifferenceKind = "relative"
) -> float:
    """How the mean difference from the ensemble's mean compares with all pairs'.

        sqrt((M - 1) / (2M)), and for `squared` its square

    Args:
        num_models: M, two or more.
        kind: of the difference.

    Raises:
        ValueError: fewer than two models.

    Examples:
        >>> round(mean_to_pairs_ratio(10), 3)
        0.671
    """
    if num_models < 2:
        raise ValueError(f"num_models: expected 2 or more, received {num_models}.")
    square = (num_models - 1) / (2 * num_models)
    is_squared = DifferenceKind.of(kind).name == "squared"
    return square if is_squared else float(np.sqrt(square))


def pair_means(
    predictions: Any, weights: Any = None, kind: str | DifferenceKind = "relative"
) -> np.ndarray:
    """The mean difference over examples, of each pair of models.

    Args:
        predictions: as in `check_predictions`.
        weights: of the examples, as in `check_weights`.
        kind: of the difference.

    Returns:
        float64 (num_models, num_models), symmetric, with zeros on the diagonal.

    Raises:
        ValueError: as `check_predictions` and `check_weights`.

    Examples:
        >>> pair_means([[0.10], [0.10], [0.30]]).round(4)
        array([[0., 0., 1.],
               [0., 0., 1.],
               [1., 1., 0.]])
    """
    kind = DifferenceKind.of(kind)
    p = check_predictions(predictions, kind)
    w = check_weights(weights, p.shape[1])
    return pair_sums(p, w, kind)[0] / w.sum()


def pair_sums(
    predictions: np.ndarray,
    weights: np.ndarray,
    kind: DifferenceKind,
    sets: np.ndarray | None = None,
    num_sets: int = 1,
) -> np.ndarray:
    """The weighted sum of differences of each pair of models, in sets of examples.

    Args:
        predictions: checked, as `check_predictions` returns them.
        weights: checked, float64 (num_examples,).
        kind: of the difference.
        sets: which set an example is in, int (num_examples,); None is one set.
        num_sets: how many there are.

    Returns:
        float64 (num_sets, num_models, num_models), symmetric.
    """
    num_models = len(predictions)
    found = np.zeros((num_sets, num_models, num_models))
    order = None if sets is None else np.argsort(sets, kind="stable")
    for part, values in _chunks(predictions, kind, order):
        chosen = part if order is None else order[part]
        weight = weights[chosen]
        # Examples of one set lie side by side.
        ids = np.zeros(len(weight), int) if sets is None else sets[chosen]
        starts = np.flatnonzero(np.diff(ids, prepend=-1))
        for i in range(num_models - 1):
            each = distance(values[i + 1 :], values[i], kind)
            each = over_labels(each, kind, values.ndim == 3)
            sums = np.add.reduceat(each * weight, starts, axis=1)
            found[ids[starts], i, i + 1 :] += sums.T
    return found + np.swapaxes(found, 1, 2)


def _chunks(
    p: np.ndarray, kind: DifferenceKind, order: np.ndarray | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """The examples' positions, and what is compared of them."""
    size = max(1, _CHUNK_VALUES // int(np.prod(p.shape[:1] + p.shape[2:])))
    for start in range(0, p.shape[1], size):
        part = slice(start, min(start + size, p.shape[1]))
        values = p[:, part] if order is None else p[:, order[part]]
        yield part, comparable(values.astype(np.float64), kind)


def _predicted_by_mean(values: np.ndarray, kind: DifferenceKind) -> np.ndarray:
    """The labels that the models' mean probability predicts."""
    mean = _mean(probabilities(values.astype(np.float64), kind))
    return comparable(mean[None], dataclasses.replace(kind, from_logits=False))[0]


def _mean(values: np.ndarray) -> np.ndarray:
    """The models' mean: exactly their value where they agree."""
    return values[0] + (values - values[0]).mean(axis=0)


def _sum_over_pairs(values: np.ndarray, kind: DifferenceKind) -> np.ndarray:
    """The sum over pairs of models, (num_examples,)."""
    num_models = len(values)
    by_label = values.ndim == 3
    if kind.name in ("absolute", "logit"):
        # The gap behind the k lowest lies between k of them and the M - k others.
        k = np.arange(1, num_models)
        gaps = np.diff(np.sort(np.moveaxis(values, 0, -1), axis=-1), axis=-1)
        return over_labels(gaps @ (k * (num_models - k)), kind, by_label)
    if kind.name == "squared":
        deviations = values - _mean(values)
        total = num_models * np.square(deviations).sum(axis=0)
        return over_labels(total, kind, by_label)
    found = np.zeros(values.shape[1])
    for i in range(num_models - 1):
        each = distance(values[i + 1 :], values[i], kind)
        found += over_labels(each, kind, by_label).sum(axis=0)
    return found
