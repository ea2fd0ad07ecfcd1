"""Prediction difference (PD): how far retrained models disagree on single examples."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .difference_kinds import DifferenceKind
from .differences import differences_from_mean, example_differences, pair_means
from .prediction_checks import check_predictions, check_weights

REFERENCES = ("pairs", "mean")
"""What models are compared with: one another, or the ensemble's mean."""

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
"""The quantiles of a summary by name."""


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

    Examples:
        >>> round(prediction_difference([[0.10, 0.20], [0.12, 0.20]]), 4)
        0.0909
    """
    means = pair_means(predictions, weights)
    return float(means[np.triu_indices(len(means), 1)].mean())


@dataclasses.dataclass(frozen=True, eq=False)
class DifferenceSummary:
    """The differences of all examples in a few figures.

    See `summarize_prediction_difference`.

    Attributes:
        kind: the kind's name.
        reference: `pairs` or `mean`.
        num_models: how many were compared.
        num_examples: how many examples they predicted.
        weight: the sum of the examples' weights.
        mean: the weighted mean over examples: the prediction difference.
        quantiles: of the examples' differences, by weight: `p50`, `p90`, `p99`, `max`.
        examples: each example's difference, float64 (num_examples,), where wanted.
    """

    kind: str
    reference: str
    num_models: int
    num_examples: int
    weight: float
    mean: float
    quantiles: dict[str, float]
    examples: np.ndarray | None = None

    def figures(self) -> dict[str, Any]:
        """All but the single examples, ready for JSON."""
        figures = dataclasses.asdict(dataclasses.replace(self, examples=None))
        del figures["examples"]
        return figures


def summarize_prediction_difference(
    predictions: Any,
    weights: Any = None,
    kind: str | DifferenceKind = "relative",
    reference: str = "pairs",
    rescale: bool = False,
    keep_examples: bool = False,
) -> DifferenceSummary:
    """The prediction difference of any kind, its mean and its quantiles.

    An example's difference is the mean over all pairs of models, or over the models'
    differences from the ensemble's mean. The former does not depend on the number of
    models; the latter does (`differences_from_mean` says how).

    Args:
        predictions: (num_models, num_examples) or (num_models, num_examples,
            num_labels); at least two models. NumPy, TensorFlow or lists.
        weights: of the examples, (num_examples,), not negative; equal where None.
        kind: a name of `KINDS` (`relative`, `absolute`, `euclidean`, `squared`,
            `logit`, `hamming`), or a `DifferenceKind`, for logits and thresholds.
        reference: `pairs` or `mean`.
        rescale: of `mean`: bring it to what all pairs have.
        keep_examples: whether the summary keeps each example's difference.

    Returns:
        The summary. A quantile is the least difference that the examples of at least
        this part of the weight do not exceed; examples without weight do not count.

    Raises:
        ValueError: predictions or weights that cannot be, or unknown names.

    Examples:
        >>> p = [[0.10, 0.20, 0.30], [0.12, 0.20, 0.31]]
        >>> summary = summarize_prediction_difference(p, kind="absolute")
        >>> round(summary.mean, 4), round(summary.quantiles["max"], 4)
        (0.01, 0.02)
    """
    kind = DifferenceKind.of(kind)
    if reference not in REFERENCES:
        raise ValueError(
            f"reference: expected one of {', '.join(REFERENCES)}, received "
            f"{reference!r}."
        )
    if rescale and reference != "mean":
        raise ValueError(
            "rescale: expected False for the reference pairs, received True."
        )
    p = check_predictions(predictions, kind)
    w = check_weights(weights, p.shape[1])
    if reference == "pairs":
        examples = example_differences(p, kind)
    else:
        examples = differences_from_mean(p, kind, rescale)
    return DifferenceSummary(
        kind=kind.name,
        reference=reference,
        num_models=len(p),
        num_examples=p.shape[1],
        weight=float(w.sum()),
        mean=float(np.average(examples, weights=w)),
        quantiles=_quantiles(examples, w),
        examples=examples if keep_examples else None,
    )


def summarize_by_label(
    predictions: Any,
    weights: Any = None,
    kind: str | DifferenceKind = "relative",
    **options: Any,
) -> list[DifferenceSummary]:
    """The summary of each label's own predictions.

    Args:
        predictions: (num_models, num_examples, num_labels).
        weights: as in `summarize_prediction_difference`.
        kind: as there; `hamming` is by a threshold, 0.5 where it has none.
        **options: as there.

    Returns:
        A summary for each label.

    Raises:
        ValueError: as there; or the predictions are of one label.

    Examples:
        >>> p = [[[0.10, 0.90]], [[0.12, 0.88]]]
        >>> [round(s.mean, 4) for s in summarize_by_label(p)]
        [0.1818, 0.0225]
    """
    p = _with_labels(predictions, kind)
    return [
        summarize_prediction_difference(p[:, :, i], weights, kind, **options)
        for i in range(p.shape[2])
    ]


def true_label_predictions(predictions: Any, labels: Any) -> np.ndarray:
    """What the models predict for each example's true label.

    Args:
        predictions: (num_models, num_examples, num_labels).
        labels: which one is true, int (num_examples,).

    Returns:
        (num_models, num_examples), whose prediction difference is that of the true
        labels.

    Raises:
        ValueError: other shapes, or labels out of range.

    Examples:
        >>> true_label_predictions([[[0.1, 0.9]], [[0.2, 0.8]]], [1])
        array([[0.9],
               [0.8]])
    """
    p = _with_labels(predictions, DifferenceKind(from_logits=True))
    y = np.asarray(labels)
    if y.shape != p.shape[1:2] or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(
            f"labels: expected integers of shape ({p.shape[1]},), received {y.dtype} "
            f"of shape {y.shape}."
        )
    if y.min() < 0 or y.max() >= p.shape[2]:
        raise ValueError(
            f"labels: expected integers from 0 to {p.shape[2] - 1}, received "
            f"{y.min() if y.min() < 0 else y.max()}."
        )
    return np.take_along_axis(p, y[None, :, None], axis=2)[:, :, 0]


def _with_labels(predictions: Any, kind: str | DifferenceKind) -> np.ndarray:
    p = check_predictions(predictions, kind)
    if p.ndim != 3:
        raise ValueError(
            "predictions: expected shape (num_models, num_examples, num_labels), "
            f"received {p.shape}."
        )
    return p


def _quantiles(values: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Of each part of the weight the least value that it does not exceed."""
    order = np.argsort(values)
    order = order[weights[order] > 0]
    reached = np.cumsum(weights[order])
    # Rounding must not push a part beyond the last example.
    parts = np.minimum(np.array(list(QUANTILES.values())) * reached[-1], reached[-1])
    found = values[order[np.searchsorted(reached, parts * (1 - 1e-12))]]
    return {name: float(q) for name, q in zip(QUANTILES, found, strict=True)}
