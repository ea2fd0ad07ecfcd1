"""ONNX: a model's scoring of features as an .onnx file, for ONNX Runtime and its kin.

As with LiteRT the file begins behind the lookups of raw text: its inputs are the
features of a `Batch`, as `Transform` makes them, for batches of one row or more.
"""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

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
        path: of the file, which is replaced if there is one.

    Raises:
        ValueError: as `plain_function`; or an activation of operations that ONNX does
            not have.
        OSError: no space, or no right to write; nothing is left behind.
        ImportError: tf2onnx is not installed; names the command that installs it.

    Example:
        >>> export_onnx("demo/export/1", "demo/model.onnx")
        >>> session = onnxruntime.InferenceSession("demo/model.onnx")
        >>> session.run(["probability"], {"numeric": numeric, "ids": ids})
        [array([0.1824, 0.4312], dtype=float32)]
    """
    try:
        import onnx
        import tf2onnx
    except ImportError:
        raise ImportError(
            f"{path}: expected the package tf2onnx to write ONNX, received none; "
            "pip install 'smelu-tf[onnx]'"
        ) from None
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

    `Scorer(schema, transform, load_onnx(path))` evaluates it like any other model.

    Raises:
        ValueError: the file cannot be read.
        ImportError: onnxruntime is not installed; names the command that installs it.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ImportError(
            f"{path}: expected the package onnxruntime to run ONNX files, received "
            "none; pip install 'smelu-tf[onnx]'"
        ) from None
    try:
        session = onnxruntime.InferenceSession(os.fspath(path))
    except (
        Exception
    ) as error:  # each cause has a class of its own, without a public name
        raise ValueError(
            f"{path}: expected an ONNX file, received one that cannot be read: "
            f"{str(error).partition(chr(10))[0]}"
        ) from None
    names = [each.name for each in session.get_inputs()]

    def logit(features: Features) -> tf.Tensor:
        arrays = {name: np.asarray(features[name]) for name in names}
        return tf.constant(session.run(["logit"], arrays)[0])

    return logit
