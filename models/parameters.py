"""A model's variables as a table: what they are, and how large."""

from __future__ import annotations

import re
from typing import NamedTuple

import tf_keras

from .embeddings import StackedEmbedding
from .tpu_embeddings import TPUTables

_HEADER = ("part", "layer", "variable", "shape", "rows", "width", "numbers", "bytes")
_NUM_TEXTS = 4

# Layers whose weights are tables.
_TABLES = (StackedEmbedding, TPUTables, tf_keras.layers.Embedding)


class _Weight(NamedTuple):
    """A variable, or the pieces of one that parameter servers share."""

    path: tuple[str, ...]
    shape: tuple[int, ...]
    kind: str
    numbers: int
    bytes: int


def parameter_table(model: tf_keras.Model) -> str:
    """The variables of a built Keras model, an aligned line each, and their sums.

    Tables are the variables of embedding layers, ours and Keras's; what is not trained,
    counters say, has a sum of its own.

    Args:
        model: any Keras model.

    Returns:
        Lines without an end of line behind the last one.

    Raises:
        ValueError: the model is not built.

    Examples:
        >>> model = tf_keras.Sequential([tf_keras.layers.Dense(2, name="top")])
        >>> _ = model(tf.ones([1, 3]))
        >>> print(parameter_table(model))
        part   layer          variable  shape  rows  width  numbers  bytes
        top                   kernel    3 x 2                     6     24
                              bias      2                         2      8
        total  tables                                             0      0
        total  dense weights                                      8     32
        total  all                                                8     32
    """
    weights = _weights(model)
    if not weights:
        raise ValueError(
            f"{model.name}: expected a built model, received no variables."
        )
    rows: list[tuple[str, ...]] = [_HEADER]
    part_before, layer_before = "", ""
    for weight in weights:
        *scopes, name = weight.path
        part, layer = (scopes or [""])[0], "/".join(scopes[1:])
        is_same_part = part == part_before
        is_same = is_same_part and layer == layer_before
        part_before, layer_before = part, layer
        is_table = weight.kind == "tables"
        rows.append(
            (
                "" if is_same_part else part,
                "" if is_same else layer,
                name,
                " x ".join(map(str, weight.shape)) or "scalar",
                f"{weight.shape[0]:,}" if is_table else "",
                f"{weight.shape[1]:,}" if is_table else "",
                f"{weight.numbers:,}",
                f"{weight.bytes:,}",
            )
        )
    for kind in ("tables", "dense weights", "not trained", "all"):
        of_kind = [weight for weight in weights if kind in ("all", weight.kind)]
        if of_kind or kind != "not trained":
            numbers = sum(weight.numbers for weight in of_kind)
            num_bytes = sum(weight.bytes for weight in of_kind)
            sums = (f"{numbers:,}", f"{num_bytes:,}")
            rows.append(("total", kind, *[""] * (len(_HEADER) - 4), *sums))
    return "\n".join(_aligned(rows))


def _weights(model: tf_keras.Model) -> list[_Weight]:
    tables = {
        id(variable)
        for layer in model.submodules
        if isinstance(layer, _TABLES)
        for variable in layer.weights
    }
    trained = {id(variable) for variable in model.trainable_variables}
    weights: list[_Weight] = []
    for variable in model.variables:
        name = re.sub(r":\d+$", "", variable.name.removeprefix(f"{model.name}/"))
        whole = re.sub(r"/part_\d+$", "", name)
        shape = tuple(variable.shape)
        size = variable.shape.num_elements()
        kind = "tables" if id(variable) in tables else "dense weights"
        if id(variable) not in trained:
            kind = "not trained"
        path = tuple(whole.split("/"))
        weight = _Weight(path, shape, kind, size, size * variable.dtype.size)
        if name != whole and weights and weights[-1].path == path:
            weights[-1] = _joined(weights[-1], weight)
        else:
            weights.append(weight)
    return weights


def _joined(first: _Weight, second: _Weight) -> _Weight:
    """Two pieces of a variable, which parameter servers divide by rows."""
    return first._replace(
        shape=(first.shape[0] + second.shape[0], *first.shape[1:]),
        numbers=first.numbers + second.numbers,
        bytes=first.bytes + second.bytes,
    )


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if place < _NUM_TEXTS else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
