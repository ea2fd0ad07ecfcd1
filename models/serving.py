"""What a server runs: a model's functions from raw features to scores."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from smelu_tf.pipelines import parse_unlabelled
from smelu_tf.pipelines.examples import example_kinds, parse_examples
from smelu_tf.pipelines.raw_rows import feature_specs

from .metrics import probability
from .wide_deep import WideDeep

RawColumns = Mapping[str, tf.Tensor]
Scores = dict[str, tf.Tensor]


class ServingModule(tf.Module):
    """What is saved: the transform's tables, the model's variables, and functions.

    The Keras model itself is not attached: TensorFlow would save its training
    functions, and with them the compiled activation kernel, which no server needs.

    Args:
        model: the model to export.
    """

    def __init__(self, model: WideDeep) -> None:
        super().__init__(name="wide_deep")
        self.transform = model.transform
        self.model_variables = model.served_variables
        schema, transform = model.schema, model.transform
        line = tf.TensorSpec([None], tf.string, name="lines")
        columns = feature_specs(schema)
        kinds = example_kinds(schema)

        def score(raw: RawColumns) -> Scores:
            logit = tf.reshape(model(transform(raw), training=False), [-1])
            return {"probability": probability(logit), "logit": logit}

        @tf.function(input_signature=[columns])
        def serving_default(raw: RawColumns) -> Scores:
            return score(raw)

        @tf.function(input_signature=[line])
        def predict_lines(lines: tf.Tensor) -> Scores:
            return score(parse_unlabelled(lines, schema))

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="examples")]
        )
        def predict_examples(examples: tf.Tensor) -> Scores:
            return score(parse_examples(examples, schema, kinds))

        @tf.function(input_signature=[line])
        def transform_lines(lines: tf.Tensor) -> dict[str, tf.Tensor]:
            return transform(parse_unlabelled(lines, schema))

        features = {
            "numeric": tf.TensorSpec([None, 2 * len(schema.numeric)], tf.float32),
            "ids": tf.TensorSpec([None, len(schema.id_columns)], tf.int32),
            **{
                column.name: tf.TensorSpec([None, column.max_values], tf.int32)
                for column in schema.multivalued
            },
        }

        @tf.function(input_signature=[features])
        def score_features(features: RawColumns) -> tf.Tensor:
            return tf.reshape(model(features, training=False), [-1])

        # Loaded: logits of a batch's features, to train or to compare with.
        self.score_features = score_features
        # Loaded: `loaded.transform_lines(lines)` shows the features behind a score.
        self.transform_lines = transform_lines
        self.signature_functions = {
            "serving_default": serving_default,
            "predict_lines": predict_lines,
            "predict_examples": predict_examples,
        }
