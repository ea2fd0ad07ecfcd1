"""Predictions of several models and weights of examples, once they are checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from .difference_kinds import DifferenceKind


def check_predictions(
    predictions: Any, kind: str | DifferenceKind = "relative"
) -> np.ndarray:
    """Predictions as a floating array of checked shape and values.

    Args:
        predictions: (num_models, num_examples) or (num_models, num_examples,
            num_labels); at least two models. NumPy, TensorFlow or lists.
        kind: what they are to be compared by.

    Returns:
        The array, not copied where it was one.

    Raises:
        ValueError: other shapes, fewer than two models, no examples, values that are
            not finite; or that are negative for `relative`, or not from 0 to 1 for
            `logit` and `hamming`, unless they are logits.
    """
    p = np.asarray(predictions)
    if not np.issubdtype(p.dtype, np.floating):
        p = p.astype(np.float64)
    if p.ndim not in (2, 3) or p.shape[0] < 2 or 0 in p.shape:
        raise ValueError(
            "predictions: expected shape (num_models, num_examples[, num_labels]) with "
            f"2 models or more, received {p.shape}."
        )
    kind = DifferenceKind.of(kind)
    low, high, values = -np.inf, np.inf, "finite values"
    if not kind.from_logits and kind.name in ("logit", "hamming"):
        low, high, values = 0, 1, "probabilities from 0 to 1"
    elif not kind.from_logits and kind.name == "relative":
        low, values = 0, "finite values of 0 or more"
    # Extremes are NaN where any value is.
    smallest, largest = float(p.min()), float(p.max())
    finite = np.isfinite(smallest) and np.isfinite(largest)
    if not (finite and low <= smallest and largest <= high):
        bad = p[~(np.isfinite(p) & (p >= low) & (p <= high))]
        raise ValueError(f"predictions: expected {values}, received {bad.flat[0]}.")
    return p


def check_weights(
    weights: Any, num_examples: int, may_be_zero: bool = False
) -> np.ndarray:
    """Weights of examples as float64 (num_examples,); 1 where None.

    Args:
        weights: of the examples.
        num_examples: how many there are.
        may_be_zero: whether they may all be 0, as those of a part of the examples may.

    Raises:
        ValueError: another shape, values that are negative or not finite, or all 0.
    """
    if weights is None:
        return np.ones(num_examples)
    w = np.asarray(weights, np.float64)
    if w.shape != (num_examples,):
        raise ValueError(
            f"weights: expected shape ({num_examples},), received {w.shape}."
        )
    if not np.all(np.isfinite(w)) or np.any(w < 0):
        raise ValueError(
            "weights: expected finite values of 0 or more, received others."
        )
    if not may_be_zero and not np.any(w > 0):
        raise ValueError("weights: expected values that are not all 0, received zeros.")
    return w
