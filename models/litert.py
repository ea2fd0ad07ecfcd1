"""LiteRT: a model's scoring of features as a .tflite file.

The file begins behind the lookups of raw text: its inputs are a `Batch`'s features, as
`Transform` makes them. It holds LiteRT's own operations alone, and takes batches of one
row or more: those of `Interpreter.get_signature_runner()` as they come, an interpreter
without signatures after `resize_tensor_input`.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines.files import replacing

from .comparison import Differences, Logit
from .metrics import BinaryMetrics
from .plain_ops import Features, plain_function
from .wide_deep import WideDeep


def export_litert(
    model: WideDeep | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    quantize: bool = False,
) -> None:
    """Writes a model's scoring of features as a LiteRT file.

    Its signature takes and gives what `plain_function` does: `numeric`, `ids` and each
    multi-valued column; `logit` and `probability`, float32 (B,).

    Args:
        model: a model, or the path of an exported SavedModel.
        path: of the file, which is replaced if there is one.
        quantize: whether weights are kept as 8-bit integers (dynamic range); the file
            is a quarter as large. `quantization_report` says what that does to scores.

    Raises:
        ValueError: as `plain_function`; or an activation of operations that LiteRT does
            not have.
        OSError: no space, or no right to write; nothing is left behind.

    Example:
        >>> export_litert("demo/export/1", "demo/model.tflite")
        >>> interpreter = ai_edge_litert.interpreter.Interpreter("demo/model.tflite")
        >>> score = interpreter.get_signature_runner()
        >>> score(numeric=numeric, ids=ids)["probability"]
        array([0.1824, 0.4312], dtype=float32)
    """
    function = plain_function(model).get_concrete_function()
    # The module is where it would look for variables, of which there are none.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    try:
        content = converter.convert()
    except Exception as error:  # its own class has no public name
        lacking = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error))))
        if not lacking:
            raise
        raise ValueError(
            f"{path}: expected operations that LiteRT has, received "
            f"{', '.join(lacking)}."
        ) from None
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load_litert(path: str | os.PathLike[str]) -> Logit:
    """A LiteRT file of `export_litert` as a function of `Batch.features` to logits.

    `Scorer(schema, transform, load_litert(path))` evaluates it like any other model.

    Raises:
        ValueError: the file cannot be read.
        ImportError: ai-edge-litert is not installed; names the command that installs
            it.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ImportError(
            f"{path}: expected the package ai-edge-litert to run it, received none; "
            "pip install 'smelu-tf[litert]'"
        ) from None
    try:
        score = Interpreter(model_path=os.fspath(path)).get_signature_runner()
    except ValueError as error:
        raise ValueError(
            f"{path}: expected a LiteRT file, received one that cannot be read: "
            f"{str(error).partition(chr(10))[0]}"
        ) from None
    names = list(score.get_input_details())

    def logit(features: Features) -> tf.Tensor:
        arrays = {name: np.asarray(features[name]) for name in names}
        return tf.constant(score(**arrays)["logit"])

    return logit


@dataclasses.dataclass(frozen=True)
class QuantizationReport:
    """What quantised weights do to a model's scores.

    Attributes:
        num_examples: how many were scored.
        log_loss: the mean log loss of the float32 file.
        quantized_log_loss: that of the quantised one.
        prediction_difference: the mean of 2·|p - q| / (p + q) of their predictions, as
            `smelu_tf.prediction_difference` has it.
        num_bytes: of the float32 file.
        quantized_num_bytes: of the quantised one.
    """

    num_examples: int
    log_loss: float
    quantized_log_loss: float
    prediction_difference: float
    num_bytes: int
    quantized_num_bytes: int


def quantization_report(
    path: str | os.PathLike[str],
    quantized_path: str | os.PathLike[str],
    batches: Iterable[Any],
) -> QuantizationReport:
    """Compares a quantised LiteRT file with the float32 one on labelled rows.

    Args:
        path: the float32 file.
        quantized_path: the quantised one, of the same model.
        batches: `Batch`es of the model's schema; weights count.

    Raises:
        ValueError: a file cannot be read, or there are no rows.
        ImportError: ai-edge-litert is not installed; names the command that installs
            it.
    """
    plain, quantized = load_litert(path), load_litert(quantized_path)
    metrics, quantized_metrics = BinaryMetrics(), BinaryMetrics()
    differences = Differences()
    for batch in batches:
        logit, other = plain(batch.features), quantized(batch.features)
        metrics.update_state(batch.label, logit, batch.weight)
        quantized_metrics.update_state(batch.label, other, batch.weight)
        differences.update_state(logit, other, batch.weight)
    num_examples = int(metrics.num_examples)
    if not num_examples:
        raise ValueError("batches: expected rows, received none.")
    return QuantizationReport(
        num_examples,
        float(metrics.log_loss),
        float(quantized_metrics.log_loss),
        float(differences.result()["prediction_difference"]),
        os.path.getsize(path),
        os.path.getsize(quantized_path),
    )
