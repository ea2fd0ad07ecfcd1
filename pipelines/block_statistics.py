"""What the rows of a data set of blocks are like."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from .block_layout import IdSlot
from .moments import Moments
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
    """An id column or a multi-valued one; rates are shares of the rows.

    The unknown rate, only with a vocabulary, counts rows with any unknown value.
    """

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
        slots: what the ids of packed rows are, in their order.
    """

    def __init__(self, schema: Schema, slots: Sequence[IdSlot]) -> None:
        self._schema = schema
        self._slots = list(slots)
        self._num_rows = 0
        self._clicks = 0
        self._weight_sum = 0.0
        self._num_missing = np.zeros(len(schema.numeric), np.int64)
        self._moments = Moments(len(schema.numeric))
        self._missing: dict[str, int] = {slot.column: 0 for slot in slots}
        self._unknown = dict(self._missing)
        self._places: dict[str, list[int]] = {}  # the slots of each column
        for i, slot in enumerate(slots):
            self._places.setdefault(slot.column, []).append(i)
        # Which values occur in each slot.
        self._seen = [np.zeros(slot.num_values, bool) for slot in slots]
        self._last_unknown = {  # 0: none is unknown
            column.name: column.oov_buckets
            for column in schema.text_columns
            if column.vocabulary is not None
        }

    def add(self, rows: np.ndarray) -> None:
        """Adds a block."""
        self._num_rows += len(rows)
        self._clicks += int(rows["label"].sum())
        weights = rows["weight"] if self._schema.weight else np.ones(len(rows))
        self._weight_sum += float(weights.sum(dtype=np.float64))
        values = rows["numeric"].astype(np.float64)
        self._num_missing += np.isnan(values).sum(axis=0)
        self._moments.add(values)
        columns = [
            np.ascontiguousarray(column)
            for name in ("ids32", "ids16", "ids8")
            for column in rows[name].T
        ]
        for seen, column in zip(self._seen, columns, strict=True):
            seen[column] = True
        for name, places in self._places.items():
            shift = self._slots[places[0]].shift
            # Of a multi-valued column's places only the first may be missing.
            is_missing = columns[places[0]] == MISSING_ID + shift
            self._missing[name] += int(is_missing.sum())
            if name in self._last_unknown:
                first, last = UNKNOWN_ID + shift, self._last_unknown[name] + shift
                own = [columns[i] for i in places]
                is_unknown = [(ids >= first) & (ids <= last) for ids in own]
                self._unknown[name] += int(np.any(is_unknown, axis=0).sum())

    def result(self) -> Statistics:
        """The statistics of the blocks added; all 0 if there is none."""
        schema, num_rows = self._schema, max(self._num_rows, 1)
        numeric = tuple(
            NumericStatistics(column.name, *values)
            for column, *values in zip(
                schema.numeric,
                (self._num_missing / num_rows).tolist(),
                self._moments.mean.tolist(),
                self._moments.standard_deviation.tolist(),
                strict=True,
            )
        )
        columns = (*schema.id_columns, *(c.name for c in schema.multivalued))
        ids = tuple(
            IdStatistics(
                name,
                self._missing[name] / num_rows,
                self._unknown[name] / num_rows if name in self._last_unknown else None,
                self._num_distinct(self._places[name]),
            )
            for name in columns
        )
        return Statistics(
            click_rate=self._clicks / num_rows,
            weight_sum=self._weight_sum,
            numeric=numeric,
            ids=ids,
        )

    def _num_distinct(self, places: Sequence[int]) -> int:
        """How many ids of a column came, wherever in a row; padding is none."""
        seen = np.any([self._seen[i] for i in places], axis=0)
        return int(seen[self._slots[places[0]].shift :].sum())
