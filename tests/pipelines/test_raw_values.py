"""pipelines/raw_values.py: columns of dicts, tensors and DataFrames."""

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.pipelines import (
    Categorical,
    MultiValued,
    Numeric,
    Schema,
    raw_columns,
    read_raw,
)
from smelu_tf.pipelines.raw_values import text_values

SCHEMA = Schema(
    "ads",
    (Numeric("age"), Numeric("price", "float64")),
    (Categorical("site", buckets=50), Categorical("kind", buckets=50)),
)


def test_raw_columns_of_a_dict_and_of_a_frame_agree():
    pandas = pytest.importorskip("pandas")
    data = {
        "age": [1, None, 3],
        "price": [0.5, float("nan"), None],
        "site": ["a", None, float("nan")],
        "kind": [1, 2, 3],
        "unused": [object()] * 3,
    }
    ours = raw_columns(data, SCHEMA)
    theirs = raw_columns(pandas.DataFrame(data), SCHEMA)
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])
    np.testing.assert_array_equal(ours["age"], [1.0, np.nan, 3.0])
    assert ours["site"].tolist() == [b"a", b"", b""]
    assert ours["kind"].tolist() == [b"1", b"2", b"3"]


def test_tensors_and_na_and_integers_that_became_floats():
    pandas = pytest.importorskip("pandas")
    raw = raw_columns(
        {
            "age": np.array([1, pandas.NA], object),
            "price": tf.constant([0.5, np.nan]),
            "site": tf.constant(["a", "b"]),
            "kind": pandas.Series([1, None]),
        },
        SCHEMA,
    )
    np.testing.assert_array_equal(raw["age"], [1.0, np.nan])
    np.testing.assert_array_equal(raw["price"], [0.5, np.nan])
    assert raw["site"].tolist() == [b"a", b"b"]
    assert raw["kind"].tolist() == [b"1", b""]


def test_truth_values_have_one_text_whatever_holds_them(tmp_path):
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    schema = Schema(
        "a", (), (Categorical("c", 9),), multivalued=(MultiValued("several", 9),)
    )
    data = {"c": [True, None, False], "several": [[True, False], [], None]}
    columns = pyarrow.table({"label": [0, 1, 0], **data})
    pyarrow.parquet.write_table(columns, tmp_path / "a.parquet")
    (parquet,) = read_raw(tmp_path / "a.parquet", schema).as_numpy_iterator()
    for raw in (
        parquet,
        raw_columns(data, schema),
        raw_columns(pandas.DataFrame(data), schema),
    ):
        assert raw["c"].tolist() == [b"true", b"", b"false"]
        assert raw["several"].tolist() == [b"true|false", b"", b""]
    plain = text_values(np.array([True, False]), schema.categorical[0])
    assert plain.tolist() == [b"true", b"false"]


def test_numbers_may_be_text_whatever_holds_it():
    for values in (["31", "2.5"], [b"31", 2.5], np.array(["31", 2.5], object)):
        got = raw_columns({"n": values}, Schema("a", (Numeric("n"),), ()))
        assert got["n"].tolist() == [31.0, 2.5]


def test_what_is_missing_in_a_list_is_left_out():
    pandas = pytest.importorskip("pandas")
    nan, na = float("nan"), pandas.NA
    column = MultiValued("genres", 9)
    rows = [["a", nan], [None, "b", na, "c"], [nan], np.array([1.0, nan, 2.5])]
    expected = [b"a", b"b|c", b"", b"1|2.5"]
    assert text_values(rows, column).tolist() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": None}, "received none named age"),
        ({"age": ["x", "y"]}, "column age: expected numbers"),
        ({"age": [1, "x"]}, r"column age: expected numbers, received 'x'\.$"),
        ({"age": ["31", "x"]}, r"column age: expected numbers, received 'x'\.$"),
        ({"age": [b"31", b"x"]}, r"column age: expected numbers, received b'x'\.$"),
        ({"age": [None, "31", "x"]}, r"age: expected numbers, received 'x'\.$"),
        (
            {"age": np.array(["2026-01-02"], "datetime64[D]")},
            r"column age: expected numbers, received '2026-01-02'\.$",
        ),
        ({"price": [1.0]}, "column price: expected 2 values as age has, received 1"),
        ({"site": ["a"]}, "column site: expected 2 values as age has, received 1"),
        ({"age": [[1], [2]]}, r"column age: expected shape \(B,\), received \(2, 1\)"),
        ({"site": [["a"], ["b"]]}, r"site: expected shape \(B,\), received \(2, 1\)"),
        ({"site": "a", "age": 1}, r"column age: expected shape \(B,\), received \(\)"),
    ],
)
def test_bad_raw_columns_are_refused(change, message):
    data = {"age": [1, 2], "price": [1.0, 2.0], "site": ["a", "b"], "kind": ["a", "b"]}
    data |= change
    data = {name: values for name, values in data.items() if values is not None}
    with pytest.raises(ValueError, match=message):
        raw_columns(data, SCHEMA)
