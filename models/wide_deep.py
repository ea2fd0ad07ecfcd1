"""The wide-and-deep model: a linear part that remembers, a net that generalises."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.pipelines import Schema, Transform, raw_columns

from .config import OptimizerConfig, TrainConfig, WideDeepConfig
from .embeddings import StackedEmbedding
from .metrics import BinaryMetrics
from .optimizers import WideDeepOptimizer

Features = Mapping[str, tf.Tensor]


class Wide(tf_keras.layers.Layer):
    """A linear model over numeric columns, ids and crosses of ids.

        logit = b + numeric · w + Σ_c v[id_c] + Σ_k u[cross_k] + Σ_m Σ_j t[id_mj]

    A cross's id is the mixed-radix number of its columns' ids, folded into
    `cross_buckets`: exact while the product of their `num_ids` fits. The ids j of a
    multi-valued column m are added up.

    Args:
        schema: the columns.
        crosses: tuples of id columns' names.
        cross_buckets: ids of each cross at most.
        **kwargs: of the base layer.

    Input: features as in `Batch`. Output shape: (B, 1).

    Source: Cheng et al., Wide & Deep Learning, arXiv 1606.07792.
    """

    def __init__(
        self,
        schema: Schema,
        crosses: Sequence[Sequence[str]] = (),
        cross_buckets: int = 16384,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._radices = dict(zip(schema.id_columns, schema.num_ids, strict=True))
        self._places = {name: i for i, name in enumerate(schema.id_columns)}
        self._crosses = tuple(tuple(cross) for cross in crosses)
        sizes = [
            min(
                cross_buckets,
                int(np.prod([self._radices[c] for c in cross], dtype=float)),
            )
            for cross in self._crosses
        ]
        self._cross_sizes = tuple(sizes)
        self.numeric = self.ids = None
        if schema.numeric:
            self.numeric = tf_keras.layers.Dense(
                1, use_bias=False, kernel_initializer="zeros", name="numeric"
            )
        several = schema.multivalued
        if schema.id_columns or several:
            self.ids = StackedEmbedding(
                (*schema.num_ids, *sizes, *(column.num_ids for column in several)),
                1,
                num_values=_num_values(len(schema.id_columns) + len(sizes), schema),
                name="ids",
            )
        self._several = [column.name for column in several]

    def build(self, input_shape: Any) -> None:
        """Makes the bias."""
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")
        super().build(input_shape)

    def call(self, features: Features) -> tf.Tensor:
        """The wide part's logit."""
        parts = []
        if self.numeric is not None:
            parts.append(self.numeric(features["numeric"]))
        if self.ids is not None:
            own = features["ids"]
            several = [features[name] for name in self._several]
            ids = tf.concat([own, *self._cross_ids(own), *several], axis=1)
            parts.append(tf.reduce_sum(self.ids(ids), axis=1))
        # TensorFlow's graphs may add up `a + b + c` in another order, but not these.
        return tf.add_n(parts) + self.bias

    def _cross_ids(self, ids: tf.Tensor) -> list[tf.Tensor]:
        crossed = []
        for cross, size in zip(self._crosses, self._cross_sizes, strict=True):
            number = tf.zeros_like(ids[:, :1], tf.int64)
            for name in cross:
                column = self._places[name]
                own = tf.cast(ids[:, column : column + 1], tf.int64)
                number = tf.math.floormod(number * self._radices[name] + own, 1 << 40)
            crossed.append(tf.cast(tf.math.floormod(number, size), tf.int32))
        return crossed


class Deep(tf_keras.layers.Layer):
    """Embeddings of the ids beside the numeric columns, then an MLP.

        x₀ = [s · numeric, e_1[id_1], …, e_C[id_C], Σ_j e_m[id_mj], …]
        x_{l+1} = f(x_l W_l + b_l),  logit = x_L w + b

    The numeric columns (logarithms) are scaled by s = 1/4, which puts them near unit
    size, so that an activation's β has the same meaning for every column.

    Args:
        schema: the columns.
        embedding_dim: width of an id's embedding.
        hidden_units: widths of the MLP's layers.
        activation: f: a name, `smelu:0.5` say, a function, or a layer.
        seed: of the initial weights.
        **kwargs: of the base layer.

    Input: features as in `Batch`. Output shape: (B, 1).
    """

    numeric_scale = 0.25

    def __init__(
        self,
        schema: Schema,
        embedding_dim: int = 8,
        hidden_units: Sequence[int] = (128, 64, 32),
        activation: Any = "smelu:1",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        seeds = iter(
            np.random.SeedSequence(seed).generate_state(len(hidden_units) + 2).tolist()
        )
        several = schema.multivalued
        num_columns = len(schema.id_columns) + len(several)
        self._width = num_columns * embedding_dim
        self._several = [column.name for column in several]
        self.embeddings = None
        if num_columns:
            self.embeddings = StackedEmbedding(
                (*schema.num_ids, *(column.num_ids for column in several)),
                embedding_dim,
                tf_keras.initializers.RandomNormal(stddev=0.05, seed=next(seeds)),
                num_values=_num_values(len(schema.id_columns), schema),
                name="embeddings",
            )
        self.hidden = [
            tf_keras.layers.Dense(
                units,
                activation=_own_activation(activation),
                kernel_initializer=tf_keras.initializers.HeNormal(seed=next(seeds)),
                name=f"hidden_{i}",
            )
            for i, units in enumerate(hidden_units)
        ]
        self.logit = tf_keras.layers.Dense(
            1,
            kernel_initializer=tf_keras.initializers.GlorotNormal(seed=next(seeds)),
            name="logit",
        )

    def call(self, features: Features) -> tf.Tensor:
        """The deep part's logit."""
        x = tf.cast(features["numeric"], self.compute_dtype) * self.numeric_scale
        if self.embeddings is not None:
            ids = [features[name] for name in ("ids", *self._several)]
            rows = self.embeddings(tf.concat(ids, axis=1))
            rows = tf.reshape(rows, [-1, self._width])
            x = tf.concat([x, rows], axis=1)
        for layer in self.hidden:
            x = layer(x)
        return self.logit(x)


@tf_keras.saving.register_keras_serializable("smelu_tf")
class WideDeep(tf_keras.Model):
    """Wide and deep parts whose logits are added: a Keras model of raw columns.

    `fit`, `evaluate` and `predict` take a dict of arrays or a DataFrame of raw
    columns, as well as a dataset of `Batch`; `compile()` needs no arguments.

    Args:
        schema: the columns, their vocabularies counted.
        config: the model's shape.
        seed: of the initial weights.
        **kwargs: of the base model.

    Input: features as in `Batch`. Output: the logit, float32 (B, 1).

    Raises:
        ValueError: a cross names an unknown column, an unknown activation, or
            vocabularies that are not counted.

    Source: Cheng et al., Wide & Deep Learning, arXiv 1606.07792.

    Example:
        >>> model = WideDeep(complete_schema(CRITEO, frame))
        >>> model.compile()
        >>> model.fit(frame, frame["label"], batch_size=256)
        >>> logits = model.predict(frame)
    """

    def __init__(
        self,
        schema: Schema,
        config: WideDeepConfig | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        config = config or WideDeepConfig()
        config.validate()
        self.schema = schema
        self.config = config
        self.seed = seed
        self.transform = Transform(schema)
        self.wide = self.deep = None
        if config.wide:
            crosses = [_columns_of(cross, schema) for cross in config.crosses]
            self.wide = Wide(schema, crosses, config.cross_buckets, name="wide")
        if config.deep:
            self.deep = Deep(
                schema,
                config.embedding_dim,
                config.hidden_units,
                config.activation,
                seed,
                name="deep",
            )
        # Built at once, so that weights can be counted, restored and exported.
        self(
            {
                "numeric": tf.zeros([1, 2 * len(schema.numeric)]),
                "ids": tf.zeros([1, len(schema.id_columns)], tf.int32),
                **{
                    column.name: tf.zeros([1, column.max_values], tf.int32)
                    for column in schema.multivalued
                },
            }
        )

    def call(self, features: Features) -> tf.Tensor:
        """The logit of a batch of features, float32 (B, 1)."""
        parts = [part(features) for part in (self.wide, self.deep) if part is not None]
        return tf.add_n([tf.cast(part, tf.float32) for part in parts])

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Keras's `compile` with this model's defaults.

        Args:
            optimizer: by default FTRL for the wide part, Adam for the rest.
            loss: by default the log loss of the logit.
            metrics: by default log loss, normalised entropy, AUC, PR-AUC and
                calibration, weighted.
            **kwargs: of Keras's `compile`.
        """
        if metrics is None and "weighted_metrics" not in kwargs:
            kwargs["weighted_metrics"] = [BinaryMetrics()]
        super().compile(
            WideDeepOptimizer.of(OptimizerConfig()) if optimizer is None else optimizer,
            loss or tf_keras.losses.BinaryCrossentropy(from_logits=True),
            metrics,
            **kwargs,
        )

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras's `fit`; x may be raw columns (a dict of arrays or a DataFrame)."""
        _check_labels(y)
        validation = kwargs.get("validation_data")
        if isinstance(validation, tuple) and validation:
            features = self._features(validation[0])
            kwargs["validation_data"] = (features, *validation[1:])
        return super().fit(self._features(x), y, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras's `evaluate`; x may be raw columns."""
        return super().evaluate(self._features(x), *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """Keras's `predict`: logits (B, 1); x may be raw columns."""
        return super().predict(self._features(x), *args, **kwargs)

    def _features(self, x: Any) -> Any:
        """Features of raw columns; anything else as it is."""
        is_frame = hasattr(x, "columns")
        if not is_frame and not isinstance(x, Mapping):
            return x
        if not is_frame and {"numeric", "ids"} <= set(x):
            return x
        features = self.transform(raw_columns(x, self.schema))
        return {name: value.numpy() for name, value in features.items()}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Nothing to do: the constructor has built the model."""

    def get_config(self) -> dict:
        """The schema and the model's shape as plain values."""
        return {
            "name": self.name,
            "schema": self.schema.to_dict(),
            "config": dataclasses.asdict(self.config),
            "seed": self.seed,
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Any = None
    ) -> WideDeep:
        """The model of `get_config`'s values, with fresh weights."""
        shape = TrainConfig.from_dict({"model": config["config"]}).model
        schema = Schema.from_dict(config["schema"])
        return cls(schema, shape, config["seed"], name=config["name"])


def _check_labels(labels: Any) -> None:
    """Raises a ValueError where labels in memory are not between 0 and 1."""
    if labels is None:
        return
    values = np.asarray(labels)
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size:
        raise ValueError(
            f"labels: expected values from 0 to 1, received {wrong.flat[0]}."
        )


def _own_activation(activation: Any) -> Any:
    """An activation for one layer: a layer's weights are not shared."""
    if isinstance(activation, tf_keras.layers.Layer):
        config = activation.get_config()
        config.pop("name", None)
        return type(activation).from_config(config)
    return smelu_tf.get(activation)


def _num_values(num_single: int, schema: Schema) -> list[int]:
    """Values a row of the columns of a table: single ones, then multi-valued ones."""
    return [1] * num_single + [column.max_values for column in schema.multivalued]


def _columns_of(cross: str, schema: Schema) -> tuple[str, ...]:
    columns = tuple(cross.split("*"))
    unknown = [name for name in columns if name not in schema.id_columns]
    if unknown or len(columns) < 2 or len(set(columns)) < len(columns):
        raise ValueError(
            "model.crosses: expected distinct id columns with * between them, "
            f"as {'*'.join(schema.id_columns[:2])}, received {cross!r}."
        )
    return columns
