"""LiteRT: a model's scoring of features as a .tflite file.

The file begins behind the lookups of raw text: its inputs are a `Batch`'s features, as
`Transform` makes them. It holds LiteRT's own operations alone, and takes batches of one
row or more: those of `Interpreter.get_signature_runner()` as they come, an interpreter
without signatures after `resize_tensor_input`.
"""

from __future__ import annotations

import os
import re

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines.extras import importing
from smelu_tf.pipelines.files import replacing

from .comparison import Logit
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
        path: of the file (`model.tflite`), which is replaced if there is one.
        quantize: whether weights are kept as 8-bit integers (dynamic range); the file
            is a quarter as large. `compare_versions` says what that does to scores.

    Raises:
        ValueError: as `plain_function`; or an activation of operations that LiteRT does
            not have.
        OSError: no space, or no right to write; nothing is left behind.

    Examples:
        >>> export_litert("served/1", "model.tflite")
        >>> from ai_edge_litert.interpreter import Interpreter
        >>> score = Interpreter("model.tflite").get_signature_runner()
        >>> sorted(score.get_input_details()), sorted(score.get_output_details())
        (['ids', 'numeric'], ['logit', 'probability'])
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

    A `Scorer` evaluates it like any other model.

    Args:
        path: of the file.

    Returns:
        A function of `Batch.features` (`numeric` float32 (B, 2N), `ids` int32 (B, C),
        multi-valued columns by name) to the logit, float32 (B,).

    Raises:
        ValueError: the file cannot be read.
        ImportError: ai-edge-litert is not installed; names the command that installs
            it.

    Examples:
        >>> export_litert("served/1", "model.tflite")
        >>> job = ScoringJob.open("model", "clicks/day_6.tsv")
        >>> schema, transform = job.scorer.schema, job.scorer.transform
        >>> lite = Scorer(schema, transform, load_litert("model.tflite"))
        >>> losses = [evaluate(s, job.batches)["log_loss"] for s in (lite, job.scorer)]
        >>> abs(losses[0] - losses[1]) < 1e-5
        True
    """
    with importing(path, "ai-edge-litert", "litert", "to run it"):
        from ai_edge_litert.interpreter import Interpreter
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
