"""What TensorFlow 2 does not write into a SavedModel's signatures, for servers.

It calls every signature's method `predict`, and has no place for inputs that a request
may leave out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

METHODS = {
    "regress": "tensorflow/serving/regress",
    "classify": "tensorflow/serving/classify",
}
"""The methods of TensorFlow Serving's APIs by signature; of others it is `predict`."""


def finish_signatures(
    version: Path, defaults: Mapping[str, Mapping[str, tf.Tensor]]
) -> None:
    """Writes methods and defaults into the signatures of a SavedModel.

    The fingerprint beside it stays that of the model as TensorFlow saved it.

    Args:
        version: the SavedModel's folder, which nobody reads yet.
        defaults: by signature and input, what the server takes where a request leaves
            the input out.

    Raises:
        OSError: no space, or no right to write.
        KeyError: a signature that is not there.
    """
    path = version / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    (graph,) = saved_model.meta_graphs
    signatures: Any = graph.signature_def
    for name in [*METHODS, *defaults]:
        if name not in signatures:
            raise KeyError(f"{version}: expected a signature {name}, received none.")
    for name, method in METHODS.items():
        signatures[name].method_name = method
    for name, values in defaults.items():
        for column, value in values.items():
            proto = tf.make_tensor_proto(value)
            signatures[name].defaults[column].CopyFrom(proto)
    path.write_bytes(saved_model.SerializeToString(deterministic=True))
