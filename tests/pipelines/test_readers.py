"""One ladder for every reader of rows: the same bits, the same faults."""

import dataclasses
import json
import os

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf
from films import FORMATS, SCHEMA, make_rows, text_schema, write
from same_bits import all_of, assert_same_bits

from smelu_tf.pipelines import (
    BadRowError,
    BadRows,
    Categorical,
    Label,
    Numeric,
    Schema,
    bad_row_errors,
    complete_schema_from,
    convert,
    read_blocks,
    read_examples,
    read_parquet,
    read_rows,
    read_text,
    row_errors,
)

NUM_ROWS = 500


@pytest.fixture(scope="module")
def rows():
    return make_rows(NUM_ROWS)


@pytest.fixture(scope="module")
def files(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    return {kind: write(folder / f"rows.{kind}", rows) for kind in FORMATS}


@pytest.fixture(scope="module")
def complete(files):
    return complete_schema_from(files["tsv"], SCHEMA)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_reader_gives_the_same_bits(kind, files, complete, tmp_path):
    expected = all_of(read_text(files["tsv"], complete, 64))
    own = dataclasses.replace(
        complete,
        delimiter=text_schema(kind).delimiter,
        quoted=text_schema(kind).quoted,
    )
    batches = list(read_rows(files[kind], own, 64).as_numpy_iterator())
    assert [len(batch.label) for batch in batches] == [64] * 7 + [52]
    assert_same_bits(all_of(read_rows(files[kind], own, 64)), expected)
    # And so do the blocks that are made of the file, completed from it alone.
    incomplete = text_schema(kind)
    report = convert(files[kind], incomplete, tmp_path / "blocks", rows_per_block=60)
    assert report.manifest.schema == own
    assert_same_bits(all_of(read_blocks(tmp_path / "blocks", own, 64)), expected)


def test_batches_are_what_plain_python_makes_of_the_rows(rows, files, complete):
    batch = all_of(read_rows(files["parquet"], complete, 100))
    age, price = complete.numeric
    user, site = complete.categorical
    (genres,) = complete.multivalued
    hashed = {}

    def bucket(column, text, buckets):
        key = (column, text, buckets)
        if key not in hashed:
            from zlib import crc32

            hashed[key] = int(
                tf.strings.to_hash_bucket_strong(
                    text, buckets, [complete.seed, crc32(column.encode())]
                )
            )
        return hashed[key]

    for i, row in enumerate(rows):
        numeric = batch.features["numeric"][i]
        if row["age"] is None:
            assert tuple(numeric[:2]) == (0, 1)
        else:
            scaled = (row["age"] - age.mean) * (1 / age.standard_deviation)
            assert numeric[0] == np.float32(scaled) and numeric[1] == 0
        if row["price"] is None:
            assert tuple(numeric[2:]) == (-1, 1)
        else:
            assert numeric[2] == np.float32(np.log1p(np.clip(row["price"], 0, 50)))
        ids = batch.features["ids"][i]
        if row["user"] is None:
            assert ids[0] == 0
        elif row["user"] in user.vocabulary:
            assert ids[0] == 5 + user.vocabulary.index(row["user"])
        else:
            assert ids[0] == 1 + bucket("user", row["user"], 4)
        assert ids[1] == (0 if not row["site"] else 1 + bucket("site", row["site"], 49))
        bins = np.searchsorted(age.bin_boundaries, row["age"] or 0, side="right")
        assert ids[2] == (0 if row["age"] is None else 1 + bins)
        cross = 1 + bucket("site_x_age_bin", f"{ids[1]},{ids[2]}", 99)
        assert ids[3] == (cross if ids[1] or ids[2] else 0)
        names = row["genres"].split("|")[:3] if row["genres"] else []
        expected = [2 + genres.vocabulary.index(name) for name in names] or [0]
        padded = expected + [-1] * (3 - len(expected))
        assert batch.features["genres"][i].tolist() == padded
        assert batch.label[i] == (row["rating"] >= 4)
        assert batch.weight[i] == row["w"]
    assert complete.num_ids == (5 + len(user.vocabulary), 50, 81, 100)


@pytest.mark.parametrize("read", [read_rows, read_text, read_examples, read_parquet])
def test_no_files_are_no_rows_but_an_error(read, complete):
    with pytest.raises(ValueError, match="files: expected one or more, received none"):
        read([], complete, 10)


@pytest.mark.parametrize("kind", ["tsv", "csv", "tfrecord", "parquet"])
def test_bad_rows_are_named_counted_and_kept(kind, rows, complete, tmp_path, capfd):
    bad = [dict(row) for row in rows[:20]]
    bad[3]["rating"] = None
    bad[8]["site"] = "UPPER"
    bad[11]["w"] = -1.0
    path = write(tmp_path / f"bad.{kind}", bad)
    own = dataclasses.replace(
        complete,
        delimiter=text_schema(kind).delimiter,
        quoted=text_schema(kind).quoted,
    )
    first = 5 if kind in ("tsv", "csv") else 4  # line 1 is the header
    what = "line" if kind in ("tsv", "csv") else "record" if kind[0] == "t" else "row"
    with pytest.raises(BadRowError, match=f"{what} {first}: field rating: expected a"):
        with bad_row_errors():
            all_of(read_rows(path, own, 7))
    rejects = tmp_path / "rejects.txt"
    bad_rows = BadRows(3, rejects)
    batch = all_of(read_rows(path, own, 7, bad_rows=bad_rows))
    assert len(batch.label) == 17
    assert bad_rows.count == 3
    quoted = capfd.readouterr().err
    assert "field site: expected a value of another form, received 'UPPER'" in quoted
    assert "field w: expected a number of 0 or more, received" in quoted
    kept = rejects.read_text().splitlines()
    assert len(kept) == 3
    if kind in ("tfrecord", "parquet"):
        assert json.loads(kept[1])["site"] == "UPPER"
    good = [row for i, row in enumerate(bad) if i not in (3, 8, 11)]
    expected = all_of(read_rows(write(tmp_path / f"good.{kind}", good), own, 7))
    assert_same_bits(batch, expected)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_short_is_an_error_that_names_it(kind, files, complete, tmp_path):
    content = files[kind].read_bytes()
    path = tmp_path / f"cut.{kind}"
    cut = len(content) * 2 // 3
    if kind in ("tsv", "csv"):  # where a row is seen to be cut: in its first field
        cut = content.index(b"\n", cut) + 2
    path.write_bytes(content[:cut])
    own = dataclasses.replace(
        complete,
        delimiter=text_schema(kind).delimiter,
        quoted=text_schema(kind).quoted,
    )
    with pytest.raises(ValueError, match=r"cut\."), row_errors([str(path)]):
        all_of(read_rows(path, own, 16))


def test_labels_may_be_texts_and_spaces_may_be_stripped(tmp_path):
    schema = Schema(
        "adult",
        (Numeric("age", transform="none"),),
        (Categorical("job", vocabulary=("a b",)),),
        Label("income", positive=(">50K", ">50K.")),
        fields=("age", "job", "income"),
        delimiter=",",
        strip=True,
        missing="?",
    )
    path = tmp_path / "a.data"
    path.write_text(" 39, a b, <=50K\n50 ,?,>50K \n?, c, >50K.\n1, ,\n")
    bad_rows = BadRows(1, quote=False)
    batch = all_of(read_text(path, schema, 9, bad_rows=bad_rows))
    assert batch.label.tolist() == [0, 1, 1]
    assert batch.features["ids"][:, 0].tolist() == [2, 0, 1]
    assert batch.features["numeric"].tolist() == [[39, 0], [50, 0], [0, 1]]
    columns = {
        "age": [39, 50, None, 1],
        "job": ["a b", "?", "c", None],
        "income": ["<=50K", ">50K", ">50K.", None],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    bad_rows = BadRows(1, quote=False)
    same = all_of(read_parquet(tmp_path / "a.parquet", schema, 9, bad_rows=bad_rows))
    assert_same_bits(same, batch)


def test_without_pyarrow_the_command_is_named(files, complete, monkeypatch):
    import builtins

    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'smelu-tf\[data\]'"):
        read_parquet(os.fspath(files["parquet"]), complete, 8)
