"""pipelines/in_memory.py: rows as arrays, and as batches again."""

import films
import numpy as np
import pytest
import small_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf.pipelines import BadRowError, InMemoryRows, open_rows, read_rows


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Rows with a column of every kind, their file and schema."""
    path = tmp_path_factory.mktemp("films") / "rows.tsv"
    films.write(path, films.make_rows(240))
    schema = open_rows(path).complete(films.SCHEMA)
    return InMemoryRows.read(open_rows(path), schema), path, schema


def test_rows_are_those_that_the_reader_gives(read):
    rows, path, schema = read
    (batch,) = read_rows(path, schema, 1000).as_numpy_iterator()
    assert len(rows) == 240
    assert rows.features.keys() == batch.features.keys() >= {"genres"}
    for name, values in batch.features.items():
        np.testing.assert_array_equal(rows.features[name], values)
    np.testing.assert_array_equal(rows.label, batch.label)
    np.testing.assert_array_equal(rows.weight, batch.weight)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 100))
def test_batches_are_the_rows_in_their_order(num_rows, batch_size):
    rows = small_rows.make_rows(num_rows)
    batches = [*rows.batches(batch_size).as_numpy_iterator()]
    sizes = [len(batch.label) for batch in batches]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    assert 0 < sizes[-1] <= batch_size and sum(sizes) == num_rows
    for name in ("label", "weight"):
        together = np.concatenate([getattr(batch, name) for batch in batches])
        np.testing.assert_array_equal(together, getattr(rows, name))
    for name, values in rows.features.items():
        together = np.concatenate([batch.features[name] for batch in batches])
        np.testing.assert_array_equal(together, values)


def test_batches_can_be_read_again():
    batches = small_rows.make_rows(50).batches(20)
    first, again = ([*batches.as_numpy_iterator()] for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.features["ids"], b.features["ids"])


def test_a_slice_and_a_choice_of_rows_are_rows():
    rows = small_rows.make_rows(50)
    part, chosen = rows[10:30], rows[np.array([3, 3, 49])]
    assert len(part) == 20 and len(chosen) == 3
    np.testing.assert_array_equal(part.label, rows.label[10:30])
    np.testing.assert_array_equal(part.features["ids"], rows.features["ids"][10:30])
    np.testing.assert_array_equal(chosen.weight, rows.weight[[3, 3, 49]])
    numeric = rows.features["numeric"]
    np.testing.assert_array_equal(chosen.features["numeric"], numeric[[3, 3, 49]])


def test_a_row_that_does_not_parse_is_named(read, tmp_path):
    _, path, schema = read
    lines = path.read_text().splitlines()
    bad = tmp_path / "bad.tsv"
    bad.write_text("\n".join([*lines[:5], "x"]) + "\n")
    with pytest.raises(BadRowError, match=r"bad\.tsv, line 6: expected"):
        InMemoryRows.read(open_rows(bad), schema)


def test_a_file_without_rows_is_refused(read, tmp_path):
    _, path, schema = read
    empty = tmp_path / "empty.tsv"
    empty.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(ValueError, match="expected rows, received"):
        InMemoryRows.read(open_rows(empty), schema)
