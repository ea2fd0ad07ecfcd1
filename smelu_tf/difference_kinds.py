"""How far two predictions of one example are apart."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

KINDS = ("relative", "absolute", "euclidean", "squared", "logit", "hamming")
"""What `DifferenceKind` knows by name."""

# Where logits of probabilities end: as Keras does it in its cross-entropies.
EPSILON = 1e-7


@dataclasses.dataclass(frozen=True)
class DifferenceKind:
    """A kind of difference between predictions p and q of one example.

        relative    2 · |p - q| / (p + q), 0 where both are 0; the mean over labels
        absolute    |p - q|, the sum over labels: the L1 distance
        euclidean   sqrt((p - q)²), of the sum over labels: the L2 distance
        squared     (p - q)², the sum over labels: its mean over all pairs of models
                    is twice their variance
        logit       |logit p - logit q|, the mean over labels
        hamming     whether the predicted labels differ, 0 or 1

    Probabilities nearer than 1e-7 to 0 or 1 have the logit of 1e-7 or 1 - 1e-7 (±16.1);
    where predictions are given as logits, `logit` takes them as they are.

    Attributes:
        name: one of these.
        from_logits: the predictions are logits, of which other kinds take the sigmoid,
            each label's own.
        threshold: of `hamming`: above this probability a label is predicted; of several
            labels each is then compared for itself, and the mean taken. None is 0.5
            for one label, and for several the one with the highest prediction. Click
            rates lie far below 0.5: choose where one's own decisions change.

    Raises:
        ValueError: an unknown name, or a threshold that is none.

    Examples:
        Of two examples one is a click to one model alone, above 2 %:

        >>> p = [[0.01, 0.03], [0.03, 0.04]]
        >>> clicks = DifferenceKind("hamming", threshold=0.02)
        >>> summarize_prediction_difference(p, kind=clicks).mean
        0.5

        Logits are compared as probabilities:

        >>> kind = DifferenceKind("absolute", from_logits=True)
        >>> summary = summarize_prediction_difference([[0.0], [np.log(3)]], kind=kind)
        >>> round(summary.mean, 4)
        0.25
    """

    name: str = "relative"
    from_logits: bool = False
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            raise ValueError(
                f"kind: expected one of {', '.join(KINDS)}, received {self.name!r}."
            )
        if self.threshold is None:
            return
        if self.name != "hamming":
            raise ValueError(
                f"threshold: expected None for the kind {self.name}, received "
                f"{self.threshold!r}."
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError(
                "threshold: expected a probability from 0 to 1, received "
                f"{self.threshold!r}."
            )

    @classmethod
    def of(cls, kind: str | DifferenceKind) -> DifferenceKind:
        """The kind of a name; a kind is itself."""
        return kind if isinstance(kind, DifferenceKind) else cls(kind)


def probabilities(values: Any, kind: DifferenceKind, numpy: Any = np) -> Any:
    """What is predicted as probabilities: each label's sigmoid where it is logits.

    Args:
        values: floating.
        kind: only whether the predictions are logits is looked at.
        numpy: as in `comparable`.

    Returns:
        Of the values' shape and dtype.
    """
    if not kind.from_logits:
        return values
    zero = numpy.zeros_like(values)  # of this dtype, as in `comparable`
    return numpy.exp(-numpy.logaddexp(zero, -values))


def comparable(values: Any, kind: DifferenceKind, numpy: Any = np) -> Any:
    """What of predictions the distance is taken of.

    Args:
        values: floating, of two axes, or of three, the last one of which is labels.
        kind: of the difference.
        numpy: `np` for arrays, TensorFlow's `tnp` for tensors: one formula for both.

    Returns:
        Logits or probabilities, of the same shape and dtype. Of `hamming` what is
        predicted: bool of the same shape, by a threshold; or where there are several
        labels and no threshold the likeliest one, int, without the last axis.
    """
    if kind.name == "logit":
        if kind.from_logits:
            return values
        # In this dtype: TensorFlow's NumPy would make float64 of Python's numbers.
        one = numpy.ones_like(values)
        p = numpy.clip(values, EPSILON * one, one - EPSILON * one)
        return numpy.log(p) - numpy.log1p(-p)
    values = probabilities(values, kind, numpy)
    if kind.name == "hamming":
        has_labels = len(values.shape) == 3 and values.shape[-1] != 1
        if has_labels and kind.threshold is None:
            return numpy.argmax(values, axis=-1)
        return values > (0.5 if kind.threshold is None else kind.threshold)
    return values


def distance(x: Any, y: Any, kind: DifferenceKind, numpy: Any = np) -> Any:
    """The distance of each element, before labels are reduced.

    Args:
        x: as `comparable` returns it.
        y: as x, or a shape that broadcasts to it.
        kind: of the difference.
        numpy: as in `comparable`.

    Returns:
        Of x's shape and dtype; of `euclidean` the square, of `hamming` bool.
    """
    if kind.name == "hamming":
        return numpy.not_equal(x, y)
    if kind.name in ("squared", "euclidean"):
        return numpy.square(x - y)
    if kind.name == "relative":
        total = x + y
        safe = numpy.where(total > 0, total, numpy.ones_like(total))
        return 2 * numpy.abs(x - y) / safe
    return numpy.abs(x - y)


def over_labels(
    each: Any, kind: DifferenceKind, by_label: bool, numpy: Any = np
) -> Any:
    """One difference of an example's labels.

    Args:
        each: as `distance` returns it.
        kind: of the difference.
        by_label: whether its last axis is labels.
        numpy: as in `comparable`.
    """
    if by_label:
        by_sum = kind.name in ("absolute", "euclidean", "squared")
        each = (numpy.sum if by_sum else numpy.mean)(each, axis=-1)
    return numpy.sqrt(each) if kind.name == "euclidean" else each
