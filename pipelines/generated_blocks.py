"""Generated rows straight to blocks, without text files between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from .bad_rows import BadRows
from .batching import batched, followed
from .block_writer import write_blocks
from .completion import complete_schema
from .generated_days import GeneratedDays, GeneratorReport
from .presets import CRITEO
from .schema import Schema
from .text import parse_chunks
from .transform import to_batch

TRAIN, TEST = "train", "test"


def generate_blocks(
    output_dir: str | os.PathLike[str],
    schema: Schema = CRITEO,
    num_rows: int = 400_000,
    seed: int = 0,
    num_days: int = 7,
    *,
    rows_per_block: int = 4096,
    blocks_per_shard: int = 256,
    progress: Callable[[int], None] | None = None,
) -> GeneratorReport:
    """Writes the rows of `generate` as blocks: those of its text, converted.

    `train` holds all days but the last, `test` the last one, `truth.json` what
    `generate` writes there. A schema that is not complete is completed on the days of
    `train`, which are generated twice for it. Memory does not grow with `num_rows`.

    Args:
        output_dir: the folder, made if absent; neither of the two may be in it.
        schema: a schema of Criteo's columns.
        num_rows: rows over all days.
        seed: the seed of the rows.
        num_days: at least two.
        rows_per_block: rows of a block.
        blocks_per_shard: blocks of a shard.
        progress: called now and then with the number of rows written so far.

    Returns:
        The paths of the two folders, `train` and `test`, and the figures.

    Raises:
        ValueError: as `generate` and `write_blocks`, or fewer than two days.
        OSError: no space, or no right to write.

    Examples:
        >>> report = generate_blocks("generated", num_rows=2_000, num_days=4)
        >>> [read_manifest(path).num_rows for path in report.paths]
        [1500, 500]
    """
    if num_days < 2:
        raise ValueError(f"num_days: expected at least 2, received {num_days}.")
    days = GeneratedDays(num_rows, seed, num_days)
    folder = Path(output_dir)
    parts = {TRAIN: range(num_days - 1), TEST: range(num_days - 1, num_days)}
    raw = _read(days, parts[TRAIN], schema, lambda raw: raw)
    schema = complete_schema(schema, raw.as_numpy_iterator())
    done = 0
    for name, numbers in parts.items():
        rows = _read(days, numbers, schema, to_batch(schema))
        batches = batched(rows, rows_per_block)
        manifest = write_blocks(
            followed(batches, lambda batch: len(batch.label), progress, done),
            schema,
            folder / name,
            rows_per_block=rows_per_block,
            blocks_per_shard=blocks_per_shard,
        )
        done += manifest.num_rows
    return days.report(folder, [folder / name for name in parts])


def _read(
    days: GeneratedDays,
    numbers: Sequence[int],
    schema: Schema,
    then: Callable[[dict[str, tf.Tensor]], Any],
) -> tf.data.Dataset:
    """What the text reader makes of the text of days."""

    def chunks() -> Iterator[tuple[str, int, bytes]]:
        for day in numbers:
            first = 1
            for rows in days.rows(day):
                yield f"day_{day}", first, rows.to_text()
                first += len(rows)

    return parse_chunks(chunks, schema, BadRows(), then)
