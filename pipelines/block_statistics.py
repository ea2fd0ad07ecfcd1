"""What the rows of a data set of blocks are like."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from .schema import Schema
from .transform import MISSING_ID, UNKNOWN_ID


@dataclasses.dataclass(frozen=True)
class NumericStatistics:
    """A numeric column; mean and deviation of its finite, transformed values."""

    name: str
    missing_rate: float
    mean: float
    standard_deviation: float


@dataclasses.dataclass(frozen=True)
class IdStatistics:
    """An id column; the unknown rate only of one with a vocabulary."""

    name: str
    missing_rate: float
    unknown_rate: float | None
    num_distinct: int


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What the rows are like; rates are shares of the rows, whatever their weight."""

    click_rate: float
    weight_sum: float
    numeric: tuple[NumericStatistics, ...]
    ids: tuple[IdStatistics, ...]


class Tally:
    """Adds up the statistics of packed rows; the same blocks give the same bits.

    Args:
        schema: of the rows.
        id_names: the id columns in the order in which packed rows have them.
    """

    def __init__(self, schema: Schema, id_names: Sequence[str]) -> None:
        self._schema = schema
        self._names = list(id_names)
        self._num_rows = 0
        self._clicks = 0
        self._weight_sum = 0.0
        num_numeric = len(schema.numeric)
        self._num_missing = np.zeros(num_numeric, np.int64)
        self._count = np.zeros(num_numeric, np.int64)  # of finite values
        self._mean = np.zeros(num_numeric)
        self._squares = np.zeros(num_numeric)  # of the distances from the mean
        # How often the ids 0 and 1 occur, and which ids do, all columns in one row.
        self._first_ids = np.zeros((2, len(self._names)), np.int64)
        num_ids = dict(zip(schema.id_columns, schema.num_ids, strict=True))
        self._begins = np.cumsum([0, *(num_ids[name] for name in self._names)])
        self._seen = np.zeros(self._begins[-1], bool)

    def add(self, rows: np.ndarray) -> None:
        """Adds a block."""
        self._num_rows += len(rows)
        self._clicks += int(rows["label"].sum())
        weights = rows["weight"] if self._schema.weight else np.ones(len(rows))
        self._weight_sum += float(weights.sum(dtype=np.float64))
        self._add_numeric(rows["numeric"].astype(np.float64))
        fields = [rows[name] for name in ("ids32", "ids16", "ids8")]
        ids = np.concatenate([field.astype(np.int64) for field in fields], axis=1)
        for value in (MISSING_ID, UNKNOWN_ID):
            self._first_ids[value] += (ids == value).sum(axis=0)
        self._seen[ids + self._begins[:-1]] = True

    def _add_numeric(self, values: np.ndarray) -> None:
        """Merges means and squares by Chan's rule: exact for large means, too."""
        self._num_missing += np.isnan(values).sum(axis=0)
        finite = np.isfinite(values)
        count = finite.sum(axis=0)
        mean = np.where(finite, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        squares = (np.where(finite, values - mean, 0.0) ** 2).sum(axis=0)
        total = np.maximum(self._count + count, 1)
        distance = mean - self._mean
        self._squares += squares + distance**2 * self._count * count / total
        self._mean += distance * count / total
        self._count += count

    def result(self) -> Statistics:
        """The statistics of the blocks added; all 0 if there is none."""
        schema, num_rows = self._schema, max(self._num_rows, 1)
        deviation = np.sqrt(self._squares / np.maximum(self._count, 1))
        missing, unknown = (self._first_ids / num_rows).tolist()
        has_unknown = {c.name for c in schema.categorical if c.vocabulary is not None}
        numeric = tuple(
            NumericStatistics(column.name, *values)
            for column, *values in zip(
                schema.numeric,
                (self._num_missing / num_rows).tolist(),
                self._mean.tolist(),
                deviation.tolist(),
                strict=True,
            )
        )
        ids = {}
        for i, name in enumerate(self._names):
            num_distinct = int(self._seen[self._begins[i] : self._begins[i + 1]].sum())
            rate = unknown[i] if name in has_unknown else None
            ids[name] = IdStatistics(name, missing[i], rate, num_distinct)
        return Statistics(
            click_rate=self._clicks / num_rows,
            weight_sum=self._weight_sum,
            numeric=numeric,
            ids=tuple(ids[name] for name in schema.id_columns),
        )
