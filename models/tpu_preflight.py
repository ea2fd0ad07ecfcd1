"""Whether a training fits a TPU, and what its step costs there, found without a TPU."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from smelu_tf.pipelines import Schema

from .config import TrainConfig
from .tpu_checks import check_tpu, large_table_bytes
from .tpu_chips import CHIPS
from .tpu_compiler import CompiledProgram, compile_for_tpu, num_chips
from .tpu_errors import TPUMemoryError
from .tpu_program import SCOPE, training_program

MIN_BATCH, MAX_BATCH = 1 << 7, 1 << 17
"""The rows a chip that `largest_batch` looks between: beyond, compiling takes long."""


@dataclasses.dataclass(frozen=True)
class Preflight:
    """A training step, compiled for chips that share its batch.

    Attributes:
        activation: of the deep part's hidden layers.
        batch_size: rows a chip.
        program: what the compiler says of it.
        table_bytes: of a chip's memory, what large tables take besides, with what the
            optimizer keeps of them.
        hbm_bytes: a chip's memory; None for chips that are not known here.
    """

    activation: str
    batch_size: int
    program: CompiledProgram
    table_bytes: int
    hbm_bytes: int | None

    def figures(self) -> dict[str, Any]:
        """The figures by name, ready for JSON."""
        program = dataclasses.asdict(self.program)
        reduces = program.pop("all_reduces")
        fusions = program.pop("fusions")
        return {
            **program,
            "peak_bytes": self.program.peak_bytes,
            "num_all_reduces": reduces["count"],
            "all_reduce_bytes": reduces["num_bytes"],
            "activation": self.activation,
            "batch_size": self.batch_size,
            "table_bytes": self.table_bytes,
            "hbm_bytes": self.hbm_bytes,
            "activation_fusions": fusions,
        }


def preflight(
    config: TrainConfig,
    schema: Schema,
    topology: str,
    *,
    chips: int = 0,
    batch_size: int = 0,
) -> Preflight:
    """Compiles the training step of a configuration.

    Args:
        config: the configuration.
        schema: a complete schema.
        topology: as `compile_for_tpu` takes it.
        chips: how many of it share the batch; 0: all.
        batch_size: rows a chip; 0: `data.batch_size` divided among them.

    Raises:
        TPUCompilerError: the compiler refuses the program; its kind `TPUMemoryError`:
            it does not fit into a chip's memory, or not beside the large tables.
        ValueError: an unknown topology, or a configuration that no TPU can train.
        ImportError: as `compile_for_tpu`.
    """
    chips = chips or num_chips(topology)
    rows = batch_size * chips or config.data.batch_size
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, batch_size=rows)
    )
    config.validate()
    chip = CHIPS.get(topology.partition(":")[0])
    divides_tables = chip is None or chip.num_sparse_cores > 0
    check_tpu(config, schema, chips, chip, has_embedding_hardware=divides_tables)
    step = training_program(config, schema, rows)
    program = compile_for_tpu(
        step.function, step.specs, topology, num_chips=chips, scope=SCOPE
    )
    result = Preflight(
        config.model.activation,
        rows // chips,
        program,
        large_table_bytes(config, schema, chips),
        None if chip is None else chip.hbm_bytes,
    )
    needed = program.peak_bytes + result.table_bytes
    if result.hbm_bytes is not None and needed > result.hbm_bytes:
        raise TPUMemoryError(
            f"{topology}: expected at most {result.hbm_bytes / 1e9:.0f} GB, a chip's "
            f"memory, received {needed / 1e9:.2f} GB: {program.peak_bytes / 1e9:.2f} "
            f"GB of the program and {result.table_bytes / 1e9:.2f} GB of tables."
        )
    return result


def largest_batch(
    config: TrainConfig, schema: Schema, topology: str, *, chips: int = 0
) -> Preflight:
    """The step with the most rows a chip, a power of two, that its memory has room for.

    It is found by compiling: one program if 131,072 rows fit, else about five.

    Args:
        config: the configuration.
        schema: a complete schema.
        topology: as `compile_for_tpu` takes it.
        chips: how many of it share the batch; 0: all.

    Raises:
        TPUMemoryError: not even 128 rows fit.
        TPUCompilerError, ValueError, ImportError: as `preflight`.
    """

    def compiled(size: int) -> Preflight:
        return preflight(config, schema, topology, chips=chips, batch_size=size)

    with contextlib.suppress(TPUMemoryError):
        return compiled(MAX_BATCH)
    found = compiled(MIN_BATCH)
    fits, fails = MIN_BATCH.bit_length() - 1, MAX_BATCH.bit_length() - 1
    while fails - fits > 1:
        middle = (fits + fails) // 2
        try:
            found = compiled(1 << middle)
            fits = middle
        except TPUMemoryError:
            fails = middle
    return found


def with_activation(config: TrainConfig, activation: str) -> TrainConfig:
    """The configuration with another activation in all hidden layers."""
    model = dataclasses.replace(
        config.model, activation=activation, trainable_parameters=()
    )
    return dataclasses.replace(config, model=model)
