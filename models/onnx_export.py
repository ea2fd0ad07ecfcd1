"""ONNX: a model's scoring of features as an .onnx file, for ONNX Runtime and its kin.

As with LiteRT the file begins behind the lookups of raw text: its inputs are the
features of a `Batch`, as `Transform` makes them, for batches of one row or more.
"""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines.extras import importing
from smelu_tf.pipelines.files import replacing

from .comparison import Logit
from .plain_ops import Features, plain_function
from .wide_deep import WideDeep

OPSET = 18
"""The version of ONNX's operations that is written: ONNX Runtime has it since 1.14."""


def export_onnx(
    model: WideDeep | str | os.PathLike[str], path: str | os.PathLike[str]
) -> None:
    """Writes a model's scoring of features as an ONNX file.

    It takes and gives what `plain_function` does: `numeric`, `ids` and each
    multi-valued column; `logit` and `probability`, float32 (B,).

    Args:
        model: a model, or the path of an exported SavedModel.
        path: of the file (`model.onnx`), which is replaced if there is one.

    Raises:
        ValueError: as `plain_function`; or an activation of operations that ONNX does
            not have.
        OSError: no space, or no right to write; nothing is left behind.
        ImportError: tf2onnx is not installed; names the command that installs it.

    Examples:
        >>> export_onnx("served/1", "model.onnx")
        >>> import onnxruntime
        >>> session = onnxruntime.InferenceSession("model.onnx")
        >>> sorted(each.name for each in session.get_inputs())
        ['ids', 'numeric']
    """
    with importing(path, "tf2onnx", "onnx", "to write ONNX"):
        import onnx
        import tf2onnx
    function = plain_function(model)
    converted, _ = tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=OPSET
    )
    try:
        # What has no counterpart is left in under TensorFlow's name.
        onnx.checker.check_model(converted)
    except onnx.checker.ValidationError as error:
        raise ValueError(
            f"{path}: expected operations that ONNX has, received others: "
            f"{str(error).partition(chr(10))[0]}"
        ) from None
    with replacing(path) as temporary:
        temporary.write_bytes(converted.SerializeToString())


def load_onnx(path: str | os.PathLike[str]) -> Logit:
    """An ONNX file of `export_onnx` as a function of `Batch.features` to logits.

    A `Scorer` evaluates it like any other model.

    Args:
        path: of the file.

    Returns:
        A function of `Batch.features` (`numeric` float32 (B, 2N), `ids` int32 (B, C),
        multi-valued columns by name) to the logit, float32 (B,).

    Raises:
        ValueError: the file cannot be read.
        ImportError: onnxruntime is not installed; names the command that installs it.

    Examples:
        >>> export_onnx("served/1", "model.onnx")
        >>> job = ScoringJob.open("model", "clicks/day_6.tsv")
        >>> schema, transform = job.scorer.schema, job.scorer.transform
        >>> onnx = Scorer(schema, transform, load_onnx("model.onnx"))
        >>> losses = [evaluate(s, job.batches)["log_loss"] for s in (onnx, job.scorer)]
        >>> abs(losses[0] - losses[1]) < 1e-5
        True
    """
    with importing(path, "onnxruntime", "onnx", "to run ONNX files"):
        import onnxruntime
    try:
        session = onnxruntime.InferenceSession(os.fspath(path))
    # Each cause has a class of its own, without a public name.
    except Exception as error:
        raise ValueError(
            f"{path}: expected an ONNX file, received one that cannot be read: "
            f"{str(error).partition(chr(10))[0]}"
        ) from None
    names = [each.name for each in session.get_inputs()]

    def logit(features: Features) -> tf.Tensor:
        arrays = {name: np.asarray(features[name]) for name in names}
        return tf.constant(session.run(["logit"], arrays)[0])

    return logit
