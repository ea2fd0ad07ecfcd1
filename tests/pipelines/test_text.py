"""pipelines/text.py against a plain Python parser."""

import dataclasses
import gzip
import math

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.pipelines import (
    CRITEO,
    BadRowError,
    BadRows,
    Categorical,
    Label,
    Numeric,
    Schema,
    bad_row_errors,
    estimate_num_rows,
    parse_unlabelled,
    read_raw_text,
    read_text,
)
from smelu_tf.pipelines.text import describe_fault

HASHED = dataclasses.replace(
    CRITEO,
    categorical=tuple(
        Categorical(c.name, buckets=1000, pattern=c.pattern) for c in CRITEO.categorical
    ),
)
GOOD = "\t".join(["1", *"0123456789", "-2", "", "99", *["0a1b2c3d"] * 25, ""])


def _ref_raw(line: str) -> dict:
    """The raw columns of a well-formed Criteo line."""
    fields = line.rstrip("\r\n").split("\t")
    raw = {"label": float(fields[0])}
    for i in range(1, 14):
        raw[f"I{i}"] = float(int(fields[i])) if fields[i] else math.nan
    for i in range(1, 27):
        raw[f"C{i}"] = fields[13 + i].encode()
    return raw


def read_all(dataset) -> dict[str, np.ndarray]:
    with bad_row_errors():
        chunks = list(dataset.as_numpy_iterator())
    return {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}


def write(path, lines, end="\n"):
    path.write_bytes(end.join(lines).encode("utf-8", "surrogateescape"))
    return path


def changed(place: int, value: str) -> str:
    fields = GOOD.split("\t")
    fields[place] = value
    return "\t".join(fields)


def test_raw_columns_are_those_of_a_plain_parser(criteo_dir):
    files = sorted(criteo_dir.glob("day_*.tsv"))[:2]
    lines = [line for path in files for line in path.read_text().splitlines()]
    expected = [_ref_raw(line) for line in lines]
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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\t2", r"expected 40 tab-separated fields \(criteo\), received 2"),
        (GOOD + "\t", "expected 40 tab-separated fields .*, received 41"),
        ("", "expected 40 fields .*, received none"),
        (changed(0, "2"), "field label: expected 0 or 1, received '2'"),
        (changed(0, ""), "field label: expected 0 or 1, received ''"),
        (changed(3, "nan"), "field I3: expected an integer .* received 'nan'"),
        (changed(3, "inf"), "field I3: expected an integer .* received 'inf'"),
        (changed(3, "1e5"), "field I3: expected an integer .* received '1e5'"),
        (changed(3, "0x1F"), "field I3: expected an integer .* received '0x1F'"),
        (changed(3, "1.0"), "field I3: expected an integer .* received '1.0'"),
        (changed(3, " 1"), "field I3: expected an integer .* received ' 1'"),
        (changed(3, "1" * 19), "field I3: expected an integer of at most 18 digits"),
        (changed(14, "xyz"), "field C1: expected 8 hexadecimal digits .* 'xyz'"),
        (changed(39, "0A1B2C3D"), "field C26: expected 8 hexadecimal digits"),
        (changed(39, "\udcff" * 8), "expected UTF-8 text"),
        (changed(14, "0a1b2c3d\x00"), "field C1: expected 8 hexadecimal digits"),
    ],
)
def test_a_bad_row_is_an_error_that_says_where_and_what(tmp_path, line, message):
    path = write(tmp_path / "day.tsv", [GOOD] * 5000 + [line, GOOD])
    with pytest.raises(BadRowError, match=rf"day\.tsv, line 5001: {message}"):
        read_all(read_raw_text(path, CRITEO))


def test_bad_rows_are_passed_over_counted_quoted_and_kept(tmp_path, capfd):
    bad = ["x", changed(0, "7"), "1\t2"]
    lines = [bad[0], GOOD, bad[1], GOOD, GOOD, bad[2]]
    path, rejects = write(tmp_path / "day.tsv", lines), tmp_path / "rejects.txt"
    bad_rows = BadRows(max_bad_rows=3, rejects=rejects)
    raw = read_all(read_raw_text(path, CRITEO, bad_rows=bad_rows))
    assert len(raw["label"]) == 3
    assert bad_rows.count == 3
    assert rejects.read_text().splitlines() == bad
    quoted = capfd.readouterr().err
    assert "line 3: field label: expected 0 or 1, received '7'" in quoted


def test_the_first_bad_row_is_named_whatever_the_threads_do(tmp_path):
    lines = [GOOD] * 40_000
    for number in (39_000, 20_000, 9000):
        lines[number - 1] = "x"
    path = write(tmp_path / "day.tsv", lines)
    with pytest.raises(BadRowError, match=r"day\.tsv, line 9000:"):
        read_all(read_raw_text(path, CRITEO))
    rejects = tmp_path / "rejects.txt"
    lines[8999], lines[19_999] = "a", "b"
    write(path, lines)
    read_all(read_raw_text(path, CRITEO, bad_rows=BadRows(3, rejects)))
    assert rejects.read_text() == "a\nb\nx\n"


def test_a_pattern_that_takes_the_delimiter_takes_no_further_field(tmp_path):
    column = Categorical("site", buckets=10, pattern=".*")
    schema = Schema("ads", (Numeric("age"),), (column,), delimiter=",")
    path = write(tmp_path / "ads.csv", ["1,2,a", "1,2,a,b"])
    message = r"ads\.csv, line 2: expected 3 comma-separated fields .*, received 4"
    with pytest.raises(BadRowError, match=message):
        read_all(read_raw_text(path, schema))


@pytest.mark.parametrize("pattern", ["(?=a)a.*", r"(a)\1"])
def test_a_pattern_that_tensorflow_cannot_match_is_refused(tmp_path, pattern):
    column = Categorical("site", buckets=10, pattern=pattern)
    path = write(tmp_path / "ads.tsv", ["1\taa"])
    with pytest.raises(ValueError, match="column site: expected a pattern .* RE2"):
        read_raw_text(path, Schema("ads", (), (column,)))


def test_a_file_of_rejects_that_cannot_be_written_is_named(tmp_path):
    path = write(tmp_path / "day.tsv", ["x", GOOD])
    (tmp_path / "folder").mkdir()
    for rejects, reason in (("folder", "Is a directory"), ("day.tsv/x", "File exists")):
        bad_rows = BadRows(1, tmp_path / rejects)
        message = f"{rejects}: expected a file .* received: {reason}"
        with pytest.raises(BadRowError, match=message):
            read_all(read_raw_text(path, CRITEO, bad_rows=bad_rows))


def test_one_bad_row_too_many_is_an_error(tmp_path):
    path = write(tmp_path / "day.tsv", ["x", GOOD, "y", GOOD, "z"])
    bad_rows = BadRows(max_bad_rows=2, quote=False)
    with pytest.raises(BadRowError, match=r"line 5: .*bad row 3; max_bad_rows is 2"):
        read_all(read_raw_text(path, CRITEO, bad_rows=bad_rows))


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


def test_scored_lines_are_read_like_labelled_ones(criteo_dir):
    lines = (criteo_dir / "day_0.tsv").read_text().splitlines()[:500]
    unlabelled = [line.partition("\t")[2] for line in lines]
    unlabelled[0] += "\r\n"
    raw = parse_unlabelled(tf.constant(unlabelled), CRITEO)
    expected = [_ref_raw(line) for line in lines]
    assert set(raw) == set(CRITEO.feature_fields)
    for name, values in raw.items():
        reference = np.array([row[name] for row in expected])
        np.testing.assert_array_equal(values.numpy().astype(reference.dtype), reference)


def test_a_scored_number_that_does_not_parse_is_missing():
    line = changed(3, "0x1F").partition("\t")[2]
    raw = parse_unlabelled(tf.constant([line]), CRITEO)
    assert math.isnan(raw["I3"].numpy()[0])
    assert raw["I2"].numpy()[0] == 1.0


def test_a_scored_line_with_another_number_of_fields_names_its_row():
    line = GOOD.partition("\t")[2]
    message = r"row 2 of the batch, from 0: expected 39 fields \(criteo\), received 40"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        parse_unlabelled(tf.constant([line, line, line + "\t"]), CRITEO)
    assert parse_unlabelled(tf.constant([], tf.string), CRITEO)["I1"].shape == (0,)


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


def test_every_refused_line_has_a_reason():
    for line in (b"\xff", b"", b"1\t", changed(5, "x").encode()):
        assert "expected" in describe_fault(line, CRITEO)


QUOTED = Schema(
    "ads",
    (Numeric("age"),),
    (Categorical("site", buckets=10), Categorical("page", buckets=10)),
    delimiter=",",
    quoted=True,
)


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc3", b"\xf0\x9f", b"\xed\xa0\x80", b"\0"]
)
def test_text_of_a_scored_line_may_be_any_bytes_in_quotes_or_without(text):
    lines = [b"1,%s,b" % text, b'1,"%s",b' % text, b'1,"%s,""",b' % text]
    raw = parse_unlabelled(tf.constant(lines), QUOTED)
    assert raw["site"].numpy().tolist() == [text, text, text + b',"']
    assert raw["page"].numpy().tolist() == [b"b"] * 3


@pytest.mark.parametrize(
    "line", [b"1,a", b"1,a,b,c", b"", b'1,a"b,c', b'1,"a,b', b'1,"a"b,c', b"1,a\nb,c"]
)
def test_a_scored_line_of_other_quotes_names_its_row(line):
    message = r"row 1 of the batch, from 0: expected 3 fields \(ads\) with quotes"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        parse_unlabelled(tf.constant([b"1,a,b", line]), QUOTED)
