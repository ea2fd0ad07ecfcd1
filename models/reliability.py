"""Whether predictions are the rates of clicks: reliability and its error."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from .metrics import BINS_PER_UNIT, NUM_BINS, BinaryCounts

_Z = 1.959963984540054  # 95 % of a normal distribution lie within ± this


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """Mean prediction and mean label of rows: of about one prediction, say.

    Attributes:
        weight: theirs in all.
        prediction: their mean prediction.
        label: their mean label.
        label_low: the lower end of its 95 % interval.
        label_high: the upper end.
    """

    weight: float
    prediction: float
    label: float
    label_low: float
    label_high: float

    @classmethod
    def of(
        cls, num_rows: float, weight: float, prediction: float, label: float
    ) -> ReliabilityBin:
        """The means of weighted sums; the interval is Wilson's (see `reliability`).

        Args:
            num_rows: how many rows there are.
            weight: theirs in all, above 0.
            prediction: the weighted sum of their predictions.
            label: that of their labels.
        """
        mean, shift = label / weight, _Z**2 / num_rows
        half = _Z * math.sqrt(mean * (1 - mean) / num_rows + shift / num_rows / 4)
        low, high = ((mean + shift / 2 + sign * half) / (1 + shift) for sign in (-1, 1))
        return cls(weight, prediction / weight, mean, max(0.0, low), min(1.0, high))


def reliability(counts: BinaryCounts, num_bins: int = 20) -> list[ReliabilityBin]:
    """Mean prediction and mean label of rows sorted by their prediction.

    The bins have about the same weight, and there are fewer than `num_bins` where many
    rows have one prediction. All is taken from the histogram of logits. Its cells are
    1/256 wide, and every row counts as the middle of its cell: a mean prediction p may
    be off by p(1 - p)/512, at most 0.2 % of itself or 0.0005. Mean labels are exact.

    The interval is Wilson's:

        (y + z²/2n ± z sqrt(y(1 - y)/n + z²/4n²)) / (1 + z²/n),   z = 1.96

    with n the number of rows that the bin's weight is, at the mean weight of all rows.
    Where weights differ much, it is too narrow.

    Args:
        counts: of the predictions.
        num_bins: how many bins, 1 or more.

    Returns:
        The bins, by rising prediction; none if there is no weight.

    Raises:
        ValueError: `num_bins` is less than 1.

    Source: of the interval, Wilson, JASA 22, 1927.

    Examples:
        >>> metrics = BinaryMetrics()
        >>> metrics.update_state([0.0, 0.0, 1.0, 1.0], [-2.0, -2.0, 2.0, 2.0])
        >>> for row in reliability(metrics.counts(), num_bins=2):
        ...     print(f"{row.prediction:.2f} {row.label:.2f}")
        0.12 0.00
        0.88 1.00
    """
    if num_bins < 1:
        raise ValueError(f"num_bins: expected 1 or more, received {num_bins}.")
    # A difference of counts may leave a rounding error below 0.
    labels = np.maximum(counts.histogram, 0.0)
    weight = labels.sum(axis=0)
    total = weight.sum()
    if not total:
        return []
    middles = (np.arange(NUM_BINS) + 0.5 - NUM_BINS // 2) / BINS_PER_UNIT
    predictions = 1 / (1 + np.exp(-middles))
    # A cell belongs to the bin that its middle row is in.
    ranks = (np.cumsum(weight) - weight / 2) / total
    bins = np.minimum((ranks * num_bins).astype(np.int64), num_bins - 1)
    weights = np.bincount(bins, weight, num_bins)
    sums = np.bincount(bins, weight * predictions, num_bins)
    positives = np.bincount(bins, labels[1], num_bins)
    num_rows = weights * (counts.sums[0] / counts.sums[1])
    columns = np.stack([num_rows, weights, sums, positives], axis=1)
    return [ReliabilityBin.of(*row) for row in columns[weights > 0].tolist()]


def calibration_error(bins: Sequence[ReliabilityBin]) -> float | None:
    """The expected calibration error: mean |mean prediction - mean label|, by weight.

    Chance alone makes it greater than 0: of a perfect model with click rate y and n
    rows a bin it is about 0.8 sqrt(y(1 - y)/n).

    Args:
        bins: as `reliability` gives them.

    Returns:
        The error, in units of probability; None if there are no bins.

    Source: Naeini et al., Obtaining Well Calibrated Probabilities, AAAI 2015.

    Examples:
        >>> metrics = BinaryMetrics()
        >>> metrics.update_state([0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0])
        >>> error = calibration_error(reliability(metrics.counts()))
        >>> round(error, 2)  # 3 of 4 instead of 1 of 2
        0.25
    """
    weight = sum(row.weight for row in bins)
    if not weight:
        return None
    return sum(row.weight * abs(row.prediction - row.label) for row in bins) / weight
