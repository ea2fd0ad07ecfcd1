"""The figures of slices of rows: of each value of a column."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import Schema

from .metrics import NUM_BINS, BinaryCounts, row_values
from .reliability import ReliabilityBin
from .slice_columns import SliceColumn, slice_columns

MAX_SLICES = 50
"""How many slices of a column are shown one by one."""

_NUM_HISTOGRAMS = 128
_NUM_FIRST_ROWS = 1 << 18


class Slices:
    """Counts rows by the values of columns, batch by batch.

    Each value of a column is a slice. The 50 slices of a column with the most weight
    are shown, those of a scale in its order, and all others together as `other`. A row
    with several values in a column is in the slice of each of them, once.

    All figures are exact, but `auc` and `pr_auc` may be None: they need a histogram of
    logits, and only 128 slices of a column have one, those with the most weight in the
    first 262,144 rows. A slice that is shown without having been among them has none,
    and `other` then neither. A column takes about 50 bytes a slice that is possible (an
    id), and up to 17 MB for its histograms.

    Args:
        schema: a complete schema.
        columns: names of its columns.

    Raises:
        ValueError: an unknown column; tells the nearest one.

    Examples:
        >>> model, rows = load_model("model"), open_rows("clicks/day_6.tsv")
        >>> slices = Slices(model.schema, ["C1", "I3"])
        >>> for batch in rows.batches(model.schema, 256):
        ...     logit = model(batch.features)
        ...     slices.update(batch.features, batch.label, logit, batch.weight)
        >>> {name: len(found) > 1 for name, found in slices.figures().items()}
        {'C1': True, 'I3': True}
    """

    def __init__(self, schema: Schema, columns: Iterable[str]) -> None:
        self._columns = [_Counts(column) for column in slice_columns(schema, columns)]

    def update(
        self, features: Mapping[str, Any], label: Any, logit: Any, weight: Any
    ) -> None:
        """Adds a batch.

        Args:
            features: as in `Batch`.
            label: (B,), 0 or 1.
            logit: (B,) or (B, 1).
            weight: (B,).
        """
        flat = [tf.reshape(tf.cast(v, tf.float64), [-1]) for v in (label, logit)]
        values, cells = (value.numpy() for value in row_values(*flat))
        weights = np.asarray(weight, np.float64)
        sums = np.concatenate([np.ones((1, len(weights))), values * weights])
        for column in self._columns:
            column.add(features, sums, cells)

    def figures(self) -> dict[str, list[dict[str, Any]]]:
        """Of each column its slices, each a dict that is ready for JSON.

        `value`, the figures of `BinaryCounts`, and the fields of `ReliabilityBin`: mean
        prediction and mean label, with the latter's interval (None without weight).
        """
        return {column.name: column.figures() for column in self._columns}


class _Counts:
    """The counts of one column's slices."""

    def __init__(self, column: SliceColumn) -> None:
        self.name = column.name
        self._column = column
        self._sums = np.zeros((5, column.num_slices))
        # Until the slices with a histogram are chosen, the rows themselves.
        self._first_rows: list[tuple[np.ndarray, ...]] = []
        self._num_first_rows = 0
        self._chosen: np.ndarray | None = None
        self._place_of = np.zeros(0, np.int64)
        self._histograms = np.zeros((0, 2 * NUM_BINS))

    def add(
        self, features: Mapping[str, Any], sums: np.ndarray, cells: np.ndarray
    ) -> None:
        """Adds rows: what they add to the sums (5, B), where to the histogram (B,)."""
        slices = self._column.slices_of(features)
        if slices.ndim == 2:
            slices, rows = _distinct(slices)
            sums, cells = sums[:, rows], cells[rows]
        for total, values in zip(self._sums, sums, strict=True):
            np.add.at(total, slices, values)
        if self._chosen is not None:
            self._add_to_histograms(slices, cells, sums[1])
            return
        self._first_rows.append((slices, cells, sums[1]))
        self._num_first_rows += len(slices)
        if self._num_first_rows >= _NUM_FIRST_ROWS:
            self._choose()

    def figures(self) -> list[dict[str, Any]]:
        """The slices with the most weight, one by one, and the others together."""
        if self._chosen is None:
            self._choose()
        by_weight = self._by_weight()
        shown, others = by_weight[:MAX_SLICES], by_weight[MAX_SLICES:]
        if self._column.is_ordered:
            shown = np.sort(shown)
        found = [
            {
                "value": self._column.value(int(i)),
                **self._figures(self._sums[:, i], self._histogram(i)),
            }
            for i in shown
        ]
        if len(others):
            sums = self._sums[:, others].sum(axis=1)
            histogram = self._histogram_but(shown)
            found.append({"value": "other", **self._figures(sums, histogram)})
        return found

    def _by_weight(self) -> np.ndarray:
        """The slices that have rows, those with the most weight first."""
        present = np.flatnonzero(self._sums[0])
        return present[np.argsort(-self._sums[1, present], kind="stable")]

    def _choose(self) -> None:
        """Chooses the slices that have a histogram; behind them is one of the rest."""
        self._chosen = self._by_weight()[:_NUM_HISTOGRAMS]
        rest = len(self._chosen)
        self._place_of = np.full(self._column.num_slices, rest)
        self._place_of[self._chosen] = np.arange(rest)
        self._histograms = np.zeros((rest + 1, 2 * NUM_BINS))
        for rows in self._first_rows:
            self._add_to_histograms(*rows)
        self._first_rows.clear()

    def _add_to_histograms(
        self, slices: np.ndarray, cells: np.ndarray, weights: np.ndarray
    ) -> None:
        places = self._place_of[slices] * (2 * NUM_BINS) + cells
        np.add.at(self._histograms.reshape(-1), places, weights)

    def _histogram(self, index: int) -> np.ndarray | None:
        """That of a slice, if it has one."""
        place = self._place_of[index]
        return self._histograms[place] if place < len(self._histograms) - 1 else None

    def _histogram_but(self, shown: np.ndarray) -> np.ndarray | None:
        """That of all slices but some, if each of these has one of its own."""
        places = self._place_of[shown]
        if np.any(places == len(self._histograms) - 1):
            return None
        return np.delete(self._histograms, places, axis=0).sum(axis=0)

    @staticmethod
    def _figures(sums: np.ndarray, histogram: np.ndarray | None) -> dict[str, Any]:
        if histogram is None:
            histogram = np.zeros(2 * NUM_BINS)  # leaves the areas undetermined
        figures = BinaryCounts(sums, histogram.reshape(2, NUM_BINS)).figures()
        num_rows, weight, _, prediction, label = sums.tolist()
        if not weight:
            names = [field.name for field in dataclasses.fields(ReliabilityBin)]
            return {**dict.fromkeys(names), **figures}
        means = ReliabilityBin.of(num_rows, weight, prediction, label)
        return {**figures, **dataclasses.asdict(means)}


def _distinct(slices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct slices of each row (B, K), one after another, and their rows."""
    ordered = np.sort(slices, axis=1)
    is_new = np.ones(ordered.shape, bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    rows, places = np.nonzero(is_new & (ordered >= 0))
    return ordered[rows, places], rows
