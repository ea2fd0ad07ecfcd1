"""How far two predictions are apart, and all pairs of models on every example."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

KINDS = ("relative", "absolute", "euclidean", "squared", "logit", "hamming")
"""What `DifferenceKind` knows by name."""

# Where logits of probabilities end: as Keras does it in its cross-entropies.
EPSILON = 1e-7

# Values of a chunk of examples, float64: those of all models stay in the cache.
_CHUNK_VALUES = 1 << 17


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

    Args:
        name: one of these.
        from_logits: the predictions are logits, of which other kinds take the sigmoid,
            each label's own.
        threshold: of `hamming`: above this probability a label is predicted; of several
            labels each is then compared for itself, and the mean taken. None is 0.5
            for one label, and for several the one with the highest prediction. Click
            rates lie far below 0.5: choose where one's own decisions change.

    Raises:
        ValueError: an unknown name, or a threshold that is none.

    Example:
        >>> DifferenceKind("hamming", threshold=0.02).name
        'hamming'
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
    if not (np.isfinite(smallest + largest) and low <= smallest and largest <= high):
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
    # In this dtype: TensorFlow's NumPy would make float64 of Python's numbers.
    one = numpy.ones_like(values)
    if kind.name == "logit":
        if kind.from_logits:
            return values
        p = numpy.clip(values, EPSILON * one, one - EPSILON * one)
        return numpy.log(p) - numpy.log1p(-p)
    if kind.from_logits:
        values = numpy.exp(-numpy.logaddexp(one - one, -values))
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

    Example:
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

    Example:
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

    Example:
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

    Example:
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
    probability = DifferenceKind("absolute", from_logits=kind.from_logits)
    mean = _mean(comparable(values.astype(np.float64), probability))
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
