"""The files of other runtimes that a version may hold besides the SavedModel."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

from .comparison import Logit
from .litert import export_litert, load_litert
from .onnx_export import export_onnx, load_onnx


@dataclasses.dataclass(frozen=True)
class ExportFormat:
    """A kind of file that holds a model's scoring of features.

    Attributes:
        file_name: in a version's `assets.extra`.
        write: of an exported SavedModel, to a path.
        load: such a file as a function of `Batch.features` to logits.
    """

    file_name: str
    write: Callable[[Path, Path], None]
    load: Callable[[Path], Logit]


FORMATS = {
    "litert": ExportFormat("model.tflite", export_litert, load_litert),
    "litert_quantized": ExportFormat(
        "model_quantized.tflite",
        functools.partial(export_litert, quantize=True),
        load_litert,
    ),
    "onnx": ExportFormat("model.onnx", export_onnx, load_onnx),
}
"""By name."""
