"""What a training step computes, keeps and moves, counted from a configuration."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.block_layout import layout_of, row_dtype
from smelu_tf.pipelines.dataclass_json import load_json

from .accelerators import Slice
from .config import TrainConfig
from .tables import embedding_dims, ids_by_column, values_by_column
from .update_rules import NUM_SLOTS

NUMBER_BYTES = 4
"""Of a float32 or an int32."""

CRITEO_1TB_ROWS = 4_373_472_329
"""The rows of Criteo's 24 days."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A column's embeddings.

    Attributes:
        num_rows: ids of the column.
        width: numbers of a row.
        lookups: values of the column that an example has; their rows are summed.
    """

    num_rows: int
    width: int
    lookups: int = 1

    @property
    def num_bytes(self) -> int:
        """Of its weights."""
        return NUMBER_BYTES * self.num_rows * self.width


@dataclasses.dataclass(frozen=True)
class Workload:
    """What is trained on what, as far as it costs time and memory.

    Attributes:
        num_examples: examples of a pass.
        batch_size: examples of a step, all chips together.
        tables: the embeddings.
        layers: inputs and outputs of every matrix product with weights.
        num_biases: weights besides these.
        product_flops: operations an example in products without weights, forward.
        input_width: numbers an example that the first layer gets.
        slots: numbers that the optimizer keeps for a weight.
        compute_bytes: of a number that is computed with: 2, bfloat16, or 4.
        stored_bytes: of an example on disk.
        fed_bytes: of an example as a chip gets it.
    """

    num_examples: int
    batch_size: int
    tables: tuple[Table, ...]
    layers: tuple[tuple[int, int], ...]
    num_biases: int
    product_flops: int
    input_width: int
    slots: int
    compute_bytes: int
    stored_bytes: int
    fed_bytes: int

    @property
    def num_weights(self) -> int:
        """Weights outside the tables."""
        return sum(n * m for n, m in self.layers) + self.num_biases

    @classmethod
    def of(
        cls, config: TrainConfig, schema: Schema, num_examples: int = CRITEO_1TB_ROWS
    ) -> Workload:
        """The workload of a configuration, of blocks of its schema.

        `compute_dtype=auto` is taken for bfloat16, as it is on accelerators.

        Args:
            config: the configuration.
            schema: its schema, vocabularies counted.
            num_examples: examples of a pass.

        Raises:
            ValueError: a model whose cost is not counted here: one with a wide part,
                several towers or layer normalisation; or vocabularies that are not
                counted.
        """
        model = config.model
        for name, received, expected in (
            ("wide", model.wide, False),
            ("deep", model.deep, True),
            ("towers", model.towers, 1),
            ("normalization", model.normalization, "none"),
        ):
            if received != expected:
                raise ValueError(
                    f"model.{name}: expected {expected} in a prediction, received "
                    f"{received}."
                )
        dims = embedding_dims(schema, model)
        num_ids, values = ids_by_column(schema), values_by_column(schema)
        tables = tuple(Table(num_ids[name], dims[name], values[name]) for name in dims)
        num_numeric = 2 * len(schema.numeric)
        width = num_numeric + sum(dims.values())
        layers: list[tuple[int, int]] = []
        biases = [*model.hidden_units, 1]
        product_flops = 0
        mlp_inputs = width
        if model.interaction == "dcn":
            for _ in range(model.cross_layers):
                layers += _affine(width, width, model.cross_rank)
                biases.append(width)
        elif model.interaction == "dlrm":
            dim = model.embedding_dim
            vectors = len(dims) + (num_numeric > 0)
            if num_numeric:
                units = (num_numeric, *model.bottom_units, dim)
                layers += itertools.pairwise(units)
                biases += units[1:]
            # The whole matrix of products is computed.
            product_flops = 2 * vectors * vectors * dim
            mlp_inputs = dim * (num_numeric > 0) + vectors * (vectors - 1) // 2
        for units_before, units_behind in zip(
            (mlp_inputs, *model.hidden_units[:-1]), model.hidden_units, strict=True
        ):
            layers += _affine(units_before, units_behind, model.bottleneck)
        layers.append((model.hidden_units[-1], 1))
        fed = num_numeric + sum(values.values()) + 2  # label and weight
        return cls(
            num_examples=num_examples,
            batch_size=config.data.batch_size,
            tables=tables,
            layers=tuple(layers),
            num_biases=sum(biases),
            product_flops=product_flops,
            input_width=width,
            slots=NUM_SLOTS[config.optimizer.name],
            compute_bytes=4 if config.train.compute_dtype == "float32" else 2,
            stored_bytes=row_dtype(layout_of(schema)).itemsize,
            fed_bytes=NUMBER_BYTES * fed,
        )


def _affine(inputs: int, outputs: int, rank: int) -> list[tuple[int, int]]:
    """The products of a layer, two where a bottleneck saves weights (see `Dense`)."""
    if 0 < rank * (inputs + outputs) < inputs * outputs:
        return [(inputs, rank), (rank, outputs)]
    return [(inputs, outputs)]


@dataclasses.dataclass(frozen=True)
class DenseProgram:
    """The step of everything but the tables, on one chip.

    Attributes:
        num_examples: examples of a chip's part of the batch.
        flops: operations.
        bytes_accessed: bytes from and to memory.
        peak_bytes: memory taken, weights and slots included.
        all_reduce_bytes: bytes of the gradients that chips add up.
        origin: where the figures are from.
        accelerator: what it is compiled for; empty: counted, for any.
        num_chips: how many it is compiled for: one exchanges nothing; 0: counted.
    """

    num_examples: int
    flops: float
    bytes_accessed: float
    peak_bytes: float
    all_reduce_bytes: float
    origin: str
    accelerator: str = ""
    num_chips: int = 0

    def fits(self, chips: Slice, batch_size: int) -> bool:
        """Whether it is a program of such chips for their parts of such a batch."""
        is_kind = self.accelerator in ("", chips.accelerator.name)
        exchanges = not self.num_chips or (self.num_chips > 1) == (chips.num_chips > 1)
        examples = math.ceil(batch_size / chips.num_chips)
        return is_kind and exchanges and self.num_examples == examples

    @classmethod
    def counted(cls, workload: Workload, num_examples: int) -> DenseProgram:
        """The program as far as matrix products and the optimizer tell.

        Of an example, a layer of n inputs and m outputs takes 6 n m operations
        (forward, and two products of gradients) and moves 3 (n + m) numbers, all
        between the products being fused into them; of a weight 6 + 2 slots numbers
        are moved: read twice, its gradient written and read, weight and slots read and
        written. In memory are weights, slots and gradients; and each layer's outputs,
        the first inputs, and the gradients of both. A compiler may do better
        (keep on the chip) or, more often, worse.
        """
        weights = workload.num_weights
        products = sum(inputs * outputs for inputs, outputs in workload.layers)
        moved = sum(inputs + outputs for inputs, outputs in workload.layers)
        kept = workload.input_width + sum(outputs for _, outputs in workload.layers)
        number = workload.compute_bytes
        return cls(
            num_examples=num_examples,
            flops=num_examples * (6 * products + 3 * workload.product_flops),
            bytes_accessed=num_examples * 3 * moved * number
            + weights * (6 + 2 * workload.slots) * NUMBER_BYTES,
            peak_bytes=num_examples * 2 * kept * number
            + weights * (2 + workload.slots) * NUMBER_BYTES,
            all_reduce_bytes=weights * NUMBER_BYTES,
            origin="counted",
        )


def load_program(path: str | os.PathLike[str]) -> DenseProgram:
    """The compiled program that `scripts/tpu_preflight.py --json` prints.

    Raises:
        ValueError: another content.
    """
    return load_json(path, functools.partial(_program, name=Path(path).name))


def _program(values: Mapping[str, Any], name: str) -> DenseProgram:
    try:
        return DenseProgram(
            num_examples=int(values["batch_size"]),
            flops=float(values["flops"]),
            bytes_accessed=float(values["bytes_accessed"]),
            peak_bytes=float(values["peak_bytes"]),
            all_reduce_bytes=float(values["all_reduce_bytes"]),
            origin=f"{name}, compiled for {values['num_chips']} chips of "
            f"{values['topology']}",
            accelerator=str(values["topology"]).partition(":")[0],
            num_chips=int(values["num_chips"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "expected a program's topology, num_chips, batch_size, flops, "
            "bytes_accessed, peak_bytes and all_reduce_bytes, received "
            f"{type(error).__name__} {error}."
        ) from None
