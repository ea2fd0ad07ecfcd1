"""Rows a second of every reader, of the conversion, and of what users have today."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.report import Result
from benchmarks.timing import interleaved_seconds
from command_line import aligned
from smelu_tf.pipelines import (
    CRITEO,
    Categorical,
    Schema,
    Shuffle,
    convert,
    generate,
    read_blocks,
    read_examples,
    read_parquet,
    read_text,
)
from smelu_tf.pipelines.generated_rows import GeneratedRows
from smelu_tf.pipelines.generator import generate_rows

BATCH = 4096
ROUNDS = 5
STEPS = 7  # what `measure` reports as done

# Slow readers get fewer of the rows, so that all take about as long.
_SHARES = {"make_csv_dataset": 20, "read_tfrecord": 20, "read_parquet": 4}

_COPIES = 4  # of the text's rows in the blocks: few are read before it has begun

_CONVERT = """
import json, sys, time
from benchmarks.input import hashed_schema
from smelu_tf.pipelines import convert
start = time.perf_counter()
report = convert(sys.argv[2:], hashed_schema(), sys.argv[1])
seconds = time.perf_counter() - start
# What `resource` says would hold the memory of the process that started this one.
with open("/proc/self/status") as lines:
    (memory,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
figures = {"rows": report.manifest.num_rows, "seconds": seconds, "kB": int(memory)}
print(json.dumps(figures))
"""


def hashed_schema() -> Schema:
    """Criteo's columns, hashed: what needs no pass over the rows before."""
    columns = tuple(
        Categorical(column.name, buckets=100_000, pattern=column.pattern)
        for column in CRITEO.categorical
    )
    return dataclasses.replace(CRITEO, categorical=columns)


def measure(
    folder: Path, num_rows: int, convert_passes: int, show: Callable[[int], None]
) -> list[Result]:
    """Writes generated rows in every format, and times reading and converting them.

    Args:
        folder: an empty folder for the data.
        num_rows: rows of the text file; the blocks hold them several times.
        convert_passes: how often the conversion that is timed reads the text file.
        show: is told how many of the `STEPS` are done.

    Returns:
        Rows a second of each reader and of the conversion; the latter's memory; and the
        seconds to the first batch at the data's beginning and at 95 % of it.
    """
    schema = hashed_schema()
    show(0)
    generate(folder, num_rows=num_rows, num_days=1)
    text = folder / "day_0.tsv"
    show(1)
    convert([text] * _COPIES, schema, folder / "blocks")
    show(2)
    sizes = {name: num_rows // share for name, share in _SHARES.items()}
    rows = {name: generate_rows(0, size, num_rows) for name, size in sizes.items()}
    csv, examples, parquet = (folder / f"rows.{n}" for n in ("tsv", "tfrecord", "pq"))
    csv.write_bytes(rows["make_csv_dataset"].to_text())
    _write_examples(examples, rows["read_tfrecord"])
    _write_parquet(parquet, rows["read_parquet"])
    show(3)
    blocks = folder / "blocks"
    # Made before they are timed: what that takes, `first_batch` says.
    batches: dict[str, tf.data.Dataset] = {
        "make_csv_dataset": _make_csv_dataset(csv),
        "read_text": read_text(text, schema, BATCH),
        "read_tfrecord": read_examples(examples, schema, BATCH),
        "read_parquet": read_parquet(parquet, schema, BATCH),
        "read_blocks": read_blocks(blocks, schema, BATCH),
        "read_blocks_shuffled": read_blocks(
            blocks, schema, BATCH, shuffle=Shuffle(seed=1)
        ),
    }
    block_rows = num_rows * _COPIES
    sizes |= dict.fromkeys(("read_blocks", "read_blocks_shuffled"), block_rows)
    calls = {name: functools.partial(_read, own) for name, own in batches.items()}
    times = interleaved_seconds(calls, seconds=0, rounds=ROUNDS)
    show(4)
    results = [
        Result(name, sizes.get(name, num_rows) / statistics.median(seconds), "rows/s")
        for name, seconds in times.items()
    ]
    pace = num_rows / sizes["make_csv_dataset"]
    ratios = [
        pace * csv_seconds / text_seconds
        for csv_seconds, text_seconds in zip(
            times["make_csv_dataset"], times["read_text"], strict=True
        )
    ]
    results.append(
        Result("read_text/make_csv_dataset", statistics.median(ratios), "ratio")
    )
    results += _first_batches(blocks, schema, block_rows)
    show(5)
    results += _conversion(folder / "converted", [str(text)] * convert_passes)
    show(STEPS)
    return results


def table(results: Sequence[Result]) -> str:
    """The figures, a line each."""
    shown = {
        "rows/s": "{:,.0f}",
        "rows": "{:,.0f}",
        "ratio": "{:.1f}",
        "s": "{:.2f}",
        "MB": "{:,.0f}",
    }
    rows = [[r.name, shown[r.unit].format(r.value), r.unit] for r in results]
    return aligned(rows)


def _first_batches(folder: Path, schema: Schema, num_rows: int) -> list[Result]:
    """Seconds from the call of the reader to its first batch, at two places."""
    starts = {"start": 0, "95%": num_rows * 19 // 20}

    def first(start: int, shuffle: Shuffle | None) -> object:
        return next(
            iter(read_blocks(folder, schema, BATCH, start=start, shuffle=shuffle))
        )

    calls = {
        f"{kind}/{name}": lambda start=start, shuffle=shuffle: first(start, shuffle)
        for kind, shuffle in (("in order", None), ("shuffled", Shuffle(seed=1)))
        for name, start in starts.items()
    }
    times = interleaved_seconds(calls, seconds=0, rounds=2 * ROUNDS)
    return [
        Result(f"first_batch/{name}", statistics.median(seconds), "s")
        for name, seconds in times.items()
    ]


def _conversion(folder: Path, files: Sequence[str]) -> list[Result]:
    """Rows a second and the largest resident memory of a conversion of its own."""
    scripts = Path(__file__).parents[1]
    process = subprocess.run(
        [sys.executable, "-c", _CONVERT, str(folder), *files],
        env={**os.environ, "PYTHONPATH": str(scripts)},
        stdout=subprocess.PIPE,
        check=True,
    )
    done = json.loads(process.stdout)
    return [
        Result("convert", done["rows"] / done["seconds"], "rows/s"),
        Result("convert/rows", done["rows"], "rows"),
        Result("convert/memory", done["kB"] / 1024, "MB"),
    ]


def _read(batches: tf.data.Dataset) -> None:
    """Takes all batches as a training loop does: inside TensorFlow."""
    batches.reduce(np.int64(0), lambda count, batch: count + 1).numpy()


def _make_csv_dataset(path: Path) -> tf.data.Dataset:
    """TensorFlow's own reader with the same columns, in batches of the same size."""
    defaults = [tf.constant([], tf.int32)]
    defaults += [tf.constant([0], tf.int64) for _ in CRITEO.numeric]
    defaults += [tf.constant([""]) for _ in CRITEO.categorical]
    return tf.data.experimental.make_csv_dataset(
        str(path),
        BATCH,
        column_names=list(CRITEO.fields),
        column_defaults=defaults,
        label_name=CRITEO.label.name,
        field_delim="\t",
        use_quote_delim=False,
        header=False,
        num_epochs=1,
        shuffle=False,
    )


def _columns(rows: GeneratedRows) -> dict[str, np.ndarray]:
    """The columns by name; what is missing is masked."""
    names = [column.name for column in CRITEO.columns]
    text = np.char.mod("%08x", rows.categorical).astype(object)
    values = [*rows.numeric.T, *text.T]
    missing = [*rows.numeric_missing.T, *rows.categorical_missing.T]
    masked = map(np.ma.MaskedArray, values, missing)
    return {"label": rows.label, **dict(zip(names, masked, strict=True))}


def _write_parquet(path: Path, rows: GeneratedRows) -> None:
    import pyarrow
    import pyarrow.parquet

    columns = {
        name: pyarrow.array(np.ma.getdata(values), mask=np.ma.getmaskarray(values))
        for name, values in _columns(rows).items()
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def _write_examples(path: Path, rows: GeneratedRows) -> None:
    columns = {name: values.tolist() for name, values in _columns(rows).items()}
    with tf.io.TFRecordWriter(str(path)) as file:
        for values in zip(*columns.values(), strict=True):
            features = {
                name: _feature(value)
                for name, value in zip(columns, values, strict=True)
                if value is not None
            }
            message = tf.train.Example(features=tf.train.Features(feature=features))
            file.write(message.SerializeToString())


def _feature(value: int | str) -> tf.train.Feature:
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
