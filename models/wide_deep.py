"""The wide-and-deep model: a linear part that remembers, a net that generalises."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from smelu_tf.pipelines import Schema, Transform, raw_columns
from smelu_tf.pipelines.transform import Features

from .config import OptimizerConfig, TrainConfig
from .deep import Deep
from .ensembles import added, mean_logit, other_towers
from .metrics import BinaryMetrics
from .model_config import WideDeepConfig
from .optimizers import WideDeepOptimizer
from .tpu_embeddings import TPUTables
from .unknown_ids import UnknownIds
from .wide import Wide


@tf_keras.saving.register_keras_serializable("smelu_tf")
class WideDeep(tf_keras.Model):
    """Wide and deep parts whose logits are added: a Keras model of raw columns.

    `fit`, `evaluate` and `predict` take a dict of arrays or a DataFrame of raw
    columns, as well as a dataset of `Batch`; `compile()` needs no arguments.

    Of several towers the first one is `wide` and `deep`; the others are nets of `deep`
    if they share its tables, else `other_towers`. The logit is the mean of theirs, or,
    with `serve="first"`, the first one's. Ensembles are trained by `models.train`:
    with `fit` the towers would learn their mean, not each its own logit.

    Args:
        schema: the columns, their vocabularies counted.
        config: the model's shape.
        seed: of the initial weights, and of dropout.
        jit_compile: whether XLA compiles the deep part's layers.
        static_shapes: whether XLA compiles all of the model, as on a TPU; see
            `StackedEmbedding`.
        tpu_options: under a `TPUStrategy`, `TPUTables`' `optimizer` and
            `replica_rows`.
        **kwargs: of the base model; `dtype="mixed_bfloat16"` has the deep part's layers
            compute in bfloat16.

    Input: features as in `Batch`. Output: the logit, float32 (B, 1).

    Raises:
        ValueError: a cross names an unknown column, an unknown activation, or
            vocabularies that are not counted.

    Source: Cheng et al., Wide & Deep Learning, arXiv 1606.07792.

    Examples:
        >>> schema = complete_schema_from("clicks/day_0.tsv", CRITEO)
        >>> model = WideDeep(schema, WideDeepConfig(hidden_units=(16, 8)))
        >>> model.compile()
        >>> batches = read_text("clicks/day_0.tsv", schema, 256)
        >>> sorted(model.fit(batches, verbose=0).history)[:3]
        ['auc', 'calibration', 'log_loss']
        >>> model.predict(batches, verbose=0).shape
        (1000, 1)
    """

    def __init__(
        self,
        schema: Schema,
        config: WideDeepConfig | None = None,
        seed: int = 0,
        *,
        jit_compile: bool = False,
        static_shapes: bool = False,
        tpu_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # Numbers are cast where they are computed with: the wide part gets them exact.
        super().__init__(autocast=False, **kwargs)
        config = config or WideDeepConfig()
        config.validate()
        self.schema = schema
        self.config = config
        self.seed = seed
        self.transform = Transform(schema)
        self.wide = self.deep = self.unknown_ids = None
        self.tpu_tables = TPUTables.of(schema, config, seed, **(tpu_options or {}))
        if config.unknown_rate:
            self.unknown_ids = UnknownIds(
                config.unknown_rate, schema, name="unknown_ids"
            )
        if config.wide:
            self.wide = Wide.of(schema, config, static_shapes)
        if config.deep:
            self.deep = Deep(
                schema,
                config,
                seed,
                jit_compile=jit_compile,
                static_shapes=static_shapes,
                name="deep",
                dtype=self.dtype_policy,
            )
        self.other_towers = other_towers(
            schema,
            config,
            seed,
            jit_compile=jit_compile,
            static_shapes=static_shapes,
            dtype=self.dtype_policy,
        )
        # Built at once, so that weights can be counted, restored and exported. A TPU
        # looks rows up in its training step alone.
        rows = {}
        if self.tpu_tables is not None:
            self.tpu_tables.build()
            rows = {t.name: tf.zeros([1, t.dim]) for t in self.tpu_tables.tables}
        self(
            {
                **rows,
                "numeric": tf.zeros([1, 2 * len(schema.numeric)]),
                "ids": tf.zeros([1, len(schema.id_columns)], tf.int32),
                **{
                    column.name: tf.zeros([1, column.max_values], tf.int32)
                    for column in schema.multivalued
                },
            }
        )

    @property
    def is_random_in_training(self) -> bool:
        """Whether training predicts other than scoring: by dropout, of ids too."""
        has_dropout = self.deep is not None and self.config.dropout > 0
        return has_dropout or self.unknown_ids is not None

    @property
    def parts(self) -> list[tuple[str, Wide | None, Deep | None]]:
        """The parts of every tower with tables of its own, behind their scope."""
        others = [(f"{t.name}/", t.wide, t.deep) for t in self.other_towers]
        return [("", self.wide, self.deep), *others]

    @property
    def served_variables(self) -> list[tf.Variable]:
        """The variables that scoring reads: with `serve="first"`, the first tower's."""
        if self.config.serve == "ensemble":
            return self.variables
        others = [*self.other_towers, *(self.deep.other_nets if self.deep else ())]
        unread = {id(variable) for layer in others for variable in layer.variables}
        return [v for v in self.variables if id(v) not in unread]

    def call(self, features: Features, training: bool | None = None) -> tf.Tensor:
        """The logit of a batch of features, float32 (B, 1)."""
        return self.served_logit(self.tower_logits(features, training))

    def tower_logits(
        self, features: Features, training: bool | None = None
    ) -> list[tf.Tensor]:
        """The logit of each tower, float32 (B, 1).

        Args:
            features: as in `Batch`; where they have the rows of large tables already
                (`tables.LargeTable`), these are not looked up.
            training: if not, only of those that are served.
        """
        if self.unknown_ids is not None:
            ids = self.unknown_ids(features["ids"], training=training)
            features = {**features, "ids": ids}
        if self.tpu_tables is not None and self.tpu_tables.first not in features:
            features = {**features, **self.tpu_tables(features)}
        wide = [] if self.wide is None else [self.wide(features)]
        if self.deep is None:
            return [added(wide)]
        deep = self.deep(features, training=training)
        nets = [deep]
        if self.deep.other_nets:
            nets = tf.split(deep, deep.shape[1], axis=1)
        logits = [added([*wide, net]) for net in nets]
        for tower in self.other_towers:
            # The first call of all makes the weights of all.
            if training or self.config.serve == "ensemble" or not tower.built:
                logits.append(tower(features, training=training))
        return logits

    def scores(self, features: Features) -> tf.Tensor:
        """The logits of a batch as they are served, float32 (B,).

        Args:
            features: as in `Batch`.
        """
        return tf.reshape(self(features, training=False), [-1])

    def served_logit(self, logits: list[tf.Tensor]) -> tf.Tensor:
        """The model's logit of its towers' logits."""
        return logits[0] if self.config.serve == "first" else mean_logit(logits)

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
        if self.config.towers > 1:
            raise ValueError(
                "model.towers: expected 1 with fit (smelu_tf.models.train trains "
                f"ensembles), received {self.config.towers}."
            )
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
