"""The program that each chip of a TPU runs at every step of a training."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.pipelines import Batch, Schema
from smelu_tf.pipelines.transform import Features

from .config import TrainConfig
from .learner import Learner
from .metrics import BinaryMetrics
from .mlp import MLP
from .optimizers import WideDeepOptimizer
from .precision import dtype_policy
from .tables import LargeTable, large_columns, large_tables
from .wide_deep import WideDeep

SCOPE = "activation"
"""What the name scopes of the activations' operations begin with."""


@dataclasses.dataclass(frozen=True, eq=False)
class TPUProgram:
    """A function of tensors, as `compile_for_tpu` takes it.

    Attributes:
        function: the step.
        specs: of its arguments.
        model: whose weights it updates.
    """

    function: Callable[..., Any]
    specs: tuple[tf.TensorSpec, ...]
    model: WideDeep


def training_program(
    config: TrainConfig, schema: Schema, batch_size: int
) -> TPUProgram:
    """The step of a training on a TPU: its model, loss and optimizer as they are.

    It takes a batch, with the rows of large tables, which a TPU's embedding hardware
    has looked up; it updates all other weights, and returns the loss, the predictions
    and what the embedding hardware gets, the gradients of those rows.

    Args:
        config: the configuration.
        schema: a complete schema.
        batch_size: rows of the batch.

    Raises:
        ValueError: as `WideDeep`.

    Examples:
        >>> from smelu_tf.pipelines import Schema, Categorical
        >>> schema = Schema("ads", (), (Categorical("site", buckets=9),))
        >>> program = training_program(TrainConfig(), schema, 256)
        >>> [spec.shape.as_list() for spec in program.specs]  # label, weight, features
        [[256], [256], [256, 0], [256, 1]]
    """
    tables = large_tables(schema, config.model)
    # Bfloat16 is what a TPU is fast in.
    compute_dtype = config.train.compute_dtype.replace("auto", "bfloat16")
    model = WideDeep(
        _with_small_tables(schema, config),
        config.model,
        config.train.seed,
        static_shapes=True,
        dtype=dtype_policy(compute_dtype),
    )
    given = _GivenRows(tables)
    if tables:
        model.tpu_tables = given
    _name_activations(model)
    optimizer = WideDeepOptimizer.of(config.optimizer)
    learner = Learner.of(config, model, optimizer, BinaryMetrics())
    features = _feature_specs(schema, batch_size) | {
        _given(table.name): tf.TensorSpec([batch_size, table.dim]) for table in tables
    }

    def step(label: tf.Tensor, weight: tf.Tensor, *values: tf.Tensor) -> Any:
        batch = Batch(dict(zip(features, values, strict=True)), label, weight)
        with _activations_of_a_tpu():
            loss, predicted = learner.learn(batch, tf.constant(batch_size))
        return loss, predicted.logit, given.gradients

    of_rows = tf.TensorSpec([batch_size])
    return TPUProgram(step, (of_rows, of_rows, *features.values()), model)


def assumed_schema(schema: Schema, num_ids: int) -> Schema:
    """A schema as if it were counted, where no data are at hand.

    Args:
        schema: any.
        num_ids: of each column whose vocabulary is still to be counted.
    """

    def counted(column: Any) -> Any:
        if column.is_complete:
            return column
        return dataclasses.replace(column, min_count=0, buckets=num_ids)

    def measured(column: Any) -> Any:
        if column.is_complete:
            return column
        return dataclasses.replace(column, mean=0.0, standard_deviation=1.0)

    return dataclasses.replace(
        schema,
        numeric=tuple(map(measured, schema.numeric)),
        categorical=tuple(map(counted, schema.categorical)),
        multivalued=tuple(map(counted, schema.multivalued)),
    )


class _GivenRows(tf_keras.layers.Layer):
    """Stands where `TPUTables` does: the rows are given, and their gradients kept."""

    def __init__(self, tables: Sequence[LargeTable]) -> None:
        super().__init__(name="given_rows", dtype="float32")
        self._tables = tuple(tables)
        self.gradients: list[tf.Tensor] = []
        # What the rows seem to be computed from: or they get no gradient.
        self._anchor = self.add_weight(name="anchor", shape=(), initializer="zeros")

    @property
    def first(self) -> str:
        """The name of the first table."""
        return self._tables[0].name

    def call(self, features: Features) -> dict[str, tf.Tensor]:
        """The rows of a batch, by the tables' names."""
        rows = [features[_given(table.name)] for table in self._tables]

        @tf.custom_gradient
        def looked_up(_: tf.Tensor) -> Any:
            def gradient(*of_rows: tf.Tensor) -> tf.Tensor:
                self.gradients = list(of_rows)
                return tf.zeros([])

            return [tf.identity(values) for values in rows], gradient

        names = [table.name for table in self._tables]
        looked_up_rows = looked_up(tf.convert_to_tensor(self._anchor))
        return dict(zip(names, looked_up_rows, strict=True))


@contextlib.contextmanager
def _activations_of_a_tpu() -> Iterator[None]:
    """Inside, they are traced as under a TPU's strategy."""
    policy = smelu_tf.get_kernel()
    smelu_tf.set_kernel("tpu")
    try:
        yield
    finally:
        smelu_tf.set_kernel(policy)


def _given(table: str) -> str:
    return f"given/{table}"


def _with_small_tables(schema: Schema, config: TrainConfig) -> Schema:
    """The schema with its large columns just large: no weight of them is needed."""
    large = large_columns(schema, config.model)

    def shrunk(column: Any) -> Any:
        if column.name not in large:
            return column
        return dataclasses.replace(
            column,
            buckets=max(2, config.model.tpu_table_ids + 1),
            vocabulary=None,
        )

    return dataclasses.replace(
        schema,
        categorical=tuple(map(shrunk, schema.categorical)),
        multivalued=tuple(map(shrunk, schema.multivalued)),
        crosses=tuple(
            dataclasses.replace(cross, buckets=max(2, config.model.tpu_table_ids + 1))
            if cross.name in large
            else cross
            for cross in schema.crosses
        ),
    )


def _feature_specs(schema: Schema, batch_size: int) -> dict[str, tf.TensorSpec]:
    """What `Batch.features` are."""
    return {
        "numeric": tf.TensorSpec([batch_size, 2 * len(schema.numeric)]),
        "ids": tf.TensorSpec([batch_size, len(schema.id_columns)], tf.int32),
        **{
            column.name: tf.TensorSpec([batch_size, column.max_values], tf.int32)
            for column in schema.multivalued
        },
    }


def _name_activations(model: WideDeep) -> None:
    """Puts the activations of all MLPs into name scopes, to be found again."""
    for layer in model.submodules:
        if isinstance(layer, MLP):
            layer.functions = [
                function
                if isinstance(function, tf_keras.layers.Layer)
                else _named(function, f"{SCOPE}_{i}")
                for i, function in enumerate(layer.functions)
            ]


def _named(function: Callable[..., Any], name: str) -> Callable[[tf.Tensor], Any]:
    """A function whose operations, and those of its gradient, are in name scopes."""

    @tf.custom_gradient
    def named(x: tf.Tensor) -> Any:
        with tf.GradientTape() as tape, tf.name_scope(name):
            tape.watch(x)
            y = function(x)

        def gradient(dy: tf.Tensor) -> tf.Tensor:
            with tf.name_scope(f"{name}_gradient"):
                return tape.gradient(y, x, dy)

        return y, gradient

    return named
