"""pipelines/column_proposal.py: each kind of column, on files that are then read."""

import pyarrow
import pyarrow.parquet
import pytest
from proposed_schemas import num_rows_read

from smelu_tf.pipelines import Categorical, Label, propose_schema


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
