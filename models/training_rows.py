"""The rows of a training: as batches from any place on, for the strategy in force."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from smelu_tf.pipelines import (
    Batch,
    Blocks,
    Passes,
    RowFiles,
    Transform,
    for_replicas,
    sample_negatives,
    with_last_batch,
)

from .config import TrainConfig
from .strategies import is_tpu
from .wide_deep import WideDeep


class TrainingRows:
    """Rows as the steps of a training take them.

    Args:
        rows: where they are.
        config: the configuration.
        model: what they are for.
        data_service: the address of a `tf.data` service that reads them; empty: this
            process.
    """

    def __init__(
        self,
        rows: RowFiles | Blocks,
        config: TrainConfig,
        model: WideDeep,
        data_service: str,
    ) -> None:
        self._rows = rows
        self._data = config.data
        self._seed = config.train.seed
        self._model = model
        self._data_service = data_service
        self._strategy = tf.distribute.get_strategy()

    @property
    def num_bad_rows(self) -> int:
        """Rows passed over."""
        return self._rows.num_bad_rows

    def num_read(self, position: int) -> int:
        """About how many rows so many batches are, exactly but at the end of a pass."""
        most = self._rows.estimated_rows() * self._data.epochs
        return min(position * self._data.batch_size, most)

    def again(self) -> TrainingRows:
        """The same rows, to look at again: bad rows are not counted a second time."""
        rows = copy.copy(self)
        rows._rows = self._rows.again()
        return rows

    def batches(self, first: int) -> tf.data.Dataset:
        """The batches from a number on."""
        data, schema = self._data, self._model.schema
        if is_tpu() and data.epochs > 1:
            # It learns whole batches alone, and those are what is numbered.
            num_rows = self._rows.estimated_rows()
            begun, first = divmod(first, max(num_rows // data.batch_size, 1))
            first += begun * -(-num_rows // data.batch_size)
        batches = self._rows.batches(
            schema,
            data.batch_size,
            transform=Transform(schema),
            first=first,
            passes=Passes(
                data.epochs,
                data.shuffle_seed if data.shuffle else None,
                self._data_service,
            ),
        )
        if is_tpu():
            batches = with_last_batch(batches, data.batch_size, "drop")
        return sample_negatives(batches, data.negative_rate, self._seed, first)

    def iterator(self, first: int) -> Iterator[Any]:
        """The parts and sizes of the batches from a number on; see `for_replicas`."""
        batches = self.batches(first)
        num_replicas = self._strategy.num_replicas_in_sync

        def parts(context: tf.distribute.InputContext) -> tf.data.Dataset:
            own = num_replicas // context.num_input_pipelines
            place = context.input_pipeline_id * own
            parts = for_replicas(batches, place, own, num_replicas)
            return self._with_lookups(parts).prefetch(4)

        if isinstance(self._strategy, tf.distribute.ParameterServerStrategy):
            return iter(for_replicas(batches, 0, 1, 1).prefetch(4))
        if is_tpu():
            # Its embedding hardware is given ids by the host.
            on_host = tf.distribute.InputOptions(experimental_fetch_to_device=False)
            distribute = self._strategy.distribute_datasets_from_function
            return iter(distribute(parts, on_host))
        if num_replicas == 1:
            return iter(parts(tf.distribute.InputContext()))
        return iter(self._strategy.distribute_datasets_from_function(parts))

    def _with_lookups(self, parts: tf.data.Dataset) -> tf.data.Dataset:
        """Parts of batches, on a TPU with what its embedding hardware is given."""
        tables = self._model.tpu_tables
        if tables is None or not is_tpu():
            return parts

        def apart(batch: Batch, size: tf.Tensor) -> tuple[Batch, tf.Tensor]:
            features = {**batch.features, **tables.lookups(batch.features)}
            return batch._replace(features=features), size

        return parts.map(tf.autograph.experimental.do_not_convert(apart))
