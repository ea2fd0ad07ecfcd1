"""What the true probabilities of generated rows score on their labels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from .generated_rows import GeneratedRows

_BINS = 1 << 14  # of the probabilities, for the AUC


@dataclasses.dataclass(frozen=True)
class BayesMetrics:
    """What the true probabilities score on the drawn labels: no model does better.

    Attributes:
        num_rows: the number of rows.
        click_rate: the mean label.
        log_loss: the mean of -log(probability of the label), in nats.
        normalized_entropy: log loss / entropy of the click rate; None if all
            labels are equal.
        auc: area under the ROC curve (of probabilities rounded to 1/16384); None
            if all labels are equal.
        calibration: mean probability / click rate; None without a click.
    """

    num_rows: int
    click_rate: float
    log_loss: float
    normalized_entropy: float | None
    auc: float | None
    calibration: float | None


class BayesTally:
    """Counts and sums from which the Bayes metrics of some rows follow."""

    def __init__(self) -> None:
        self._histogram = np.zeros((2, _BINS), np.int64)  # by label and probability
        self._loss = 0.0
        self._probability = 0.0

    def add(self, rows: GeneratedRows) -> None:
        """Counts rows."""
        p = rows.probability
        bins = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
        counts = np.bincount(
            bins + _BINS * rows.label.astype(np.int64), minlength=2 * _BINS
        )
        self._histogram += counts.reshape(2, _BINS)
        self._loss -= float(np.log(np.where(rows.label == 1, p, 1 - p)).sum())
        self._probability += float(p.sum())

    @classmethod
    def merged(cls, tallies: Iterable[BayesTally]) -> BayesTally:
        """The tally of the rows of all of them."""
        merged = cls()
        for tally in tallies:
            merged._histogram += tally._histogram
            merged._loss += tally._loss
            merged._probability += tally._probability
        return merged

    def result(self) -> BayesMetrics:
        """The metrics of the rows so far, at least one."""
        misses, clicks = self._histogram.sum(axis=1).tolist()
        num_rows = misses + clicks
        rate, loss = clicks / num_rows, self._loss / num_rows
        entropy = -sum(p * math.log(p) for p in (rate, 1 - rate) if p > 0)
        return BayesMetrics(
            num_rows=num_rows,
            click_rate=rate,
            log_loss=loss,
            normalized_entropy=loss / entropy if entropy else None,
            auc=self._auc() if entropy else None,
            calibration=self._probability / clicks if clicks else None,
        )

    def _auc(self) -> float:
        """P(a click's probability is above a non-click's), ties counting half."""
        misses, clicks = self._histogram.astype(np.float64)
        below = np.cumsum(misses) - misses / 2
        return float(below @ clicks / (misses.sum() * clicks.sum()))
