"""Row files to blocks on many machines: the conversion as two Apache Beam pipelines.

A file is the unit of work. The first pipeline counts the rows of each and what the
schema lacks: then the number of every row in the data set is known. The second sends
packed rows to their shards. What is too large for Beam's own messages (schemas, counts,
the last rows) passes through a hidden folder beside the blocks.
"""

from __future__ import annotations

import dataclasses
import operator
import os
import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from .bad_rows import BadRowError, BadRows
from .block_format import encode, pack
from .block_layout import row_dtype
from .block_writer import BlockWriter
from .completion import SchemaTally
from .conversion import ConversionReport, Job, begun_job, save_job
from .extras import importing
from .files import Paths, expand_files, replacing, writing
from .formats import format_of, read_raw, read_rows, row_errors
from .manifest import MANIFEST, empty_manifest, read_manifest, shard_name
from .schema import Schema

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_WORK = ".beam"  # the hidden folder, and the names in it
_SCHEMA, _FILES, _COUNTS, _LAST = "schema.json", "files", "counts", "last"

# The number of the first row, and packed rows; a batch where no worker can write them.
_Part = tuple[int, Any]


def convert_with_beam(
    files: Paths,
    schema: Schema,
    folder: str | os.PathLike[str],
    *,
    rows_per_block: int = 4096,
    blocks_per_shard: int = 256,
    max_bad_rows: int = 0,
    options: PipelineOptions | None = None,
) -> ConversionReport:
    """Converts row files as `convert` does, byte for byte, on many machines.

    Files and folder must be visible to all workers under the same paths, and smelu-tf
    installed on each. At most as many workers are busy as there are files; one holds a
    shard's rows in memory, twice. A conversion that failed may be called again, and
    begins anew but for a schema that was completed; one that has ended returns at once.

    Args:
        files, schema, folder, rows_per_block, blocks_per_shard: as in `convert`.
        max_bad_rows: how many rows that do not parse are passed over, in all files
            together; file i's, from 0, are written to `rejects-<i>.txt` in the folder.
        options: which runner, and its settings; by default one in this process, which
            holds all packed rows in memory.

    Returns:
        The manifest, and how many rows were passed over.

    Raises:
        ValueError: as `convert`; the first file that has a fault is named.
        OSError: no space, or no right to read or write. Other runners give an error of
            Beam's that quotes the worker's.
        ImportError: apache-beam is not installed; names the command that installs it.

    Examples:
        >>> from apache_beam.options.pipeline_options import PipelineOptions
        >>> options = PipelineOptions(["--runner=FnApiRunner"])  # or FlinkRunner, …
        >>> schema = read_manifest("blocks").schema
        >>> report = convert_with_beam(
        ...     "clicks/day_6.tsv", schema, "last_day", options=options
        ... )
        >>> report.manifest.num_rows, report.num_bad_rows
        (1000, 0)
    """
    with importing(folder, "apache-beam", "beam", "to convert with Beam"):
        import apache_beam  # noqa: F401
    paths, folder = expand_files(files), Path(folder)
    format_of(paths)
    work = folder / _WORK
    shutil.rmtree(work, ignore_errors=True)  # of one that was killed
    job = begun_job(
        folder, paths, schema, rows_per_block, blocks_per_shard, max_bad_rows
    )
    if (folder / MANIFEST).exists() and job.num_bad_rows >= 0:
        return ConversionReport(read_manifest(folder), job.num_bad_rows)
    work.mkdir(parents=True)
    try:
        return _converted(folder, job, options)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _converted(
    folder: Path, job: Job, options: PipelineOptions | None
) -> ConversionReport:
    """Runs both pipelines, then writes the last rows and the manifest."""
    import apache_beam as beam

    schema, borders, num_bad_rows = _counted(folder / _WORK, job, options)
    job = dataclasses.replace(job, complete=schema.to_json())
    save_job(folder, job)
    manifest = empty_manifest(schema, job.rows_per_block, job.blocks_per_shard)
    manifest = dataclasses.replace(manifest, num_rows=borders[-1])
    (folder / _WORK / MANIFEST).write_bytes(manifest.to_json())

    def write_shards(sources: Any) -> None:
        parts = sources | beam.FlatMap(_parts, folder, job.max_bad_rows)
        _ = parts | beam.GroupByKey() | beam.Map(_write_shard, folder)

    numbers = range(len(job.files))
    sources = zip(numbers, job.files, borders[:-1], borders[1:], strict=True)
    _run(options, list(sources), write_shards)
    (folder / MANIFEST).unlink(missing_ok=True)  # of one killed at its very end
    writer = BlockWriter(
        folder,
        schema,
        rows_per_block=job.rows_per_block,
        blocks_per_shard=job.blocks_per_shard,
        resume=True,
    )
    num_left = manifest.num_rows % manifest.rows_per_shard
    if writer.num_rows + num_left != manifest.num_rows:
        raise ValueError(
            f"{folder}: expected whole shards of {manifest.num_rows - num_left} rows "
            f"from the workers, received {writer.num_rows}."
        )
    last = pickle.loads((folder / _WORK / _LAST).read_bytes()) if num_left else []
    manifest = writer.write(last)
    save_job(folder, dataclasses.replace(job, num_bad_rows=num_bad_rows))
    return ConversionReport(manifest, num_bad_rows)


def _run(
    options: PipelineOptions | None,
    sources: Iterable[Any],
    steps: Callable[[Any], None],
) -> None:
    """Runs a pipeline on sources, each of which may go to another worker."""
    import apache_beam as beam

    # Beam's own default would first look for a runner to download.
    runner = "FnApiRunner" if options is None else None
    with beam.Pipeline(runner, options) as pipeline:
        steps(pipeline | beam.Create(sources) | beam.Reshuffle())


def _counted(
    work: Path, job: Job, options: PipelineOptions | None
) -> tuple[Schema, list[int], int]:
    """The complete schema, the borders between the files' rows, and the bad rows."""
    import apache_beam as beam

    schema = Schema.from_json(job.complete or job.schema)
    (work / _SCHEMA).write_text(schema.to_json())
    least = {c.name: c.min_count for c in schema.text_columns if not c.is_complete}

    def count(sources: Any) -> None:
        counting = beam.FlatMap(_count, work, job.max_bad_rows)
        found = sources | counting.with_outputs(_COUNTS, main=_FILES)
        sums = found[_COUNTS] | beam.CombinePerKey(sum)
        # Most values are rare; the others are what a machine has to hold anyway.
        frequent = sums | beam.Filter(lambda item: item[1] >= least[item[0][0]])
        for name, values in ((_FILES, found[_FILES]), (_COUNTS, frequent)):
            listed = values | f"list {name}" >> beam.combiners.ToList()
            _ = listed | f"keep {name}" >> beam.Map(_keep, work / name)

    _run(options, list(enumerate(job.files)), count)
    tally, borders, num_bad_rows = SchemaTally(schema), [0], 0
    results = sorted(pickle.loads((work / _FILES).read_bytes()))
    for path, (_, result) in zip(job.files, results, strict=True):
        if isinstance(result, ValueError):
            raise result
        num_rows, num_bad, moments = result
        borders.append(borders[-1] + num_rows)
        num_bad_rows += num_bad
        if num_bad_rows > job.max_bad_rows:
            raise BadRowError(
                f"{path}: expected at most {job.max_bad_rows} bad rows up to the end "
                f"of this file, received {num_bad_rows}."
            )
        tally.moments.merge(moments)
    for (name, value), count in pickle.loads((work / _COUNTS).read_bytes()):
        tally.counter.add(name, {value: count})
    return tally.completed(), borders, num_bad_rows


def _count(source: tuple[int, str], work: Path, max_bad_rows: int) -> Iterator[Any]:
    """Counts a file; a fault in it is a result, since no retry would mend it."""
    from apache_beam.pvalue import TaggedOutput

    number, path = source
    schema = Schema.load(work / _SCHEMA)
    bad_rows = BadRows(max_bad_rows, quote=False)
    tally, num_rows = SchemaTally(schema), 0
    try:
        with row_errors([path]):
            chunks = read_raw([path], schema, bad_rows=bad_rows).prefetch(2)
            for chunk in chunks.as_numpy_iterator():
                tally.add(chunk)
                num_rows += len(chunk[schema.label.name])
    except ValueError as error:
        yield number, error
        return
    yield number, (num_rows, bad_rows.count, tally.moments)
    for name in tally.counter.names:
        for value, count in tally.counter.counts(name):
            yield TaggedOutput(_COUNTS, ((name, value), count))


def _keep(values: list[Any], path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(pickle.dumps(values))


def _parts(
    source: tuple[int, str, int, int], folder: Path, max_bad_rows: int
) -> Iterator[tuple[int, _Part]]:
    """The rows of a file, each part with the number of its shard."""
    number, path, first, end = source
    manifest = read_manifest(folder / _WORK)
    size, batch_size = manifest.rows_per_shard, manifest.rows_per_block
    bad_rows = BadRows(max_bad_rows, folder / f"rejects-{number}.txt")
    batches = read_rows([path], manifest.schema, batch_size, bad_rows=bad_rows)
    for batch in batches.as_numpy_iterator():
        rows, done = pack(batch, manifest), 0
        while done < len(rows):
            shard, place = divmod(first, size)
            part = slice(done, done + size - place)
            if shard < manifest.num_rows // size:
                yield shard, (first, rows[part].tobytes())
            else:
                last = tf.nest.map_structure(operator.itemgetter(part), batch)
                yield shard, (first, last)
            first += len(rows[part])
            done += len(rows[part])
    if first != end:
        raise ValueError(
            f"{path}: expected rows up to number {end}, as counted before, received "
            f"rows up to {first}."
        )


def _write_shard(shard: tuple[int, Iterable[_Part]], folder: Path) -> None:
    """Writes a full shard; keeps the rows of the last one, if that is not full."""
    number, parts = shard[0], [part for _, part in sorted(shard[1])]
    manifest = read_manifest(folder / _WORK)
    if number == manifest.num_rows // manifest.rows_per_shard:
        _keep(parts, folder / _WORK / _LAST)
        return
    dtype, size = row_dtype(manifest.layout), manifest.rows_per_block
    rows = np.concatenate([np.frombuffer(part, dtype) for part in parts])
    path, first = folder / shard_name(number), number * manifest.blocks_per_shard
    with replacing(path) as temporary, writing(path):
        with tf.io.TFRecordWriter(os.fspath(temporary)) as file:
            for i, begin in enumerate(range(0, len(rows), size)):
                file.write(encode(rows[begin : begin + size], first + i, manifest))
            file.flush()
