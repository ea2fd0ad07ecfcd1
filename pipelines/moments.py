"""Mean and standard deviation of numbers that come in pieces."""

from __future__ import annotations

import math

import numpy as np


class Moments:
    """Adds up the moments of columns: exact for large means, too (Chan's rule).

    Args:
        num_columns: how many columns.
    """

    def __init__(self, num_columns: int) -> None:
        self.count = np.zeros(num_columns, np.int64)
        self.mean = np.zeros(num_columns)
        self._squares = np.zeros(num_columns)  # of the distances from the mean

    def add(self, values: np.ndarray) -> None:
        """Adds rows, float64 (B, num_columns); those that are not finite count not."""
        finite = np.isfinite(values)
        count = finite.sum(axis=0)
        mean = np.where(finite, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        squares = (np.where(finite, values - mean, 0.0) ** 2).sum(axis=0)
        self._add(count, mean, squares)

    def merge(self, other: Moments) -> None:
        """Adds the moments of other rows."""
        self._add(other.count, other.mean, other._squares)

    def _add(self, count: np.ndarray, mean: np.ndarray, squares: np.ndarray) -> None:
        total = np.maximum(self.count + count, 1)
        distance = mean - self.mean
        self._squares += squares + distance**2 * self.count * count / total
        self.mean += distance * count / total
        self.count += count

    @property
    def standard_deviation(self) -> np.ndarray:
        """Of the values so far; 0 where there are none."""
        return np.sqrt(self._squares / np.maximum(self.count, 1))

    def rounded(self, column: int) -> tuple[float, float]:
        """Mean and deviation to six digits: the order of the rows does not show.

        The deviation of equal values is given as 1, which scales nothing.
        """
        mean, deviation = (
            float(self.mean[column]),
            float(self.standard_deviation[column]),
        )
        # What rounding leaves of equal values is no deviation.
        if deviation <= 1e-12 * abs(mean) or deviation == 0:
            return float(f"{mean:.6g}"), 1.0
        digits = 5 - math.floor(math.log10(deviation))
        return round(mean, digits), round(deviation, digits)
