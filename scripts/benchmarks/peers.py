"""Models of other packages on the same rows: what this package is measured against."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from smelu_tf.pipelines import InMemoryRows
from smelu_tf.pipelines.parallel import untuned

Call = Callable[[], object]
"""Trains on all rows once."""

RATE = 0.01
"""The learning rate wherever speed is measured."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the models of a comparison have in common.

    Attributes:
        num_ids: the number of ids of each column.
        num_numeric: numbers a row.
        embedding_dim: the width of an id's embedding.
        hidden_units: the widths of the MLP's layers.
        several: of each multi-valued column its number of ids and of values a row.
    """

    num_ids: tuple[int, ...]
    num_numeric: int
    embedding_dim: int
    hidden_units: tuple[int, ...]
    several: tuple[tuple[int, int], ...] = ()


# --------------------------------------------------------------------- DeepCTR


@functools.cache
def import_deepctr() -> Any:
    """The package `deepctr`.

    Raises:
        ImportError: it is not installed, or does not work with this TensorFlow.
    """
    # Importing it starts a thread that asks the network for a newer release and prints
    # to standard output, which holds nothing but JSON here. This module does only that.
    silent = types.ModuleType("deepctr.utils")
    silent.check_version = lambda version: None  # type: ignore[attr-defined]
    sys.modules.setdefault("deepctr.utils", silent)
    try:
        import deepctr.feature_column
        import deepctr.models
    except ImportError as error:
        raise ImportError(
            "the benchmark compares with deepctr, which is not installed or does not "
            f"work here ({error}): pip install 'smelu-tf[benchmark]'."
        ) from error
    return deepctr


def deepctr_model(kind: str, shape: Shape, seed: int = 0, **settings: Any) -> Any:
    """A Keras model of DeepCTR's with the package's own defaults.

    Args:
        kind: the name of a model: `WDL` or `DCN`.
        shape: its shape.
        seed: of all initial weights, those of the embeddings too.
        **settings: of the model.
    """
    deepctr = import_deepctr()
    columns = deepctr.feature_column
    # As theirs, which has the same seed in all models.
    initializer = functools.partial(tf_keras.initializers.RandomNormal, stddev=1e-4)
    features: list[Any] = [
        columns.SparseFeat(
            f"C{i}",
            num_ids,
            shape.embedding_dim,
            embeddings_initializer=initializer(seed=1000 * seed + i),
        )
        for i, num_ids in enumerate(shape.num_ids)
    ]
    for i, (num_ids, num_values) in enumerate(shape.several):
        column = columns.SparseFeat(
            f"M{i}",
            num_ids + 1,  # 0 is their padding
            shape.embedding_dim,
            embeddings_initializer=initializer(seed=1000 * seed + 500 + i),
        )
        features.append(columns.VarLenSparseFeat(column, num_values, combiner="sum"))
    if shape.num_numeric:
        features.append(columns.DenseFeat("numeric", shape.num_numeric))
    with contextlib.redirect_stdout(sys.stderr):  # it prints what it builds
        return getattr(deepctr.models, kind)(
            features,
            features,
            dnn_hidden_units=shape.hidden_units,
            seed=seed,
            **settings,
        )


def deepctr_inputs(
    features: Mapping[str, np.ndarray], several: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """What `deepctr_model` takes: a dict of arrays.

    Args:
        features: as in `Batch`.
        several: the names of the multi-valued columns in it.
    """
    inputs = _by_column(features["ids"])
    inputs |= {f"M{i}": features[name] + 1 for i, name in enumerate(several)}
    if features["numeric"].shape[1]:
        inputs["numeric"] = features["numeric"]
    return inputs


def _by_column(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Ids (n, columns) as a dict of arrays (n,)."""
    return {f"C{i}": column for i, column in enumerate(np.ascontiguousarray(ids.T))}


def deepctr_call(shape: Shape, rows: InMemoryRows, batch_size: int) -> Call:
    """Trains DeepCTR's WDL the fastest way that is still the package's own.

    That is `fit` on a cached dataset with the legacy Adagrad. `fit` on arrays was
    slower by a few percent, the newer Adagrad by a fifth; regularizers of strength 0
    still pass over the tables whole, and steps_per_execution did not help.
    """
    model = deepctr_model("WDL", shape)
    model.compile(tf_keras.optimizers.legacy.Adagrad(RATE), "binary_crossentropy")
    batches = _cached((deepctr_inputs(rows.features), rows.label), batch_size)
    return functools.partial(model.fit, batches, verbose=0)


# ----------------------------------------------------------------------- TFRS


class _Embeddings(tf_keras.layers.Layer):
    """An `Embedding` a column: ids (B,) by name to vectors (B, dim) by name."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._columns = {
            f"C{i}": tf_keras.layers.Embedding(num_ids, shape.embedding_dim)
            for i, num_ids in enumerate(shape.num_ids)
        }

    def call(self, ids: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name: self._columns[name](column) for name, column in ids.items()}


def tfrs_call(shape: Shape, rows: InMemoryRows, batch_size: int) -> Call:
    """Trains TensorFlow Recommenders' `Ranking`, a DLRM.

    Its MLP over the numbers is the package's default, the one over the products has the
    comparison's widths; its metrics are left out.
    """
    import tensorflow_recommenders as tfrs

    mlp = tfrs.layers.blocks.MLP
    loss = tf_keras.losses.BinaryCrossentropy(reduction=tf_keras.losses.Reduction.NONE)
    model = tfrs.experimental.models.Ranking(
        _Embeddings(shape),
        mlp([256, 64, shape.embedding_dim], final_activation="relu"),
        top_stack=mlp([*shape.hidden_units, 1], final_activation="sigmoid"),
        task=tfrs.tasks.Ranking(loss),
    )
    model.compile(tf_keras.optimizers.legacy.Adagrad(RATE))
    features = {
        "dense_features": rows.features["numeric"],
        "sparse_features": _by_column(rows.features["ids"]),
    }
    batches = _cached((features, rows.label), batch_size)
    return functools.partial(model.fit, batches, verbose=0)


def _cached(rows: Any, batch_size: int) -> tf.data.Dataset:
    batches = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)
    # Tuned, each `fit` might wait at its end as long again as it took.
    return untuned(batches.cache().prefetch(4))


# --------------------------------------------------------------------- PyTorch


@functools.cache
def has_torch() -> bool:
    """Whether PyTorch can be imported; no extra of this package brings it."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError):  # OSError: without the libraries that it links to
        return False
    return True


def torch_call(shape: Shape, rows: InMemoryRows, batch_size: int) -> Call:
    """Trains a wide-and-deep model in PyTorch, eagerly, on tensors in memory.

    One table for all columns with sparse gradients, and for the rest the fused Adagrad:
    what PyTorch has for this, put to its best use.
    """
    import torch

    torch.manual_seed(0)
    torch.sparse.check_sparse_tensor_invariants.disable()  # else it warns of the choice
    offsets = np.cumsum((0, *shape.num_ids[:-1]))
    ids = torch.from_numpy(rows.features["ids"] + offsets).split(batch_size)
    numeric = torch.from_numpy(rows.features["numeric"]).split(batch_size)
    label = torch.from_numpy(rows.label).split(batch_size)
    num_ids = sum(shape.num_ids)
    deep_table = torch.nn.Embedding(num_ids, shape.embedding_dim, sparse=True)
    wide_table = torch.nn.EmbeddingBag(num_ids, 1, mode="sum", sparse=True)
    wide = torch.nn.Linear(shape.num_numeric, 1)
    layers: list[Any] = []
    width = len(shape.num_ids) * shape.embedding_dim + shape.num_numeric
    for units in shape.hidden_units:
        layers += [torch.nn.Linear(width, units), torch.nn.ReLU()]
        width = units
    mlp = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))
    optimizers = [
        torch.optim.Adagrad([deep_table.weight, wide_table.weight], lr=RATE),
        torch.optim.Adagrad(
            [*mlp.parameters(), *wide.parameters()], lr=RATE, fused=True
        ),
    ]

    def train() -> None:
        for x, rows_of_ids, y in zip(numeric, ids, label, strict=True):
            embedded = deep_table(rows_of_ids).flatten(1)
            logit = mlp(torch.cat([embedded, x], dim=1))
            logit = logit + wide_table(rows_of_ids) + wide(x)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logit.squeeze(1), y
            )
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()

    return train
