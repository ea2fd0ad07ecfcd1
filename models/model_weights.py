"""A model's weights as arrays, and what stands where in them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from .embeddings import StackedEmbedding
from .net import WithNet
from .wide_deep import WideDeep

Layout = tuple[tuple[str, int], ...]
"""What stands along an axis of a weight: columns, and how many places each takes."""

Axes = tuple[Layout | None, ...]
"""The layouts of a weight's axes; None where no column has a place."""

NUMERIC_VECTOR = "all numeric"
"""Stands for the vector that `dlrm` makes of the numeric columns."""


class ModelWeights:
    """A model's trained weights by path (`deep/mlp/hidden_0/kernel`), as arrays.

    Counters are not among them. A weight that is spread over parameter servers is one
    weight here.

    Args:
        model: the model; what is set here is set in it.

    Examples:
        >>> model = load_model("model")
        >>> weights = ModelWeights(model)
        >>> weights["wide/bias"] = np.array([-1.0])
        >>> model.wide.bias.numpy()
        array([-1.], dtype=float32)
    """

    def __init__(self, model: WideDeep) -> None:
        self._pieces: dict[str, list[tf.Variable]] = {}
        for variable in model.trainable_variables:
            self._pieces.setdefault(path_of(variable, model), []).append(variable)

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def shape(self, path: str) -> tuple[int, ...]:
        """The shape of a weight."""
        first, *rest = [tuple(piece.shape) for piece in self._pieces[path]]
        if not rest:
            return first
        return (first[0] + sum(shape[0] for shape in rest), *first[1:])

    def __getitem__(self, path: str) -> np.ndarray:
        arrays = [tf.convert_to_tensor(p).numpy() for p in self._pieces[path]]
        return np.concatenate(arrays) if len(arrays) > 1 else np.array(arrays[0])

    def __setitem__(self, path: str, value: np.ndarray) -> None:
        pieces = self._pieces[path]
        ends = np.cumsum([piece.shape[0] for piece in pieces[:-1]], dtype=int)
        parts = np.split(value, ends) if len(pieces) > 1 else [value]
        for piece, part in zip(pieces, parts, strict=True):
            piece.assign(part)


def path_of(variable: tf.Variable, model: WideDeep) -> str:
    """A weight's name without its model's: `wide/ids/table`."""
    name = variable.name.removeprefix(f"{model.name}/")
    return re.sub(r"(/part_\d+)?(:\d+)?$", "", name)


@dataclasses.dataclass(frozen=True)
class ColumnTable:
    """Where the rows of a column are.

    Attributes:
        part: `wide` or `deep`, of another tower than the first behind its scope:
            `tower_1/wide`.
        column: an id column, a multi-valued one, or a cross of the wide part (`C1*C2`).
        path: the weight that holds the rows.
        offset: the first of them.
        num_ids: how many there are.
        dim: their width.
    """

    part: str
    column: str
    path: str
    offset: int
    num_ids: int
    dim: int


def column_tables(model: WideDeep) -> list[ColumnTable]:
    """Where the rows of every column of all parts are."""
    tables = []
    for scope, wide, deep in model.parts:
        if wide is not None:
            part = f"{scope}wide"
            tables += _stacked(model, part, wide.columns, wide.ids)
            tables += _stacked(model, part, model.config.crosses, wide.crosses)
        if deep is not None:
            for deep_columns, layer in deep.tables:
                tables += _stacked(model, f"{scope}deep", deep_columns, layer)
    if model.tpu_tables is not None:
        tables += [
            ColumnTable(t.part, t.column, t.name, 0, t.num_ids, t.dim)
            for t in model.tpu_tables.tables
        ]
    return tables


def column_layouts(model: WideDeep) -> dict[str, Axes]:
    """The weights that have places for columns: along which axes, and for which.

    A numeric column has two places, its value's and its missing flag's, under the key
    `numeric <name>`; an id column as many as its embedding is wide; the product of two
    vectors one, under both their keys with * between them.
    """
    layouts: dict[str, Axes] = {}
    numeric = _numeric_layout(model)
    embedded = [] if model.deep is None else model.deep.columns
    for _, wide, deep in model.parts:
        if wide is not None and wide.numeric is not None:
            layouts[path_of(wide.numeric.kernel, model)] = (numeric, None)
        for net in [] if deep is None else [deep, *deep.other_nets]:
            layouts |= _net_layouts(model, net, numeric, embedded)
    return layouts


def _net_layouts(
    model: WideDeep, net: WithNet, numeric: Layout, embedded: Sequence[tuple[str, int]]
) -> dict[str, Axes]:
    """Of a net over numeric columns and embeddings of columns."""
    layouts: dict[str, Axes] = {}
    inputs: Layout = (*numeric, *embedded)
    first_kernel = path_of(net.mlp.hidden[0].kernel, model)
    interaction = model.config.interaction
    if interaction == "dcn":
        scope = first_kernel.removesuffix("/mlp/hidden_0/kernel")
        layouts |= _cross_layouts(model, scope, inputs)
    if interaction == "dlrm":
        if numeric:
            bottom = net.interaction.bottom.hidden[0].kernel
            layouts[path_of(bottom, model)] = (numeric, None)
        inputs = _product_layout(model, [column for column, _ in embedded])
    return {**layouts, first_kernel: (inputs, None)}


def _numeric_layout(model: WideDeep) -> Layout:
    return tuple((f"numeric {column.name}", 2) for column in model.schema.numeric)


def _cross_layouts(model: WideDeep, net: str, inputs: Layout) -> dict[str, Axes]:
    """Of a net's cross layers (`dcn`), whose outputs stand where their inputs do."""
    layouts: dict[str, Axes] = {}
    paths = {path_of(variable, model) for variable in model.trainable_variables}
    for i in range(model.config.cross_layers):
        scope = f"{net}/interaction/cross_{i}/affine"
        layouts[f"{scope}/bias"] = (inputs,)
        if f"{scope}/expansion" in paths:
            layouts[f"{scope}/kernel"] = (inputs, None)
            layouts[f"{scope}/expansion"] = (None, inputs)
        else:
            layouts[f"{scope}/kernel"] = (inputs, inputs)
    return layouts


def _product_layout(model: WideDeep, columns: Sequence[str]) -> Layout:
    """Of what `dlrm` gives: the numbers' vector and the products of all pairs."""
    bottom: Layout = ()
    if model.schema.numeric:
        bottom = ((NUMERIC_VECTOR, model.config.embedding_dim),)
    vectors = [*(name for name, _ in bottom), *columns]
    # A product is the same whichever of its factors comes first.
    pairs = [
        "*".join(sorted((vectors[i], vectors[j])))
        for i in range(len(vectors))
        for j in range(i)
    ]
    return (*bottom, *((pair, 1) for pair in pairs))


def _stacked(
    model: WideDeep, part: str, columns: Sequence[str], layer: StackedEmbedding | None
) -> list[ColumnTable]:
    """The columns of a stacked table."""
    if layer is None:
        return []
    path = path_of(layer.table, model)
    offsets = np.cumsum((0, *layer.num_ids[:-1]))
    return [
        ColumnTable(part, column, path, int(offset), num_ids, layer.dim)
        for column, offset, num_ids in zip(columns, offsets, layer.num_ids, strict=True)
    ]
