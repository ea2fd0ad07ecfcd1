"""pipelines/conversion.py: text to blocks, whatever stops it."""

import dataclasses
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from smelu_tf.pipelines import (
    CRITEO,
    BadRowError,
    Categorical,
    complete_schema,
    convert,
    read_blocks,
    read_raw_text,
    read_text,
    verify_blocks,
)
from smelu_tf.pipelines.files import replacing

HASHED = dataclasses.replace(
    CRITEO,
    categorical=tuple(
        Categorical(c.name, buckets=1000, pattern=c.pattern) for c in CRITEO.categorical
    ),
)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("schema", [CRITEO, HASHED], ids=["counted", "hashed"])
def test_blocks_hold_what_the_text_reader_reads(criteo_dir, tmp_path, schema):
    files = [str(criteo_dir / f"day_{i}.tsv") for i in range(3)]
    rows = []
    report = convert(
        files,
        schema,
        tmp_path / "blocks",
        rows_per_block=500,
        blocks_per_shard=4,
        progress=rows.append,
    )
    assert report.num_bad_rows == 0
    assert rows[-1] == report.manifest.num_rows == 9000
    assert len(report.manifest.shards) == 5
    if schema is CRITEO:
        chunks = read_raw_text(files, CRITEO).as_numpy_iterator()
        schema = complete_schema(CRITEO, chunks)
    text = read_text(files, schema, 700).as_numpy_iterator()
    blocks = read_blocks(tmp_path / "blocks", schema, 700).as_numpy_iterator()
    for expected, got in zip(text, blocks, strict=True):
        for name, values in expected.features.items():
            np.testing.assert_array_equal(got.features[name], values)
        np.testing.assert_array_equal(got.label, expected.label)
        np.testing.assert_array_equal(got.weight, expected.weight)


def test_one_that_has_ended_returns_at_once(criteo_dir, tmp_path, monkeypatch):
    first = convert(criteo_dir / "day_0.tsv", CRITEO, tmp_path / "blocks")
    monkeypatch.setattr("smelu_tf.pipelines.conversion.read_rows", None)
    again = convert(criteo_dir / "day_0.tsv", CRITEO, tmp_path / "blocks")
    assert again == first


CODE = """
import sys
from smelu_tf.pipelines import CRITEO, convert
convert(
    sys.argv[1], CRITEO, sys.argv[2], rows_per_block=100, blocks_per_shard=2,
    max_bad_rows=5,
)
"""


def convert_until(source, folder, seconds):
    """A conversion in a process of its own, killed after so many seconds."""
    process = subprocess.Popen([sys.executable, "-c", CODE, source, folder])
    try:
        returncode = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return -process.wait() == signal.SIGKILL
    assert returncode == 0
    return False


def spoiled(criteo_dir, tmp_path, num_days):
    """Text in which some rows are bad, at the beginning and at the end."""
    source = tmp_path / "rows.tsv"
    days = [(criteo_dir / f"day_{i}.tsv").read_bytes() for i in range(num_days)]
    source.write_bytes(b"bad\n" + b"".join(days) + b"worse\n")
    return str(source)


def check_killed_conversions(source, tmp_path, moments):
    expected = tmp_path / "uninterrupted"
    start = time.monotonic()
    assert not convert_until(source, str(expected), 300)
    total = time.monotonic() - start
    num_killed = 0
    for number, moment in enumerate(moments):
        folder = tmp_path / f"killed_{number}"
        was_killed = convert_until(source, str(folder), total * moment)
        num_killed += was_killed
        if not was_killed:  # the machine was slower when a whole one was timed
            total *= 0.8
        assert not convert_until(source, str(folder), 300)
        assert contents(folder) == contents(expected)
        verify_blocks(folder)
    assert num_killed >= len(moments) // 2
    assert (expected / "rejects.txt").read_text() == "bad\nworse\n"


@pytest.mark.slow
def test_killed_and_started_again_it_leaves_the_same_bytes(criteo_dir, tmp_path):
    source = spoiled(criteo_dir, tmp_path, 2)
    check_killed_conversions(source, tmp_path, [0.5, 0.8])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_20_random_moments_it_leaves_the_same_bytes(criteo_dir, tmp_path):
    source = spoiled(criteo_dir, tmp_path, 7)
    moments = [random.Random(i).uniform(0.3, 1) for i in range(20)]
    check_killed_conversions(source, tmp_path, moments)


def test_stopped_between_any_two_files_it_goes_on(criteo_dir, tmp_path, monkeypatch):
    """Every point at which a file gets its final name, one after the other."""
    source = criteo_dir / "day_0.tsv"
    settings = dict(rows_per_block=500, blocks_per_shard=2)
    convert(source, CRITEO, tmp_path / "whole", **settings)
    import os

    replace, left = os.replace, [0]

    def interrupted(*paths):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        replace(*paths)

    folder = tmp_path / "stopped"
    for _ in range(10):  # one more file at each start
        left[0] = 1
        monkeypatch.setattr(os, "replace", interrupted)
        try:
            convert(source, CRITEO, folder, **settings)
        except KeyboardInterrupt:
            continue
        break
    else:
        raise AssertionError("it never ended")
    monkeypatch.undo()
    assert contents(folder) == contents(tmp_path / "whole")


def test_what_one_killed_while_it_wrote_a_file_has_left_is_no_hindrance(
    criteo_dir, tmp_path
):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with replacing(tmp_path / "probe") as temporary:
        *_, origin, _, _ = temporary.name.split(".")
        temporary.touch()
    folder = tmp_path / "blocks"
    folder.mkdir()
    ours = folder / f".conversion.json.{origin}.{process.pid}.partial"
    elsewhere = folder / ".conversion.json.01234567.7.partial"
    ours.write_text("{")
    elsewhere.touch()
    first = convert(criteo_dir / "day_0.tsv", HASHED, folder)
    assert not ours.exists()
    assert elsewhere.exists()  # its process may be a living one
    ours.touch()
    assert convert(criteo_dir / "day_0.tsv", HASHED, folder) == first
    assert not ours.exists()


def test_another_conversion_s_folder_is_refused(criteo_dir, tmp_path):
    source, folder = criteo_dir / "day_0.tsv", tmp_path / "blocks"
    convert(source, CRITEO, folder, rows_per_block=500)
    for change, message in (
        (dict(rows_per_block=100), r"differs in rows_per_block \(100, not 500\)"),
        (dict(blocks_per_shard=9), "differs in blocks_per_shard"),
        (dict(max_bad_rows=1), "differs in max_bad_rows"),
    ):
        with pytest.raises(ValueError, match=message):
            convert(source, CRITEO, folder, **{"rows_per_block": 500, **change})
    with pytest.raises(ValueError, match="differs in schema"):
        convert(source, HASHED, folder, rows_per_block=500)
    with pytest.raises(ValueError, match="differs in files"):
        convert(criteo_dir / "day_1.tsv", CRITEO, folder, rows_per_block=500)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(ValueError, match="received one that holds other files"):
        convert(source, CRITEO, tmp_path / "other")


@pytest.mark.parametrize("schema", [CRITEO, HASHED], ids=["counted", "hashed"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rows_per_block": 0}, "rows_per_block: expected 1 or more, received 0"),
        ({"blocks_per_shard": 0}, "blocks_per_shard: expected 1 or more, received 0"),
        ({"max_bad_rows": -1}, "max_bad_rows: expected 0 or more, received -1"),
    ],
)
def test_settings_are_checked_before_anything_is_kept(
    criteo_dir, tmp_path, schema, setting, message
):
    with pytest.raises(ValueError, match=message):
        convert(criteo_dir / "day_0.tsv", schema, tmp_path / "blocks", **setting)
    assert not (tmp_path / "blocks").exists()


def test_files_that_have_changed_are_others(criteo_dir, tmp_path):
    source = tmp_path / "rows.tsv"
    text = (criteo_dir / "day_0.tsv").read_bytes()
    source.write_bytes(text)
    convert(source, HASHED, tmp_path / "blocks")
    source.write_bytes(text + text)
    with pytest.raises(ValueError, match="differs in sizes"):
        convert(source, HASHED, tmp_path / "blocks")


def test_one_bad_row_too_many_is_an_error_and_leaves_no_manifest(criteo_dir, tmp_path):
    source = spoiled(criteo_dir, tmp_path, 1)
    with pytest.raises(BadRowError, match="rows.tsv, line 1: expected 40"):
        convert(source, CRITEO, tmp_path / "counted")
    assert not (tmp_path / "counted").exists()
    with pytest.raises(BadRowError, match="rows.tsv, line 3002: expected 40"):
        convert(source, HASHED, tmp_path / "blocks", max_bad_rows=1)
    assert not (tmp_path / "blocks" / "manifest.json").exists()
