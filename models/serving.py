"""What a server runs: a model's functions from raw features to scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from smelu_tf.pipelines import Schema, parse_unlabelled
from smelu_tf.pipelines.examples import example_kinds, parse_examples
from smelu_tf.pipelines.raw_rows import RawColumns, feature_specs, without_missing_text
from smelu_tf.pipelines.transform import Features

from .metrics import probability
from .wide_deep import WideDeep

Scores = dict[str, tf.Tensor]

CLASSES = (b"0", b"1")
"""What the labels are called in answers to a classification."""

# The names that TensorFlow Serving's classification and regression ask for.
_INPUTS, _OUTPUTS, _CLASSES, _SCORES = "inputs", "outputs", "classes", "scores"


class ServingModule(tf.Module):
    """What is saved: the transform's tables, the model's variables, and functions.

    The Keras model itself is not attached: TensorFlow would save its training
    functions, and with them the compiled activation kernel, which no server needs.

    Args:
        model: the model to export.
        recalibrated: maps its logits (B,) to better calibrated ones; by default they
            stay.

    Attributes:
        signature_functions: see `export_saved_model`.
        score_features: logits of a batch's features, to train or to compare with.
        transform_lines: the features behind the scores of lines.
    """

    def __init__(
        self,
        model: WideDeep,
        recalibrated: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> None:
        super().__init__(name="wide_deep")
        self.transform = model.transform
        self.model_variables = model.served_variables
        schema, transform = model.schema, model.transform
        kinds = example_kinds(schema)

        def logit_of(features: Features) -> tf.Tensor:
            own = model.scores(features)
            return own if recalibrated is None else recalibrated(own)

        def score(raw: RawColumns) -> Scores:
            logit = logit_of(transform(raw))
            return {"probability": probability(logit), "logit": logit}

        def whole(raw: RawColumns) -> RawColumns:
            columns = _of_all_rows(raw)
            return {n: without_missing_text(columns[n], schema) for n in columns}

        def score_examples(examples: tf.Tensor) -> Scores:
            return score(parse_examples(examples, schema, kinds))

        def serving_default(raw: RawColumns) -> Scores:
            return score(whole(raw))

        def predict_logits(raw: RawColumns) -> Scores:
            return {"logit": logit_of(transform(whole(raw)))}

        def predict_lines(lines: tf.Tensor) -> Scores:
            return score(parse_unlabelled(lines, schema))

        def regress(inputs: tf.Tensor) -> Scores:
            return {_OUTPUTS: score_examples(inputs)["probability"]}

        def classify(inputs: tf.Tensor) -> Scores:
            click = score_examples(inputs)["probability"]
            classes = tf.tile(tf.constant([CLASSES]), [tf.size(click), 1])
            return {_CLASSES: classes, _SCORES: tf.stack([1 - click, click], axis=1)}

        def transform_lines(lines: tf.Tensor) -> dict[str, tf.Tensor]:
            return transform(parse_unlabelled(lines, schema))

        columns = feature_specs(schema)
        self.score_features = _traced(logit_of, batch_specs(schema))
        self.transform_lines = _traced(transform_lines, _strings("lines"))
        self.signature_functions = {
            "serving_default": _traced(serving_default, columns),
            "predict_logits": _traced(predict_logits, columns),
            "predict_lines": _traced(predict_lines, _strings("lines")),
            "predict_examples": _traced(score_examples, _strings("examples")),
            "regress": _traced(regress, _strings(_INPUTS)),
            "classify": _traced(classify, _strings(_INPUTS)),
        }


def batch_specs(schema: Schema) -> dict[str, tf.TensorSpec]:
    """What `Batch.features` are, by name."""
    return {
        "numeric": tf.TensorSpec(
            [None, 2 * len(schema.numeric)], tf.float32, "numeric"
        ),
        "ids": tf.TensorSpec([None, len(schema.id_columns)], tf.int32, "ids"),
        **{
            column.name: tf.TensorSpec([None, column.max_values], tf.int32, column.name)
            for column in schema.multivalued
        },
    }


def _traced(function: Callable[..., Any], spec: Any) -> Any:
    return tf.function(function, input_signature=[spec], autograph=False)


def _strings(name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None], tf.string, name=name)


def _of_all_rows(raw: RawColumns) -> dict[str, tf.Tensor]:
    """Columns of which each has a value a row.

    A server fills columns that a request leaves out with one value, whatever the number
    of rows.

    Raises:
        InvalidArgumentError: columns of different lengths, neither of which is 1.
    """
    sizes = tf.concat([tf.shape(values) for values in raw.values()], axis=0)

    def filled() -> dict[str, tf.Tensor]:
        others = tf.boolean_mask(sizes, sizes != 1)  # none of a column may be one row
        num_rows = tf.concat([others, [1]], axis=0)[0]
        check = tf.debugging.Assert(
            tf.reduce_all(others == num_rows),
            [
                "expected columns (B,) of equally many rows, or of one value; received",
                sizes,
                f"of {', '.join(raw)}",
            ],
            summarize=len(raw),
        )
        with tf.control_dependencies([check]):
            rows = tf.identity(num_rows)[tf.newaxis]
        return {name: tf.broadcast_to(values, rows) for name, values in raw.items()}

    return tf.cond(tf.reduce_all(sizes == sizes[0]), lambda: dict(raw), filled)
