"""pipelines/text.py against a plain Python parser."""

import dataclasses
import gzip
import math

import numpy as np
import pytest
from criteo_lines import GOOD, read_all, ref_raw, write

from smelu_tf.pipelines import (
    CRITEO,
    BadRowError,
    BadRows,
    Categorical,
    Label,
    Numeric,
    Schema,
    estimate_num_rows,
    read_raw_text,
    read_text,
)

HASHED = dataclasses.replace(
    CRITEO,
    categorical=tuple(
        Categorical(c.name, buckets=1000, pattern=c.pattern) for c in CRITEO.categorical
    ),
)


def test_raw_columns_are_those_of_a_plain_parser(criteo_dir):
    files = sorted(criteo_dir.glob("day_*.tsv"))[:2]
    lines = [line for path in files for line in path.read_text().splitlines()]
    expected = [ref_raw(line) for line in lines]
    raw = read_all(read_raw_text([str(path) for path in files], CRITEO))
    assert set(raw) == set(CRITEO.fields)
    for name, values in raw.items():
        reference = np.array([row[name] for row in expected])
        np.testing.assert_array_equal(values.astype(reference.dtype), reference)


@pytest.mark.parametrize("batch_size", [1, 100, 4096, 10_000])
def test_no_row_is_lost_or_moved_by_batching(criteo_dir, tmp_path, batch_size):
    lines = (criteo_dir / "day_0.tsv").read_text().splitlines()[:1001]
    first, second = (
        write(tmp_path / "a", lines[:300]),
        write(tmp_path / "b", lines[300:]),
    )
    batches = list(read_text(f"{first},{second}", HASHED, batch_size))
    sizes = [int(batch.label.shape[0]) for batch in batches]
    assert sum(sizes) == 1001
    assert set(sizes[:-1]) <= {batch_size}
    labels = np.concatenate([batch.label for batch in batches])
    assert labels.tolist() == [float(line[0]) for line in lines]
    assert {float(w) for batch in batches for w in batch.weight} == {1.0}


def test_line_ends_of_any_kind(tmp_path):
    plain = write(tmp_path / "plain", [GOOD] * 3 + [""])
    expected = read_all(read_raw_text(plain, CRITEO))
    for name, path in {
        "no end at the end": write(tmp_path / "open", [GOOD] * 3),
        "CRLF": write(tmp_path / "crlf", [GOOD] * 3 + [""], end="\r\n"),
    }.items():
        got = read_all(read_raw_text(path, CRITEO))
        for column, values in expected.items():
            np.testing.assert_array_equal(values, got[column], err_msg=name)


def test_a_schema_of_one_s_own(tmp_path):
    schema = Schema(
        name="ratings",
        numeric=(Numeric("age"), Numeric("price", "float64", "none")),
        categorical=(Categorical("user", buckets=10),),
        label=Label("rating", at_least=4),
        weight="importance",
        fields=("user", "time", "age", "rating", "importance", "price"),
        delimiter=",",
        missing="?",
    )
    path = write(
        tmp_path / "ratings.csv",
        ["ann,x,31,4,2,0.5", "?,y,?,3.5,0.25,?", "bob,z,,5,1,-1e2"],
    )
    (batch,) = list(read_text(path, schema, 10))
    assert batch.label.numpy().tolist() == [1.0, 0.0, 1.0]
    assert batch.weight.numpy().tolist() == [2.0, 0.25, 1.0]
    numeric = batch.features["numeric"].numpy()
    assert numeric[:, 1].tolist() == [0.0, 1.0, 1.0]
    assert numeric[:, 2].tolist() == [0.5, 0.0, -100.0]
    assert batch.features["ids"].numpy()[1, 0] == 0


def test_compressed_files_are_read_like_plain_ones(criteo_dir, tmp_path):
    plain = [criteo_dir / "day_0.tsv", criteo_dir / "day_1.tsv"]
    packed = tmp_path / "day_0.tsv.gz"
    packed.write_bytes(gzip.compress(plain[0].read_bytes()))
    expected = read_all(read_raw_text(plain, CRITEO))
    mixed = read_all(read_raw_text([packed, plain[1]], CRITEO))  # one of each kind
    for name, values in expected.items():
        np.testing.assert_array_equal(mixed[name], values)
    assert estimate_num_rows([str(packed)]) == pytest.approx(3000, rel=0.1)
    with pytest.raises(BadRowError, match=r"bad.gz, line 2: expected 40 tab"):
        bad = tmp_path / "bad.gz"
        bad.write_bytes(gzip.compress(f"{GOOD}\nx\n".encode()))
        read_all(read_raw_text(bad, CRITEO))


def test_a_gzip_file_that_is_none_is_named(criteo_dir, tmp_path):
    packed = gzip.compress((criteo_dir / "day_0.tsv").read_bytes())
    for content, reason in (
        (GOOD.encode(), "Not a gzipped file"),
        (packed[:1000], "ended before"),
        (packed[:20] + b"x" * 1000, "cannot be read"),
        (gzip.compress(b""), "a gzip file of nothing"),
    ):
        path = tmp_path / "day.tsv.gz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"day.tsv.gz: expected .*{reason}"):
            read_raw_text(path, CRITEO)


def test_a_header_is_checked_and_skipped_in_every_file(tmp_path):
    schema = Schema(
        "ads",
        (Numeric("age"),),
        (),
        delimiter=",",
        header=True,
        fields=("label", "age"),
    )
    first = write(tmp_path / "a.csv", ["label,age", "1,30", "0,"])
    second = write(tmp_path / "b.csv", ["\ufefflabel,age", "1,5"])  # with a BOM
    raw = read_all(read_raw_text([first, second], schema))
    np.testing.assert_array_equal(raw["age"], [30, math.nan, 5])
    # Lines are numbered as an editor numbers them.
    bad = write(tmp_path / "c.csv", ["label,age", "1,30", "0,x"])
    with pytest.raises(BadRowError, match=r"c.csv, line 3: field age"):
        read_all(read_raw_text(bad, schema))
    other = write(tmp_path / "d.csv", ["age,label", "30,1"])
    message = r"d.csv, line 1: expected a header .* label, age, received age, label"
    with pytest.raises(ValueError, match=message):
        read_raw_text([first, other], schema)


def test_number_of_rows_is_estimated(criteo_dir):
    path = criteo_dir / "day_0.tsv"
    rows = len(path.read_text().splitlines())
    assert abs(estimate_num_rows([str(path)]) - rows) <= 0.05 * rows


def test_bad_arguments_are_refused(criteo_dir):
    path = criteo_dir / "day_0.tsv"
    with pytest.raises(ValueError, match="batch_size: expected 1 or more, received 0"):
        read_text(path, HASHED, 0)
    with pytest.raises(ValueError, match="max_bad_rows: expected 0 or more"):
        BadRows(-1)
    with pytest.raises(ValueError, match="vocabulary is not counted"):
        read_text(path, CRITEO, 10)
