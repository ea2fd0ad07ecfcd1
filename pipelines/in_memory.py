"""Rows that are held in memory, to be read again and again in any order."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from .parallel import unconverted, untuned
from .schema import Schema
from .sources import Blocks, RowFiles
from .transform import Batch

_READ = 16384  # rows read at once


@dataclasses.dataclass(frozen=True, eq=False)
class InMemoryRows:
    """Rows as arrays, each row's features as in `Batch`.

    Attributes:
        features: by name, the rows along the first axis.
        label: float32 (N,).
        weight: float32 (N,).

    Examples:
        >>> blocks = open_rows("blocks")
        >>> rows = InMemoryRows.read(blocks, blocks.complete(CRITEO))
        >>> len(rows), rows.features["ids"].shape
        (6000, (6000, 39))
        >>> [len(batch.label) for batch in rows[:700].batches(256)]
        [256, 256, 188]
    """

    features: dict[str, np.ndarray]
    label: np.ndarray
    weight: np.ndarray

    @classmethod
    def read(cls, rows: RowFiles | Blocks, schema: Schema) -> InMemoryRows:
        """Reads all rows.

        Args:
            rows: where they are.
            schema: complete.

        Raises:
            ValueError: a row that does not parse, or no rows.
        """
        with rows.errors():
            read = [*rows.batches(schema, _READ).as_numpy_iterator()]
        if not read:
            raise ValueError("data: expected rows, received none.")
        return cls(
            {
                name: np.concatenate([batch.features[name] for batch in read])
                for name in read[0].features
            },
            np.concatenate([batch.label for batch in read]),
            np.concatenate([batch.weight for batch in read]),
        )

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: slice | np.ndarray) -> InMemoryRows:
        return InMemoryRows(
            {name: values[rows] for name, values in self.features.items()},
            self.label[rows],
            self.weight[rows],
        )

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """The rows in their order, as a dataset of `Batch`; the last may be smaller."""
        whole = Batch(
            {name: tf.constant(values) for name, values in self.features.items()},
            tf.constant(self.label),
            tf.constant(self.weight),
        )

        @unconverted
        def batch(first: tf.Tensor) -> Batch:
            return tf.nest.map_structure(lambda v: v[first : first + batch_size], whole)

        starts = tf.data.Dataset.range(0, len(self), batch_size)
        return untuned(starts.map(batch).prefetch(4))
