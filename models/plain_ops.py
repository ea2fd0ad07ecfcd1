"""The scoring of features in plain operations, for runtimes that are not TensorFlow.

Converters take a function without variables, and know few of TensorFlow's operations.
Here a model's function is written out anew: its weights become constants, operations
that LiteRT or ONNX lack are computed by others, and what was bfloat16 or float64 (a
recalibration) is float32.

| operation | where it comes from | in its place |
|---|---|---|
| Erfc | gelu, rescu normal | exponential of a polynomial, error below 1e-6 |
| Log1p | rescu logistic | u · log(w) / (w - 1), w = 1 + u, and u where w is 1 |
| MulNoNan | gsmelu | the product, and 0 where the second factor is |
| Softplus | softplus | max(x, 0) + log1p(exp(-abs(x))) |
| UpperBound | isotonic recalibration | how many of the sorted numbers are not above |
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.transform import Features

from .saved_models import load_saved_model
from .serving import batch_specs
from .wide_deep import WideDeep

MAX_BYTES = 1 << 31
"""Of a graph's, a LiteRT or an ONNX file's constants, less what else they hold."""

# log(erfc(z) · exp(z²) / t) as a polynomial of t = 1 / (1 + z/2), z >= 0: a Chebyshev
# fit of degree 9, of error 1e-7. Lowest power first.
_LOG_ERFC = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.0967841895,
    -0.186288062,
    0.278868084,
    -1.135204,
    1.48851589,
    -0.822152234,
    0.170872778,
)


def plain_function(model: WideDeep | str | os.PathLike[str]) -> Any:
    """A model's scores of features, as a `tf.function` of constants and plain ops.

    Args:
        model: a model, or the path of an exported SavedModel.

    Returns:
        A function with an input signature: of a dict with `numeric`, float32 (B, 2N),
        `ids`, int32 (B, C), and each multi-valued column by its name, int32 (B,
        max_values), as `Batch.features` has them, but without those that are empty
        for the schema; to a dict of `logit` and `probability`, float32 (B,).

    Raises:
        ValueError: there is no SavedModel of smelu-tf, or one of a version of it that
            exported no function of features; or weights of 2 GB and more, for which
            the files that hold them in one piece have no room.
    """
    # What converters call themselves. It has no public name: imported here, it harms
    # nothing else should it move.
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    if isinstance(model, WideDeep):
        schema = model.schema
        weights = model.served_variables
        _check_size(sum(w.dtype.size * w.shape.num_elements() for w in weights))

        @tf.function(autograph=False)
        def logit(features: Features) -> tf.Tensor:
            return model.scores(features)

    else:
        schema, logit = _load(Path(model))
    specs = batch_specs(schema)
    frozen = convert_variables_to_constants_v2(_traced(logit, specs))
    # The graph's inputs are in the order of the keys, as `tf.nest` sorts a dict's.
    names = [tensor.op.name for tensor in frozen.inputs]
    keys = sorted(specs)
    given = {key: spec for key, spec in specs.items() if 0 not in spec.shape[1:]}

    @tf.function(input_signature=[given], autograph=False)
    def scores(features: Features) -> dict[str, tf.Tensor]:
        size = tf.shape(next(iter(features.values())))[0]
        absent = {
            key: tf.zeros([size, 0], spec.dtype)
            for key, spec in specs.items()
            if key not in features
        }
        values = {**features, **absent}
        inputs = {n: values[k] for n, k in zip(names, keys, strict=True)}
        logit = _written_anew(frozen.graph, inputs)[frozen.outputs[0].name]
        return {"logit": logit, "probability": tf.sigmoid(logit)}

    _traced(scores)
    return scores


def _traced(function: Any, *specs: Any) -> Any:
    """The concrete function of specs, ready for converters."""
    concrete = function.get_concrete_function(*specs)
    # They would warn of vocabularies' tables, which the graph knows of but not uses.
    concrete.graph.clear_collection(tf.compat.v1.GraphKeys.TABLE_INITIALIZERS)
    return concrete


def _check_size(num_bytes: int) -> None:
    if num_bytes >= MAX_BYTES:
        raise ValueError(
            f"model: expected weights of less than {MAX_BYTES:,} bytes, which one file "
            f"can hold, received {num_bytes:,}."
        )


def _load(path: Path) -> tuple[Schema, Any]:
    """The schema of a SavedModel, and its function from features to the logit."""
    schema_path = path / "assets.extra" / "schema.json"
    if not (path / "saved_model.pb").exists() or not schema_path.exists():
        raise ValueError(f"{path}: expected a SavedModel of smelu-tf, received none.")
    _check_size(sum(file.stat().st_size for file in path.glob("variables/*.data*")))
    loaded = load_saved_model(path)
    if not hasattr(loaded, "score_features"):
        raise ValueError(
            f"{path}: expected a SavedModel that scores features, received one of an "
            "earlier version; export its model_dir again."
        )

    @tf.function(autograph=False)
    def logit(features: Features, owner: Any = loaded) -> tf.Tensor:
        return owner.score_features(features)

    return Schema.load(schema_path), logit


def _written_anew(
    graph: tf.Graph, inputs: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """Adds a graph's operations to the one in force, in plain ops.

    Args:
        graph: without variables and calls.
        inputs: what its placeholders stand for, by their names.

    Returns:
        The tensors by the names that they have in the graph.
    """
    tensors: dict[str, tf.Tensor] = {}
    for operation in graph.get_operations():
        if operation.type == "Placeholder":
            results: Any = inputs[operation.name]
        elif operation.type == "Const":
            value = tf.make_ndarray(operation.get_attr("value"))
            results = tf.constant(value, _dtype(operation.outputs[0].dtype))
        elif operation.outputs:
            sources = [tensors[tensor.name] for tensor in operation.inputs]
            plain = _PLAIN.get(operation.type)
            results = plain(*sources) if plain else _like(operation, sources)
        else:
            continue  # of the order of effects, of which there are none
        if not isinstance(results, list | tuple):
            results = [results]
        names = [tensor.name for tensor in operation.outputs]
        tensors.update(zip(names, results, strict=True))
    return tensors


def _like(operation: tf.Operation, sources: list[tf.Tensor]) -> list[tf.Tensor]:
    """The results of an operation on other inputs."""
    attributes = {
        name: copy.deepcopy(value)
        for name, value in operation.node_def.attr.items()
        if not name.startswith("_")
    }
    for value in attributes.values():
        if value.WhichOneof("value") == "type":
            value.type = _dtype(tf.as_dtype(value.type)).as_datatype_enum
    added = tf.compat.v1.get_default_graph().create_op(
        operation.type,
        sources,
        [_dtype(tensor.dtype) for tensor in operation.outputs],
        attrs=attributes,
    )
    return added.outputs


def _dtype(dtype: tf.DType) -> tf.DType:
    return tf.float32 if dtype.is_floating else dtype


def _erfc(x: tf.Tensor) -> tf.Tensor:
    z = tf.abs(x)
    t = 1 / (1 + z / 2)
    log = tf.zeros_like(t)
    for coefficient in reversed(_LOG_ERFC):
        log = log * t + coefficient
    tail = t * tf.exp(log - z * z)
    return tf.where(x < 0, 2 - tail, tail)


def _log1p(u: tf.Tensor) -> tf.Tensor:
    # The rounding of w cancels in the quotient.
    w = 1 + u
    below = w - 1
    is_lost = below == 0
    return tf.where(is_lost, u, u * tf.math.log(w) / tf.where(is_lost, 1.0, below))


def _multiply_no_nan(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.where(y == 0, tf.zeros_like(x), x * y)


def _upper_bound(numbers: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    is_below = tf.expand_dims(numbers, 1) <= tf.expand_dims(values, 2)
    return tf.reduce_sum(tf.cast(is_below, tf.int32), axis=2)


def _softplus(x: tf.Tensor) -> tf.Tensor:
    return tf.maximum(x, 0) + _log1p(tf.exp(-tf.abs(x)))


_PLAIN: dict[str, Callable[..., tf.Tensor]] = {
    "Erfc": _erfc,
    "Log1p": _log1p,
    "MulNoNan": _multiply_no_nan,
    "Softplus": _softplus,
    "UpperBound": _upper_bound,
}
