"""pipelines/parquet.py: types of columns, and files that do not fit."""

import pyarrow
import pyarrow.parquet
import pytest
from same_bits import all_of

from smelu_tf.pipelines import (
    BadRowError,
    BadRows,
    Categorical,
    MultiValued,
    Numeric,
    Schema,
    bad_row_errors,
    read_parquet,
    read_raw,
)
from smelu_tf.pipelines.parquet import count_parquet_rows, open_parquet


def test_integers_and_floats_of_parquet_are_taken_as_the_schema_says(tmp_path):
    schema = Schema(
        "a",
        (Numeric("n", transform="none"),),
        (Categorical("c", vocabulary=("1", "2")),),
        time="t",
    )
    columns = {
        "label": pyarrow.array([True, False, True]),
        "n": pyarrow.array([1.0, None, 3.0]),
        "c": pyarrow.array([1.0, None, 2.0]),
        "t": pyarrow.array([0, 1, 2], pyarrow.timestamp("s")),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    batch = all_of(read_parquet(tmp_path / "a.parquet", schema, 3))
    assert batch.label.tolist() == [1, 0, 1]
    assert batch.features["numeric"].tolist() == [[1, 0], [0, 1], [3, 0]]
    assert batch.features["ids"][:, 0].tolist() == [2, 0, 3]
    (raw,) = read_raw(tmp_path / "a.parquet", schema).as_numpy_iterator()
    assert raw["t"].tolist() == [0, 1, 2]
    codes = pyarrow.array([1, None, 2]).dictionary_encode()
    columns |= {"c": codes, "n": pyarrow.array([1.5, 2.0, float("inf")])}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "b.parquet")
    bad_rows = BadRows(2, quote=False)
    batch = all_of(read_parquet(tmp_path / "b.parquet", schema, 3, bad_rows=bad_rows))
    assert batch.features["ids"].tolist() == [[0]]
    assert bad_rows.count == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": None}, "a.parquet: expected a column n, received none of this name"),
        ({"n": ["x", "y"]}, "a.parquet, column n: expected numbers, received string"),
        ({"c": [["x"], ["y"]]}, "a.parquet, column c: expected text, received list"),
    ],
)
def test_columns_of_parquet_that_do_not_fit_are_refused(change, message, tmp_path):
    schema = Schema("a", (Numeric("n"),), (Categorical("c", 9),))
    columns = {"label": [0, 1], "n": [1, 2], "c": ["a", "b"], **change}
    columns = {name: values for name, values in columns.items() if values}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=message):
        read_parquet(tmp_path / "a.parquet", schema, 3)


def test_files_whose_rows_are_counted_are_closed(tmp_path, monkeypatch):
    path, opened = str(tmp_path / "a.parquet"), []
    pyarrow.parquet.write_table(pyarrow.table({"n": [1, 2, 3]}), path)

    def kept(path):
        opened.append(open_parquet(path))
        return opened[-1]

    monkeypatch.setattr("smelu_tf.pipelines.parquet.open_parquet", kept)
    assert count_parquet_rows([path, path]) == 6
    assert [file.closed for file in opened] == [True, True]


def test_a_list_with_the_separator_in_a_value_is_an_error(tmp_path):
    schema = Schema("a", (), (), multivalued=(MultiValued("c", 9),))
    columns = {"label": [0, 1], "c": [["a"], ["x|y"]]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(BadRowError, match="without the separator"), bad_row_errors():
        all_of(read_parquet(tmp_path / "a.parquet", schema, 3))
