"""What a TPU cannot do, found before anything is sent to one."""

from __future__ import annotations

import math

from smelu_tf.pipelines import Schema

from .config import TrainConfig
from .table_devices import table_bytes
from .tables import large_tables
from .tpu_chips import TPUChip
from .update_rules import NUM_SLOTS

_SPARSE_CORE_WIDTH = 8  # numbers: rows are padded to a multiple


def check_tpu(
    config: TrainConfig,
    schema: Schema,
    num_replicas: int,
    chip: TPUChip | None = None,
    *,
    has_embedding_hardware: bool = True,
    compare_to: str = "",
    warm_start: str = "",
) -> None:
    """Raises a ValueError where a configuration cannot be trained on a TPU.

    A TPU runs one program of static shapes, and its embedding hardware updates tables
    by rules of its own.

    Args:
        config: the configuration.
        schema: a complete schema.
        num_replicas: of the TPU's strategy.
        chip: what its chips are, if it is known.
        has_embedding_hardware: whether they can divide tables among them.
        compare_to: a model whose predictions are to be compared with.
        warm_start: a model whose weights are to be begun with.
    """
    size = config.data.batch_size
    tables = large_tables(schema, config.model)
    if size % num_replicas:
        raise ValueError(
            f"data.batch_size: expected a multiple of {num_replicas}, the TPU's "
            f"replicas, received {size}."
        )
    if tables and not has_embedding_hardware:
        raise ValueError(
            "model.tables: expected stacked on a TPU without embedding hardware, where "
            "each chip would have all tables in any case, received tpu."
        )
    cores = chip.num_sparse_cores if chip is not None else 0
    if tables and cores and size // num_replicas % cores:
        raise ValueError(
            f"data.batch_size: expected a multiple of {num_replicas * cores} (the "
            f"{cores} SparseCores of each of {num_replicas} replicas), received {size}."
        )
    if config.data.negative_rate < 1:
        raise ValueError(
            "data.negative_rate: expected 1 on a TPU, whose program has static shapes "
            f"(sampled batches are of all sizes), received {config.data.negative_rate}."
        )
    if config.loss.teachers:
        raise ValueError(
            "loss.teachers: expected none on a TPU, whose program would have to hold "
            f"their tables besides, received {', '.join(config.loss.teachers)}."
        )
    if compare_to:
        raise ValueError(
            "compare_to: expected none on a TPU, whose program would have to hold the "
            f"other model's tables besides, received {compare_to}; compare with it "
            "afterwards, in an evaluation."
        )
    if tables and warm_start:
        raise ValueError(
            "warm_start: expected none where a TPU looks up "
            f"{tables[0].column} (model.tables=tpu), whose embedding hardware takes "
            f"rows from checkpoints alone, received {warm_start}; begin on a CPU, and "
            "go on with that model_dir."
        )
    if tables:
        _check_embedding_hardware(config, tables[0].column)
    if chip is not None:
        _check_memory(config, schema, num_replicas, chip)


def _check_embedding_hardware(config: TrainConfig, column: str) -> None:
    """Raises a ValueError for what the rules of the embedding hardware cannot do."""
    for name, value, reason in (
        (
            "optimizer.clip_norm",
            config.optimizer.clip_norm,
            "its gradients do not leave the embedding hardware",
        ),
        (
            "optimizer.averaging",
            config.optimizer.averaging,
            "the embedding hardware keeps no averages",
        ),
        (
            "model.unknown_rate",
            config.model.unknown_rate,
            "its ids are looked up before the program runs",
        ),
    ):
        if value:
            raise ValueError(
                f"{name}: expected 0 where a TPU looks up {column} (model.tables=tpu): "
                f"{reason}; received {value}."
            )


def large_table_bytes(config: TrainConfig, schema: Schema, num_chips: int) -> int:
    """What large tables take of each chip's memory, with what the optimizer keeps.

    They are divided among the chips; rows are padded to a multiple of 8 numbers, as
    SparseCores have them.

    Args:
        config: the configuration.
        schema: a complete schema.
        num_chips: how many.

    Returns:
        Bytes a chip.
    """
    slots = {"wide": NUM_SLOTS["ftrl"], "deep": NUM_SLOTS[config.optimizer.name]}
    return 4 * sum(
        math.ceil(table.num_ids / num_chips)
        * math.ceil(table.dim / _SPARSE_CORE_WIDTH)
        * _SPARSE_CORE_WIDTH
        * (1 + slots[table.part])
        for table in large_tables(schema, config.model)
    )


def _check_memory(
    config: TrainConfig, schema: Schema, num_chips: int, chip: TPUChip
) -> None:
    """Raises a ValueError where the tables alone do not fit into the memory."""
    large = large_table_bytes(config, schema, num_chips)
    stacked = table_bytes(schema, config)
    if large + stacked <= chip.hbm_bytes:
        return
    remedy = "more chips, fewer ids (data.schema), or a smaller model.embedding_dim"
    if config.model.tables == "stacked":
        remedy = "model.tables=tpu divides large ones among the chips"
    raise ValueError(
        f"tables: expected at most {_gigabytes(chip.hbm_bytes)} on each of {num_chips} "
        f"{chip.name} chips, received {_gigabytes(large + stacked)} "
        f"({_gigabytes(stacked)} of them in stacked tables, which are whole on each "
        f"chip); {remedy}."
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
