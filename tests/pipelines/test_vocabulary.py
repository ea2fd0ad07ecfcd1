"""pipelines/vocabulary.py: counted against a plain Counter."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from smelu_tf.pipelines import (
    CRITEO,
    Categorical,
    Numeric,
    Schema,
    count_vocabularies,
    is_counted_from,
    read_raw_text,
)

SCHEMA = Schema(
    "ads",
    (Numeric("age"),),
    (Categorical("site", min_count=2), Categorical("kind", buckets=10)),
)


def test_most_frequent_first_ties_by_text_and_missing_not_counted():
    data = {"site": ["b", "a", "", "", "a", "c", "b", "d", "d", "d", None]}
    counted = count_vocabularies(SCHEMA, data)
    assert counted.categorical[0].vocabulary == ("d", "a", "b")
    assert counted.categorical[1] == SCHEMA.categorical[1]
    assert counted.is_counted


def test_chunks_count_like_the_whole():
    values = [f"v{i % 17}" for i in range(300)]
    whole = count_vocabularies(SCHEMA, {"site": values})
    chunks = [{"site": values[i : i + 7]} for i in range(0, 300, 7)]
    assert count_vocabularies(SCHEMA, chunks) == whole


def test_a_frame_of_numbers_counts_their_text():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"site": [5, 5, 7]})
    assert count_vocabularies(SCHEMA, frame).categorical[0].vocabulary == ("5",)


def test_text_files_count_like_a_counter(criteo_dir):
    path = criteo_dir / "day_0.tsv"
    chunks = read_raw_text(path, CRITEO).as_numpy_iterator()
    counted = count_vocabularies(CRITEO, chunks)
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    for place in (14, 20, 39):
        counter = Counter(row[place] for row in rows if row[place])
        kept = {value for value, n in counter.items() if n >= 4}
        column = counted.categorical[place - 14]
        assert set(column.vocabulary) == kept
        counts = np.array([counter[value] for value in column.vocabulary])
        assert np.all(np.diff(counts) <= 0)


def test_a_counted_schema_comes_back_as_it_is():
    counted = count_vocabularies(SCHEMA, {"site": ["a", "a"]})
    assert count_vocabularies(counted, iter(())) is counted


def test_a_counted_schema_is_known_again_and_another_is_not():
    schema = Schema("a", (), (Categorical("x", min_count=2), Categorical("y", 9)))
    counted = count_vocabularies(schema, {"x": ["u", "u", "v"], "y": ["", "", ""]})
    assert is_counted_from(counted, schema)
    assert is_counted_from(counted, counted)
    assert is_counted_from(dataclasses.replace(counted, name="b"), schema)
    for other in (
        dataclasses.replace(schema, seed=1),
        dataclasses.replace(schema, categorical=schema.categorical[:1]),
        dataclasses.replace(
            schema, categorical=(Categorical("x", min_count=2), Categorical("y", 8))
        ),
        Schema("a", (), (Categorical("z", min_count=2), Categorical("y", 9))),
    ):
        assert not is_counted_from(counted, other)
