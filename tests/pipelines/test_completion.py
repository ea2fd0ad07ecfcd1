"""pipelines/completion.py: counted and measured against plain Python."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from smelu_tf.pipelines import (
    CRITEO,
    Categorical,
    MultiValued,
    Numeric,
    Schema,
    complete_schema,
    completion_difference,
    read_raw_text,
)

SCHEMA = Schema(
    "ads",
    (Numeric("age"),),
    (Categorical("site", min_count=2), Categorical("kind", buckets=10)),
)


def test_most_frequent_first_ties_by_text_and_missing_not_counted():
    data = {"site": ["b", "a", "", "", "a", "c", "b", "d", "d", "d", None]}
    counted = complete_schema(SCHEMA, data)
    assert counted.categorical[0].vocabulary == ("d", "a", "b")
    assert counted.categorical[1] == SCHEMA.categorical[1]
    assert counted.is_complete


def test_chunks_count_like_the_whole():
    values = [f"v{i % 17}" for i in range(300)]
    whole = complete_schema(SCHEMA, {"site": values})
    chunks = [{"site": values[i : i + 7]} for i in range(0, 300, 7)]
    assert complete_schema(SCHEMA, chunks) == whole


def test_a_frame_of_numbers_counts_their_text():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"site": [5, 5, 7]})
    assert complete_schema(SCHEMA, frame).categorical[0].vocabulary == ("5",)


def test_text_files_count_like_a_counter(criteo_dir):
    path = criteo_dir / "day_0.tsv"
    chunks = read_raw_text(path, CRITEO).as_numpy_iterator()
    counted = complete_schema(CRITEO, chunks)
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    for place in (14, 20, 39):
        counter = Counter(row[place] for row in rows if row[place])
        kept = {value for value, n in counter.items() if n >= 4}
        column = counted.categorical[place - 14]
        assert set(column.vocabulary) == kept
        counts = np.array([counter[value] for value in column.vocabulary])
        assert np.all(np.diff(counts) <= 0)


def test_a_counted_schema_comes_back_as_it_is():
    counted = complete_schema(SCHEMA, {"site": ["a", "a"]})
    assert complete_schema(counted, iter(())) is counted


def test_a_completion_is_known_again_and_another_is_not():
    schema = Schema(
        "a",
        (Numeric("n", standardize=True),),
        (Categorical("x", min_count=2), Categorical("y", 9)),
    )
    data = {"x": ["u", "u", "v"], "y": ["", "", ""], "n": [1, 2, 3]}
    complete = complete_schema(schema, data)
    assert complete.is_complete
    assert not completion_difference(complete, schema)
    assert not completion_difference(complete, complete)
    assert not completion_difference(dataclasses.replace(complete, name="b"), schema)
    x, y = schema.categorical
    for change, difference in (
        ({"seed": 1}, "seed (1, not 0)"),
        ({"categorical": (x,)}, "the categorical columns (x, not x, y)"),
        ({"categorical": (x, Categorical("y", 8))}, "y.buckets (8, not 9)"),
        ({"numeric": (Numeric("n"),)}, "n.standardize (False, not True), n.mean"),
    ):
        other = dataclasses.replace(schema, **change)
        assert completion_difference(complete, other).startswith(difference)


def test_moments_are_those_of_the_clipped_and_transformed_values():
    column = Numeric("n", "float64", "log1p", clip=(1.0, 50.0), standardize=True)
    values = np.random.default_rng(0).exponential(20, 5000) - 1
    values[::7] = np.nan
    schema = Schema("a", (column,), ())
    whole = complete_schema(schema, {"n": values}).numeric[0]
    finite = np.log1p(np.clip(values[np.isfinite(values)], 1, 50))
    assert whole.mean == pytest.approx(finite.mean(), rel=1e-5)
    assert whole.standard_deviation == pytest.approx(finite.std(), rel=1e-5)
    # Neither chunks nor the order of rows show.
    chunks = [{"n": values[::-1][i : i + 13]} for i in range(0, 5000, 13)]
    assert complete_schema(schema, chunks).numeric[0] == whole


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_equal_values_are_not_scaled(value):
    column = Numeric("n", "float64", "none", standardize=True)
    complete = complete_schema(Schema("a", (column,), ()), {"n": [value] * 3})
    assert complete.numeric[0].standard_deviation == 1
    assert complete.numeric[0].mean == pytest.approx(value)


def test_values_of_a_multi_valued_column_count_one_by_one():
    schema = Schema("a", (), (), multivalued=(MultiValued("tags", min_count=2),))
    complete = complete_schema(schema, {"tags": ["x|y", "y", "", "z|x|y", "z||"]})
    assert complete.multivalued[0].vocabulary == ("y", "x", "z")
