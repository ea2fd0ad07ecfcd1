"""Whether a model's tables fit into a GPU's memory, and where they go if not."""

from __future__ import annotations

import subprocess

import tensorflow as tf

from smelu_tf.pipelines import Schema

from .config import TrainConfig
from .deep import Deep
from .embeddings import StackedEmbedding
from .update_rules import NUM_SLOTS
from .wide import Wide

TABLE_DEVICES = ("auto", "gpu", "host")
"""The names that `resolve_table_device` takes."""

HOST = "/CPU:0"

_NUMBER_BYTES = 4  # of a float32, and of the number of a step
_NVIDIA_SMI_SECONDS = 10  # after which it is not waited for


def resolve_table_device(
    choice: str, schema: Schema, config: TrainConfig, strategy: str
) -> str:
    """The device that `placement.tables_on` is to have.

    Host memory with `host`, and with `auto` where tables and what the optimizer keeps
    of their rows take more than half of the memory of the smallest GPU. Replicas have
    copies of all variables, each on its own device, so theirs are always on the GPUs.

    Args:
        choice: one of `TABLE_DEVICES`.
        schema: the columns, their vocabularies counted.
        config: the configuration.
        strategy: one of `STRATEGIES` but `auto`.

    Raises:
        ValueError: an unknown choice, or one that the strategy has not; or replicas
            whose tables alone are larger than the memory of a GPU.
    """
    if choice not in TABLE_DEVICES:
        raise ValueError(
            f"table_device: expected one of {', '.join(TABLE_DEVICES)}, received "
            f"{choice!r}."
        )
    if strategy in ("parameter_server", "tpu"):
        if choice != "auto":
            raise ValueError(
                f"table_device: expected auto with strategy={strategy}, which has "
                f"places of its own for tables, received {choice}."
            )
        return ""
    has_replicas = strategy != "one_device"
    if choice == "host":
        if has_replicas:
            raise ValueError(
                f"table_device: expected auto or gpu with strategy={strategy}, whose "
                "replicas would each have a copy of the tables in host memory, "
                "received host; strategy=parameter_server has one copy of them, and "
                "so has strategy=one_device."
            )
        return HOST
    memory = smallest_gpu_bytes()
    if choice == "gpu" or memory is None:
        return ""
    size = table_bytes(schema, config)
    if has_replicas and size > memory:
        raise ValueError(
            f"table_device: expected tables that fit into a GPU ({memory >> 20} MiB) "
            f"with strategy={strategy}, received {size >> 20} MiB of tables and "
            "optimizer slots; use strategy=parameter_server, or strategy=one_device "
            "with table_device=host, or fewer or narrower rows."
        )
    return HOST if not has_replicas and size > memory // 2 else ""


def table_bytes(schema: Schema, config: TrainConfig) -> int:
    """Bytes of a model's stacked tables, and of what its optimizer keeps of their rows.

    Args:
        schema: the columns, their vocabularies counted.
        config: the configuration.
    """
    model, optimizer = config.model, config.optimizer
    parts: list[tuple[tf.Module, int]] = []
    if model.wide:
        parts.append((Wide.of(schema, model), NUM_SLOTS["ftrl"]))
    if model.deep:
        parts.append((Deep(schema, model), NUM_SLOTS[optimizer.name]))
    num_bytes = 0
    for part, num_slots in parts:
        for table in part.submodules:
            if isinstance(table, StackedEmbedding):
                numbers = table.dim * (1 + num_slots)
                if optimizer.averaging:
                    numbers += table.dim + 1
                num_bytes += table.num_rows * numbers * _NUMBER_BYTES
    return num_bytes * (model.towers if model.tower_tables == "separate" else 1)


def smallest_gpu_bytes() -> int | None:
    """The memory of this machine's smallest GPU; None: there is none, or none known.

    All of it, whatever is taken of it now, so that a run that goes on finds the same.
    TensorFlow does not tell; NVIDIA's driver does.
    """
    if not tf.config.list_physical_devices("GPU"):
        return None
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            query,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_NVIDIA_SMI_SECONDS,
            check=True,
        )
        mebibytes = [int(line) for line in done.stdout.split()]
    except (OSError, subprocess.SubprocessError, ValueError):  # "[N/A]", say
        return None
    return min(mebibytes) << 20 if mebibytes else None
