"""pipelines/proposal.py: a proposal that fits, and reads the file it was made for."""

import csv
import gzip
import random

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf.pipelines import (
    CRITEO,
    Categorical,
    Label,
    complete_schema_from,
    generate,
    propose_schema,
    read_rows,
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


def num_rows_read(path, schema):
    """The rows that the schema reads; the first that does not parse is an error."""
    complete = complete_schema_from(path, schema)
    return sum(len(batch.label) for batch in read_rows(path, complete, 64))


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


def test_many_texts_are_hashed_and_labels_may_be_anything(tmp_path):
    path = tmp_path / "a.csv"
    incomes = ["<=50K", ">50K", ">50K"]
    lines = [f"t{i % 12_000},{i % 5 + 1},{incomes[i % 3]}" for i in range(24_000)]
    path.write_text("\n".join(["page,rating,income", *lines]))
    proposal = propose_schema(path, label="rating")
    assert proposal.schema.label == Label("rating", at_least=3)
    assert proposal.schema.categorical[0] == Categorical("page", buckets=1 << 15)
    proposal = propose_schema(path, label="income")
    assert proposal.schema.label == Label("income", positive=("<=50K",))
    assert num_rows_read(path, proposal.schema) == 24_000
    # Without a name the better known one.
    assert propose_schema(path).schema.label.name == "rating"


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


@settings(max_examples=30, deadline=None)
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
        ("label,b\n1,2\n\n0,3\n", "", "line 3: .*, received an empty line"),
        (
            'label,b\n1,"u"\n0,"v\nw"\n1,"x"\n0,"y"\n',
            "",
            "line 3: expected quotes in p",
        ),
        ("label,b\n1,caf\xe9\n", "", r"line 2: expected UTF-8 text, received b'\\xe9"),
        ("label\n1\n0\n", "", "line 1: expected a header of fields"),
        pytest.param(200_000 * "x", "", "expected a header of fields", id="one line"),
        ("label,b\n", "", "expected rows below the header, received none"),
        ("label,b\n1,2\n1\n", "", "line 3: expected 2 fields .*, received 1"),
        ("label,b,b\n1,2,3\n", "", "expected distinct names, received b"),
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


@pytest.mark.parametrize(
    ("values", "kind", "quoted", "strip"),
    [
        (["u", "v"] * 100 + ['"v, w"'], "categorical", True, False),
        (['5" pipe', "u"] * 100, "categorical", False, False),
        ([" u", " v "] * 100, "categorical", False, True),
        ([str(10**18 + i % 90) for i in range(200)], "categorical", False, False),
        ([str(10**18 + 7 * i) for i in range(200)], "skipped", False, False),
        ([f"{70 * i % 9973:05d}" for i in range(90)] * 2, "categorical", False, False),
        ([str(i) for i in range(200)], "skipped", False, False),
        ([str(i * 7 % 199) for i in range(199)], "numeric", False, False),
    ],
)
def test_quotes_spaces_ids_and_numbers_of_rows(values, kind, quoted, strip, tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"{i % 2},{i % 3},{value}" for i, value in enumerate(values)]
    path.write_text("\n".join(["label,other,x", *rows]) + "\n")
    proposal = propose_schema(path)
    assert proposal.columns[2].kind == kind
    assert (proposal.schema.quoted, proposal.schema.strip) == (quoted, strip)
    assert num_rows_read(path, proposal.schema) == len(values)


def test_a_column_that_is_nearly_always_zero_is_skewed(tmp_path):
    path = tmp_path / "a.csv"
    losses = [100 + i if i % 25 == 0 else 0 for i in range(2000)]
    rows = [f"{i % 2},{loss}" for i, loss in enumerate(losses)]
    path.write_text("\n".join(["label,loss", *rows]) + "\n")
    assert propose_schema(path).schema.numeric[0].transform == "log1p"


def test_what_comes_after_many_values_counts_too(tmp_path, monkeypatch):
    monkeypatch.setattr("smelu_tf.pipelines.proposal._MAX_DISTINCT", 100)
    path = tmp_path / "a.csv"
    rows = [f"{i % 2},{i}.5,{i * 7 % 401},n{i}" for i in range(400)]
    path.write_text("\n".join(["label,a,b,c", *rows, "1,NA,x,n"]) + "\n")
    proposal = propose_schema(path)
    kinds = {column.name: column.kind for column in proposal.columns}
    assert kinds == {"label": "label", "a": "numeric", "b": "skipped", "c": "skipped"}
    assert proposal.schema.missing == "NA"
    assert proposal.columns[1].num_distinct == 100 and proposal.columns[1].has_more
    assert num_rows_read(path, proposal.schema) == 401


def test_parquet_s_types_are_heeded(tmp_path):
    moments = pyarrow.array([10**18 + 1001 * i for i in range(200)])
    columns = {
        "label": [str(i % 2) for i in range(200)],
        "time": moments.cast(pyarrow.timestamp("ns")),
        "zip": [str(10_000 + i % 90) for i in range(200)],
        "genres": [["u", "v"] if i % 2 else ["w"] for i in range(200)],
        "place": [{"x": i % 3} for i in range(200)],
        "age": [i % 90 for i in range(200)],
        "age_bin": [i % 9 for i in range(200)],
    }
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    proposal = propose_schema(path)
    assert {
        column.name: (column.kind, column.dtype) for column in proposal.columns
    } == {
        "label": ("label", "text"),
        "time": ("time", "time"),
        "zip": ("categorical", "text"),
        "genres": ("multi-valued", "list"),
        "place": ("skipped", "other"),
        "age": ("numeric", "int64"),
        "age_bin": ("categorical", "int64"),
    }
    assert proposal.schema.label == Label("label", positive=("1",))
    assert num_rows_read(path, proposal.schema) == 200
