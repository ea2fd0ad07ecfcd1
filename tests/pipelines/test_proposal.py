"""pipelines/proposal.py: a proposal that fits, and reads the file it was made for."""

import csv
import gzip
import random

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proposed_schemas import num_rows_read

from smelu_tf.pipelines import (
    CRITEO,
    Label,
    generate,
    propose_schema,
)

NUM_ROWS = 400


def rows():
    """Rows with a column for every rule."""
    draw = random.Random(0)
    return [
        {
            "row_id": str(100_000 + 7 * i),
            "click": str(int(draw.random() < 0.3)),
            "age": draw.choice(["?", *map(str, range(18, 80))]),
            "income": f"{draw.lognormvariate(8, 2):.2f}",
            "hour": str(draw.randrange(24)),
            "timestamp": str(1_600_000_000 + 60 * i),
            "user_id": str(draw.randrange(60)),
            "site": draw.choice(["news, local", "shop", "mail"]),
            "tags": "|".join(draw.sample("abcdefgh", draw.randint(1, 4))),
            "note": f"text {i}",
            "country": "nowhere",
        }
        for i in range(NUM_ROWS)
    ]


KINDS = {
    "row_id": "skipped",
    "click": "label",
    "age": "numeric",
    "income": "numeric",
    "hour": "categorical",
    "timestamp": "time",
    "user_id": "categorical",
    "site": "categorical",
    "tags": "multi-valued",
    "note": "skipped",
    "country": "skipped",
}


def write_text(path, delimiter, quoting=csv.QUOTE_MINIMAL):
    opened = gzip.open if path.suffix == ".gz" else open
    data = rows()
    if delimiter != ",":
        data = [{**row, "site": row["site"].replace(",", "")} for row in data]
    with opened(path, "wt", newline="") as file:
        writer = csv.DictWriter(
            file, list(data[0]), delimiter=delimiter, quoting=quoting
        )
        writer.writeheader()
        writer.writerows(data)
    return path


@pytest.mark.parametrize("kind", ["tsv", "csv", "csv.gz", "parquet", "quoted.csv"])
def test_each_column_gets_its_kind_and_the_file_is_read(kind, tmp_path):
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        columns = {name: [row[name] for row in rows()] for name in KINDS}
        columns["age"] = [None if v == "?" else int(v) for v in columns["age"]]
        columns["income"] = list(map(float, columns["income"]))
        columns["tags"] = [text.split("|") for text in columns["tags"]]
        for name in ("click", "hour", "timestamp", "user_id", "row_id"):
            columns[name] = list(map(int, columns[name]))
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    else:
        quoting = csv.QUOTE_ALL if kind == "quoted.csv" else csv.QUOTE_MINIMAL
        write_text(path, "\t" if kind == "tsv" else ",", quoting)
    proposal = propose_schema(path)
    assert {column.name: column.kind for column in proposal.columns} == KINDS
    assert proposal.num_rows == NUM_ROWS
    schema = proposal.schema
    assert schema.label == Label("click")
    assert schema.time == "timestamp"
    assert schema.missing == ("" if kind == "parquet" else "?")
    age, income = schema.numeric
    assert (age.dtype, age.transform, age.standardize) == ("int64", "none", True)
    assert (income.dtype, income.transform) == ("float64", "log1p")
    assert schema.multivalued[0].max_values == 4
    missing = {column.name: column.missing_rate for column in proposal.columns}
    assert 0 < missing["age"] < 0.1 and missing["site"] == 0
    assert num_rows_read(path, schema) == NUM_ROWS


def test_generated_rows_with_a_header_are_read(tmp_path):
    (text,) = generate(tmp_path, 2000, num_days=1).paths
    path = tmp_path / "with_header.tsv"
    with open(text) as file:
        path.write_text("\t".join(CRITEO.fields) + "\n" + file.read())
    proposal = propose_schema(path)
    kinds = {column.name: column.kind for column in proposal.columns}
    assert kinds["I2"] == kinds["I5"] == "numeric"
    assert kinds["C1"] == kinds["C9"] == "categorical"
    assert num_rows_read(path, proposal.schema) == 2000


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["0", "1"]),
            st.one_of(st.just(""), st.integers(-99, 10**6).map(str)),
            st.one_of(st.just("NA"), st.floats(-1e3, 1e3, width=16).map(str)),
            st.text("abc|; x", max_size=5),
        ),
        min_size=2,
        max_size=80,
    )
)
def test_whatever_is_proposed_reads_the_file(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("any") / "a.tsv"
    lines = ["label\ta\tb\tc", *map("\t".join, values), "0\t1\t1.5\tz", "1\t2\t2.5\ty"]
    path.write_text("\n".join(lines) + "\n")
    proposal = propose_schema(path)
    if proposal.schema.columns:
        assert num_rows_read(path, proposal.schema) == len(lines) - 1


@pytest.mark.parametrize(
    ("content", "label", "message"),
    [
        ("a,b\n1,2\n3,4\n", "", "expected a label, .* named like one, .* columns a, b"),
        ("a,b\n1,2\n3,4\n", "c", "that is named c, received the columns a, b"),
        ("y,b\nu,2\nv,4\nw,5\n", "", "a column of numbers or of two texts"),
        ("label,b\n1,2\n0,2\n", "", "expected a column to predict the label label"),
        ("label,b\n", "", "expected rows below the header, received none"),
        ("label,a b\n1,2\n0,3\n", "", "received 'a b'. Rename them in the file"),
    ],
)
def test_files_without_a_schema_are_refused(content, label, message, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=message):
        propose_schema(path, label)


def test_more_than_one_file_and_one_that_is_cut_short_are_refused(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("label,b\n1,2\n0,3\n")
    with pytest.raises(ValueError, match="expected one file, received 2"):
        propose_schema(tmp_path / "*.csv")
    draw = random.Random(0)
    lines = [f"{i % 2},{draw.random()}" for i in range(100_000)]
    content = gzip.compress("\n".join(["label,b", *lines]).encode(), 1)
    (tmp_path / "c.csv.gz").write_bytes(content[:-1000])
    with pytest.raises(ValueError, match=r"c\.csv\.gz: expected a gzip file"):
        propose_schema(tmp_path / "c.csv.gz")
