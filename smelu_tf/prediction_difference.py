"""Prediction difference (PD): how far retrained models disagree on single examples."""

from __future__ import annotations

from typing import Any

import numpy as np


def prediction_difference(predictions: Any, weights: Any = None) -> float:
    """The relative prediction difference over all pairs of models.

        PD = mean over pairs (p, q) and examples of  2 · |p - q| / (p + q)

    0 where p = q = 0. With several labels an example's difference is the mean over
    its labels. It lies between 0 and 2; models that agree to the bit have exactly 0.

    Args:
        predictions: probabilities, (num_models, num_examples) or (num_models,
            num_examples, num_labels); at least two models.
        weights: of the examples, (num_examples,), not negative; equal where None.

    Returns:
        The mean, computed in float64.

    Raises:
        ValueError: other shapes, fewer than two models, no examples, predictions
            that are negative or not finite, or weights that are, or sum to 0.

    Source: Shamir & Lin, arXiv 2202.06499, use the relative difference; over all
    pairs it does not depend on the number of models.

    Example:
        >>> round(prediction_difference([[0.10, 0.20], [0.12, 0.20]]), 4)
        0.0909
    """
    p = np.asarray(predictions, np.float64)
    if p.ndim not in (2, 3) or p.shape[0] < 2 or 0 in p.shape:
        raise ValueError(
            "predictions: expected shape (num_models, num_examples[, num_labels]) with "
            f"2 models or more, received {p.shape}."
        )
    if not np.all(np.isfinite(p)) or np.any(p < 0):
        raise ValueError(
            "predictions: expected finite values of 0 or more, "
            f"received {p[~(np.isfinite(p) & (p >= 0))][0]}."
        )
    w = np.ones(p.shape[1]) if weights is None else np.asarray(weights, np.float64)
    if w.shape != p.shape[1:2]:
        raise ValueError(
            f"weights: expected shape ({p.shape[1]},), received {w.shape}."
        )
    if not np.all(np.isfinite(w)) or np.any(w < 0) or not np.any(w > 0):
        raise ValueError(
            "weights: expected finite values of 0 or more, not all 0, received others."
        )
    pairs = [
        np.average(_relative_difference(p[i], p[j]), weights=w)
        for i in range(len(p))
        for j in range(i)
    ]
    return float(np.mean(pairs))


def _relative_difference(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """2|p - q| / (p + q) of each example, the mean over labels if there are any."""
    total = p + q
    difference = 2 * np.abs(p - q) / np.where(total > 0, total, 1.0)
    return difference if difference.ndim == 1 else difference.mean(axis=1)
