"""The prediction difference of slices of the examples."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .bootstrap import Interval, bootstrap_interval
from .difference_kinds import DifferenceKind, probabilities
from .differences import example_differences
from .prediction_checks import check_predictions, check_weights
from .resampling import Bootstrap

MAX_SLICES = 50
"""How many slices are shown one by one."""

_CHUNK = 1 << 16


@dataclasses.dataclass(frozen=True, eq=False)
class Slicing:
    """Which slice each example is in.

    See `slice_by_value`.

    Attributes:
        codes: int (num_examples,), places in `names`.
        names: of the slices, in the order in which they are shown.
    """

    codes: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        codes = np.asarray(self.codes)
        if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
            raise ValueError(
                "codes: expected integers of shape (num_examples,), received "
                f"{codes.dtype} of shape {codes.shape}."
            )
        if codes.size and not 0 <= codes.min() <= codes.max() < len(self.names):
            raise ValueError(
                f"codes: expected places among {len(self.names)} names, received "
                f"{codes.min()} to {codes.max()}."
            )

    def limited(self, weights: np.ndarray, max_slices: int) -> Slicing:
        """The slices with the most weight, all others together as the last, `other`."""
        if len(self.names) <= max_slices:
            return self
        totals = np.bincount(self.codes, weights, minlength=len(self.names))
        kept = np.sort(np.argsort(-totals, kind="stable")[:max_slices])
        places = np.full(len(self.names), max_slices)
        places[kept] = np.arange(max_slices)
        names = (*(self.names[i] for i in kept), "other")
        return Slicing(places[self.codes], names)


@dataclasses.dataclass(frozen=True)
class DifferenceSlice:
    """The prediction difference of one slice.

    See `measure_slices`.

    Attributes:
        name: of the slice.
        num_examples: in it.
        weight: of these.
        mean_prediction: the mean probability over models and examples.
        mean: the prediction difference over all pairs.
        interval: of it; None where none was wanted, or a slice has one example alone
            and examples are drawn.
    """

    name: str
    num_examples: int
    weight: float
    mean_prediction: float
    mean: float
    interval: Interval | None

    def figures(self) -> dict[str, Any]:
        """The slice, ready for JSON."""
        return dataclasses.asdict(self)


def slice_by_value(keys: Any) -> Slicing:
    """A slice for each value of a column.

    Args:
        keys: (num_examples,), of any type that sorts.

    Returns:
        The slices in the values' order.

    Raises:
        ValueError: another shape, or values that do not sort.

    Examples:
        >>> slice_by_value(["b", "a", "b"]).names
        ('a', 'b')
    """
    keys = _column(keys)
    try:
        values, codes = np.unique(keys, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"keys: expected values that sort: {error}.") from None
    return Slicing(codes, tuple(map(_name_of, values)))


def slice_by_prediction(
    predictions: Any, num_slices: int = 10, kind: str | DifferenceKind = "relative"
) -> Slicing:
    """Slices of about equally many examples by the models' mean probability: deciles.

    Args:
        predictions: (num_models, num_examples).
        num_slices: how many; fewer where predictions are equal.
        kind: only whether the predictions are logits is looked at.

    Returns:
        The slices from the lowest prediction on, named `0.012 to 0.034`.

    Raises:
        ValueError: as `check_predictions`, several labels, or no slices.

    Examples:
        >>> slice_by_prediction([[0.1, 0.2, 0.3, 0.4]] * 2, num_slices=2).names
        ('0.1 to 0.2', '0.3 to 0.4')
    """
    kind = DifferenceKind("absolute", from_logits=DifferenceKind.of(kind).from_logits)
    p = check_predictions(predictions, kind)
    if p.ndim != 2:
        raise ValueError(
            "predictions: expected shape (num_models, num_examples), received "
            f"{p.shape}."
        )
    return _bins(_mean_predictions(p, kind), num_slices)


def slice_by_click_rate(
    keys: Any,
    labels: Any,
    weights: Any = None,
    num_slices: int = 10,
    prior_weight: float = 0.0,
) -> Slicing:
    """Slices by the click-through rate that a column's value has in these examples.

        rate of a value = (clicks + prior_weight · mean rate) / (weight + prior_weight)

    A value that is seen once has the rate 0 or 1 without a prior: its own label.

    Args:
        keys: of the column, (num_examples,).
        labels: 0 or 1, (num_examples,).
        weights: of the examples; equal where None.
        num_slices: slices of about equally many examples; fewer where rates are equal.
        prior_weight: of how many examples at the mean rate a value's rate is drawn
            towards it.

    Returns:
        The slices from the lowest rate on, named `0.012 to 0.034`.

    Raises:
        ValueError: other shapes or values.

    Examples:
        >>> keys, labels = ["a", "a", "b", "b"], [0, 1, 0, 0]
        >>> slice_by_click_rate(keys, labels, num_slices=2).names
        ('0', '0.5')
    """
    if not prior_weight >= 0:
        raise ValueError(
            f"prior_weight: expected a number of 0 or more, received {prior_weight}."
        )
    values = slice_by_value(keys)
    y = np.asarray(labels, np.float64)
    w = check_weights(weights, len(values.codes))
    if y.shape != w.shape or not np.all((y == 0) | (y == 1)):
        raise ValueError(
            f"labels: expected 0 or 1, of shape {w.shape}, received others, of shape "
            f"{y.shape}."
        )
    clicks = np.bincount(values.codes, w * y)
    weight = np.bincount(values.codes, w)
    mean_rate = clicks.sum() / weight.sum()
    total = weight + prior_weight
    # Values without any weight have the mean rate.
    rates = np.where(
        total > 0,
        (clicks + prior_weight * mean_rate) / np.where(total > 0, total, 1.0),
        mean_rate,
    )
    return _bins(rates[values.codes], num_slices)


def measure_slices(
    predictions: Any,
    slicing: Slicing,
    weights: Any = None,
    kind: str | DifferenceKind = "relative",
    bootstrap: Bootstrap | None = None,
    max_slices: int = MAX_SLICES,
) -> list[DifferenceSlice]:
    """The prediction difference over all pairs, in each slice.

    Args:
        predictions: (num_models, num_examples[, num_labels]).
        slicing: of these examples.
        weights: of the examples; equal where None.
        kind: of the difference.
        bootstrap: how intervals are made; None makes none.
        max_slices: the slices with the most weight are shown, others as `other`.

    Returns:
        The slices that have weight, in the slicing's order.

    Raises:
        ValueError: as `bootstrap_interval`, or the slicing is of other examples.

    Examples:
        >>> p = [[0.1, 0.2, 0.4], [0.1, 0.2, 0.6]]
        >>> slices = measure_slices(p, slice_by_value(["a", "a", "b"]))
        >>> [(s.name, round(s.mean, 4)) for s in slices]
        [('a', 0.0), ('b', 0.4)]
    """
    kind = DifferenceKind.of(kind)
    p = check_predictions(predictions, kind)
    w = check_weights(weights, p.shape[1])
    if slicing.codes.shape != w.shape:
        raise ValueError(
            f"slicing: expected {len(w)} examples, received {len(slicing.codes)}."
        )
    if max_slices < 1:
        raise ValueError(f"max_slices: expected 1 or more, received {max_slices}.")
    slicing = slicing.limited(w, max_slices)
    order = np.argsort(slicing.codes, kind="stable")
    ends = np.cumsum(np.bincount(slicing.codes, minlength=len(slicing.names)))
    found = []
    for name, rows in zip(slicing.names, np.split(order, ends[:-1]), strict=True):
        if np.any(w[rows] > 0):
            found.append(_measure(name, p[:, rows], w[rows], kind, bootstrap))
    return found


def _measure(
    name: str,
    p: np.ndarray,
    w: np.ndarray,
    kind: DifferenceKind,
    bootstrap: Bootstrap | None,
) -> DifferenceSlice:
    interval = None
    if bootstrap and (np.sum(w > 0) > 1 or not bootstrap.resamples_examples):
        interval = bootstrap_interval(p, w, kind, bootstrap)
    mean_prediction = _mean_predictions(p, kind)
    if mean_prediction.ndim > 1:
        mean_prediction = mean_prediction.mean(axis=1)
    return DifferenceSlice(
        name=name,
        num_examples=len(w),
        weight=float(w.sum()),
        mean_prediction=float(np.average(mean_prediction, weights=w)),
        mean=float(np.average(example_differences(p, kind), weights=w)),
        interval=interval,
    )


def _mean_predictions(p: np.ndarray, kind: DifferenceKind) -> np.ndarray:
    """The models' mean probability, (num_examples[, num_labels])."""
    parts = [
        probabilities(p[:, i : i + _CHUNK].astype(np.float64), kind).mean(axis=0)
        for i in range(0, p.shape[1], _CHUNK)
    ]
    return np.concatenate(parts)


def _bins(values: np.ndarray, num_slices: int) -> Slicing:
    """Bins of about equally many values; equal ones are in one bin."""
    if num_slices < 1:
        raise ValueError(f"num_slices: expected 1 or more, received {num_slices}.")
    # A bin ends with one of the values, which belongs to it. Quantiles of fractions
    # would be off by a value where these are rounded: 7 of 11 parts of 77.
    last = -(-np.arange(1, num_slices) * len(values) // num_slices) - 1
    edges = np.unique(np.sort(values)[last])
    codes = np.unique(np.searchsorted(edges, values), return_inverse=True)[1]
    names = []
    for code in range(int(codes.max()) + 1):
        inside = values[codes == code]
        low, high = (f"{end:.3g}" for end in (inside.min(), inside.max()))
        names.append(low if low == high else f"{low} to {high}")
    return Slicing(codes, tuple(names))


def _column(keys: Any) -> np.ndarray:
    keys = np.asarray(keys)
    if keys.ndim != 1 or not keys.size:
        raise ValueError(
            f"keys: expected shape (num_examples,), received {keys.shape}."
        )
    return keys


def _name_of(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
