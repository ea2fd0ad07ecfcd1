"""The prediction difference of a stream of examples, from sums that merge."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .difference_kinds import DifferenceKind
from .differences import pair_sums
from .prediction_checks import check_predictions, check_weights


@dataclasses.dataclass(frozen=True, eq=False)
class PredictionDifferenceCounts:
    """What the mean differences of all pairs of models are taken from: it adds up.

    The counts of two sets of examples are the sum of the counts of each, to the
    rounding of float64. So predictions need not be kept: batches, days and shards are
    counted where they are, and their counts merged in any order.

    Attributes:
        kind: of the difference.
        num_models: how many models are compared.
        pair_sums: the weighted sum of differences of each pair of models, float64
            (num_models · (num_models - 1) / 2,): of the models 0 and 1, 0 and 2, … and
            at last of the last two.
        weight: the sum of the examples' weights.
        num_examples: how many examples have been counted.

    Raises:
        ValueError: fewer than two models, sums of another shape, or values that are
            negative or not finite.

    Examples:
        >>> monday = PredictionDifferenceCounts.of([[0.10, 0.20], [0.12, 0.20]])
        >>> tuesday = PredictionDifferenceCounts.of([[0.30], [0.30]])
        >>> round((monday + tuesday).result(), 4)
        0.0606
    """

    kind: DifferenceKind
    num_models: int
    pair_sums: np.ndarray
    weight: float
    num_examples: int

    def __post_init__(self) -> None:
        if self.num_models < 2:
            raise ValueError(
                f"num_models: expected 2 or more, received {self.num_models}."
            )
        expected = (self.num_models * (self.num_models - 1) // 2,)
        if np.shape(self.pair_sums) != expected:
            raise ValueError(
                f"pair_sums: expected shape {expected}, a sum for each pair of "
                f"{self.num_models} models, received {np.shape(self.pair_sums)}."
            )
        values = np.array([*self.pair_sums, self.weight, self.num_examples])
        if not np.all(np.isfinite(values) & (values >= 0)):
            raise ValueError(
                "counts: expected finite values of 0 or more, received others."
            )

    @classmethod
    def zero(
        cls, num_models: int, kind: str | DifferenceKind = "relative"
    ) -> PredictionDifferenceCounts:
        """The counts of no examples.

        Args:
            num_models: two or more.
            kind: of the difference.
        """
        num_pairs = max(0, num_models * (num_models - 1) // 2)
        return cls(DifferenceKind.of(kind), num_models, np.zeros(num_pairs), 0.0, 0)

    @classmethod
    def of(
        cls,
        predictions: Any,
        weights: Any = None,
        kind: str | DifferenceKind = "relative",
    ) -> PredictionDifferenceCounts:
        """The counts of some examples.

        Args:
            predictions: (num_models, num_examples) or (num_models, num_examples,
                num_labels); at least two models.
            weights: of the examples, (num_examples,), not negative; equal where None.
                They may all be 0.
            kind: of the difference.

        Raises:
            ValueError: predictions or weights that cannot be.
        """
        kind = DifferenceKind.of(kind)
        p = check_predictions(predictions, kind)
        w = check_weights(weights, p.shape[1], may_be_zero=True)
        pairs = np.triu_indices(len(p), 1)
        sums = pair_sums(p, w, kind)[0][pairs]
        return cls(kind, len(p), sums, float(w.sum()), p.shape[1])

    @classmethod
    def merge(
        cls, counts: Iterable[PredictionDifferenceCounts]
    ) -> PredictionDifferenceCounts:
        """The sum of several counts, one or more.

        Raises:
            ValueError: none, or they are of different kinds or numbers of models.
        """
        parts = list(counts)
        if not parts:
            raise ValueError("counts: expected 1 or more to merge, received none.")
        return functools.reduce(operator.add, parts)

    def __add__(self, other: PredictionDifferenceCounts) -> PredictionDifferenceCounts:
        if (self.kind, self.num_models) != (other.kind, other.num_models):
            raise ValueError(
                f"counts: expected those of {self.num_models} models and the kind "
                f"{self.kind}, received {other.num_models} and {other.kind}."
            )
        return dataclasses.replace(
            self,
            pair_sums=self.pair_sums + other.pair_sums,
            weight=self.weight + other.weight,
            num_examples=self.num_examples + other.num_examples,
        )

    def update(
        self, predictions: Any, weights: Any = None
    ) -> PredictionDifferenceCounts:
        """These counts and those of more examples.

        Args:
            predictions: as in `of`, of as many models.
            weights: as in `of`.

        Raises:
            ValueError: as in `of`, or another number of models.

        Examples:
            >>> counts = PredictionDifferenceCounts.zero(2)
            >>> for batch in ([[0.10], [0.12]], [[0.20], [0.20]]):
            ...     counts = counts.update(batch)
            >>> round(counts.result(), 4)
            0.0909
        """
        return self + type(self).of(predictions, weights, self.kind)

    def pair_means(self) -> np.ndarray:
        """The mean difference of each pair of models, as `differences.pair_means`.

        `bootstrap.interval_over_models` makes an interval of it.

        Returns:
            float64 (num_models, num_models), symmetric, with zeros on the diagonal;
            NaN elsewhere as long as there is no weight.
        """
        means = np.zeros((self.num_models, self.num_models))
        pairs = np.triu_indices(self.num_models, 1)
        means[pairs] = self.pair_sums / self.weight if self.weight else math.nan
        return means + means.T

    def result(self) -> float:
        """The prediction difference: the mean over all pairs and examples.

        NaN as long as there is no weight.
        """
        if not self.weight:
            return math.nan
        return float(np.mean(self.pair_sums) / self.weight)

    def to_dict(self) -> dict[str, Any]:
        """All there is, ready for JSON, which keeps every bit.

        Examples:
            >>> counts = PredictionDifferenceCounts.of([[0.10, 0.20], [0.12, 0.20]])
            >>> again = PredictionDifferenceCounts.from_dict(counts.to_dict())
            >>> again.result() == counts.result()
            True
        """
        return {
            "kind": dataclasses.asdict(self.kind),
            "num_models": self.num_models,
            "pair_sums": self.pair_sums.tolist(),
            "weight": self.weight,
            "num_examples": self.num_examples,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PredictionDifferenceCounts:
        """The counts that `to_dict` was called of.

        Raises:
            ValueError: values that are none of counts.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(values) != names:
            raise ValueError(
                f"counts: expected the keys {', '.join(sorted(names))}, received "
                f"{', '.join(sorted(map(str, values)))}."
            )
        try:
            return cls(
                kind=DifferenceKind(**values["kind"]),
                num_models=int(values["num_models"]),
                pair_sums=np.array(values["pair_sums"], np.float64),
                weight=float(values["weight"]),
                num_examples=int(values["num_examples"]),
            )
        except TypeError as error:
            raise ValueError(
                f"counts: expected what to_dict gives, received others: {error}."
            ) from None
