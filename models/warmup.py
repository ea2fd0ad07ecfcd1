"""Requests that TensorFlow Serving runs when it loads a version, before it serves."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.extras import importing

_NAN = np.float64(math.nan)

FILE_NAME = "tf_serving_warmup_requests"

BATCH_SIZES = (1, 64)
"""Rows of the requests: functions run for the first time, and threads start."""


def can_write_warmup_requests() -> bool:
    """Whether the package is installed that the messages are of."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write_warmup_requests(version: Path, schema: Schema) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests` of a version.

    There is one request a signature and batch size. Their rows have no values: the same
    operations run for these.

    Args:
        version: the folder of an exported version.
        schema: of its columns.

    Raises:
        ImportError: tensorflow-serving-api is not installed; names the command that
            installs it.
        OSError: no space, or no right to write.
    """
    logs = [log for size in BATCH_SIZES for log in _logs(schema, size)]
    path = version / "assets.extra" / FILE_NAME
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def missing_values(schema: Schema, num_rows: int = 1) -> dict[str, tf.Tensor]:
    """Raw columns (B,) without a value: NaN of numeric ones, empty of the others."""
    numbers = {c.name: tf.fill([num_rows], _NAN) for c in schema.numeric}
    return numbers | {c.name: tf.fill([num_rows], "") for c in schema.text_columns}


def _logs(schema: Schema, num_rows: int) -> list[Any]:
    """A `PredictionLog` with a request of so many rows for each signature."""
    with importing("warm-up requests", "tensorflow-serving-api", "serving"):
        from tensorflow_serving.apis import prediction_log_pb2
    columns = missing_values(schema, num_rows)
    line = schema.delimiter * (len(schema.feature_fields) - 1)
    inputs = {
        "serving_default": columns,
        "predict_logits": columns,
        "predict_lines": {"lines": tf.fill([num_rows], line)},
        "predict_examples": {"examples": tf.fill([num_rows], "")},
    }
    logs = []
    for signature, tensors in inputs.items():
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.signature_name = signature
        for name, tensor in tensors.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(tensor))
        logs.append(log)
    for part in ("regress", "classify"):
        log = prediction_log_pb2.PredictionLog()
        request = getattr(log, f"{part}_log").request
        request.model_spec.signature_name = part
        examples = [tf.train.Example() for _ in range(num_rows)]
        request.input.example_list.examples.extend(examples)
        logs.append(log)
    return logs
