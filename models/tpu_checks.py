"""What a TPU cannot do, found before anything is sent to one."""

from __future__ import annotations

import math

from smelu_tf.pipelines import Schema

from .config import TrainConfig
from .tables import embedding_dims, large_columns, large_tables
from .tpu_chips import TPUChip

_SPARSE_CORE_WIDTH = 8  # numbers: rows are padded to a multiple


def check_tpu(
    config: TrainConfig,
    schema: Schema,
    num_replicas: int,
    chip: TPUChip | None = None,
    *,
    compares: bool = False,
) -> None:
    """Raises a ValueError where a configuration cannot be trained on a TPU.

    A TPU runs one program of static shapes, and its embedding hardware updates tables
    by rules of its own.

    Args:
        config: the configuration.
        schema: a complete schema.
        num_replicas: of the TPU's strategy.
        chip: what its chips are, if it is known.
        compares: whether predictions are to be compared with another model's.
    """
    size = config.data.batch_size
    tables = large_tables(schema, config.model)
    if size % num_replicas:
        raise ValueError(
            f"data.batch_size: expected a multiple of {num_replicas}, the TPU's "
            f"replicas, received {size}."
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
    if compares:
        raise ValueError(
            "compare_to: expected none on a TPU, whose program would have to hold the "
            "other model's tables besides; evaluate with it afterwards."
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
    slots = {"wide": 2, "deep": {"adam": 2, "adagrad": 1}[config.optimizer.name]}
    return 4 * sum(
        math.ceil(table.num_ids / num_chips)
        * math.ceil(table.dim / _SPARSE_CORE_WIDTH)
        * _SPARSE_CORE_WIDTH
        * (1 + slots[table.part])
        for table in large_tables(schema, config.model)
    )


def stacked_table_bytes(config: TrainConfig, schema: Schema) -> int:
    """What stacked tables take of each device's memory, with what the optimizer keeps.

    They are whole on each. The wide part's crosses are not counted.

    Args:
        config: the configuration.
        schema: a complete schema.

    Returns:
        Bytes a device, without padding.
    """
    model = config.model
    large = large_columns(schema, model)
    num_ids = dict(zip(schema.id_columns, schema.num_ids, strict=True))
    num_ids |= {column.name: column.num_ids for column in schema.multivalued}
    slots = {"adam": 2, "adagrad": 1}[config.optimizer.name]
    return 4 * sum(
        num_ids[column] * (dim * (1 + slots) * model.deep + 3 * model.wide)
        for column, dim in embedding_dims(schema, model).items()
        if column not in large
    )


def _check_memory(
    config: TrainConfig, schema: Schema, num_chips: int, chip: TPUChip
) -> None:
    """Raises a ValueError where the tables alone do not fit into the memory."""
    large = large_table_bytes(config, schema, num_chips)
    stacked = stacked_table_bytes(config, schema)
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
