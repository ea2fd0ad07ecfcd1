"""Row files to blocks: counted, converted, and gone on with where it stopped."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .bad_rows import BadRows
from .batching import check_positive, followed
from .block_writer import BlockWriter
from .dataclass_json import from_json_values, load_json
from .files import Paths, expand_files, remove_leftovers, replacing
from .formats import complete_schema_from, read_rows, row_errors
from .manifest import MANIFEST, Manifest, read_manifest
from .schema import Schema

Progress = Callable[[int], None]
"""Called now and then with the rows that are done."""

_JOB = "conversion.json"


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What a conversion leaves.

    See `convert`.

    Attributes:
        manifest: of the blocks.
        num_bad_rows: rows passed over.
    """

    manifest: Manifest
    num_bad_rows: int


@dataclasses.dataclass(frozen=True)
class Job:
    """What a conversion is asked to do; kept beside the blocks.

    Attributes:
        files: their paths, as they were given.
        sizes: their bytes: files that have grown or shrunk are others.
        schema: as it was given, as JSON.
        rows_per_block: rows of a block.
        blocks_per_shard: blocks of a shard.
        max_bad_rows: how many rows may be passed over.
        complete: the complete schema, as JSON; empty as long as it is not.
        num_bad_rows: rows passed over; -1 as long as the conversion has not ended.
    """

    files: tuple[str, ...]
    sizes: tuple[int, ...]
    schema: str
    rows_per_block: int
    blocks_per_shard: int
    max_bad_rows: int
    complete: str = ""
    num_bad_rows: int = -1


def convert(
    files: Paths,
    schema: Schema,
    folder: str | os.PathLike[str],
    *,
    rows_per_block: int = 4096,
    blocks_per_shard: int = 256,
    max_bad_rows: int = 0,
    counting: Progress | None = None,
    progress: Progress | None = None,
) -> ConversionReport:
    """Converts row files to a data set of blocks, in the order of files and rows.

    A schema that is not complete takes two passes over the rows. A
    conversion that was stopped, by whatever, goes on when called with the same
    arguments: what it has counted and the shards it has finished are kept, and the
    blocks are those of one that was not stopped, byte for byte. One that has ended
    returns at once.

    Args:
        files: paths or glob patterns of text, TFRecord files of `tf.train.Example`s or
            Parquet, as `read_rows` takes them.
        schema: the schema of the rows.
        folder: where the blocks go; a new folder, or one of the same conversion.
        rows_per_block: rows of a block: the batch size that is fastest to read.
        blocks_per_shard: blocks of a shard; what is lost at most when it is stopped.
        max_bad_rows: how many rows that do not parse are passed over; they are written
            to `rejects.txt` in the folder.
        counting: see `Progress`: of the pass that completes the schema.
        progress: of the pass that converts.

    Returns:
        The manifest, and how many rows were passed over.

    Raises:
        ValueError: a missing or empty file, a setting that cannot be, a row that does
            not parse (`BadRowError`), or a folder of another conversion; says in what
            it differs.
        OSError: no space, or no right to read or write.

    Examples:
        >>> report = convert("clicks/day_[0-5].tsv", CRITEO, "converted")
        >>> report.manifest.num_rows, report.num_bad_rows
        (6000, 0)
        >>> report.manifest == read_manifest("blocks")
        True
    """
    paths = expand_files(files)
    folder = Path(folder)
    job = begun_job(
        folder, paths, schema, rows_per_block, blocks_per_shard, max_bad_rows
    )
    if (folder / MANIFEST).exists() and job.num_bad_rows >= 0:
        return ConversionReport(read_manifest(folder), job.num_bad_rows)
    with row_errors(paths):
        if not job.complete:
            complete = complete_schema_from(paths, schema, max_bad_rows, counting)
            job = dataclasses.replace(job, complete=complete.to_json())
            save_job(folder, job)
        return _converted(folder, job, progress or (lambda rows: None))


def begun_job(
    folder: Path,
    paths: Sequence[str],
    schema: Schema,
    rows_per_block: int,
    blocks_per_shard: int,
    max_bad_rows: int,
) -> Job:
    """The job as far as it has come in a folder, if it is this one.

    Raises:
        ValueError: a setting that cannot be, or a folder of something else.
    """
    # Before anything is counted or kept, for which a corrected call would be refused.
    check_positive("rows_per_block", rows_per_block)
    check_positive("blocks_per_shard", blocks_per_shard)
    BadRows(max_bad_rows)  # raises where it is negative
    job = Job(
        files=tuple(paths),
        sizes=tuple(os.path.getsize(path) for path in paths),
        schema=schema.to_json(),
        rows_per_block=rows_per_block,
        blocks_per_shard=blocks_per_shard,
        max_bad_rows=max_bad_rows,
    )
    path = folder / _JOB
    if folder.is_dir():
        remove_leftovers(folder)
    if not path.exists():
        if folder.is_dir() and not _is_unused(folder):
            raise ValueError(
                f"{folder}: expected a new folder, or one of a conversion, "
                "received one that holds other files."
            )
        return job
    found = load_json(path, lambda values: from_json_values(Job, values, "conversion"))
    for field in dataclasses.fields(Job):
        ours, theirs = getattr(job, field.name), getattr(found, field.name)
        if field.name not in ("complete", "num_bad_rows") and ours != theirs:
            shown = f" ({ours!r}, not {theirs!r})" if isinstance(ours, int) else ""
            raise ValueError(
                f"{folder}: expected a folder of this conversion, received one of "
                f"another, which differs in {field.name}{shown}; choose another."
            )
    return found


def _is_unused(folder: Path) -> bool:
    """Whether a folder is empty but for what one killed at its start leaves."""
    return all(path.match(f".{_JOB}.*.partial") for path in folder.iterdir())


def _converted(folder: Path, job: Job, progress: Progress) -> ConversionReport:
    schema = Schema.from_json(job.complete)
    size = job.rows_per_block
    bad_rows = BadRows(job.max_bad_rows, folder / "rejects.txt")
    batches = read_rows(job.files, schema, size, bad_rows=bad_rows)
    if (folder / MANIFEST).exists():  # stopped between the manifest and its own end
        manifest = read_manifest(folder)
        for _ in batches:  # counts the bad rows once more
            pass
    else:
        writer = BlockWriter(
            folder,
            schema,
            rows_per_block=size,
            blocks_per_shard=job.blocks_per_shard,
            resume=True,
        )
        done = writer.num_rows
        rest = batches.skip(done // size)
        manifest = writer.write(
            followed(rest, lambda batch: len(batch.label), progress, done)
        )
    save_job(folder, dataclasses.replace(job, num_bad_rows=bad_rows.count))
    return ConversionReport(manifest, bad_rows.count)


def save_job(folder: Path, job: Job) -> None:
    """Writes down how far a job has come."""
    with replacing(folder / _JOB) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(job), indent=1) + "\n")
