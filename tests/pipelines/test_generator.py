"""pipelines/generator.py: rows that depend on nothing but their index and the seed."""

import dataclasses

import numpy as np
import pytest

from smelu_tf.pipelines.generator import generate_rows


def assert_same_rows(actual, expected):
    for field in dataclasses.fields(expected):
        np.testing.assert_array_equal(
            getattr(actual, field.name), getattr(expected, field.name)
        )


@pytest.mark.parametrize("cuts", [[1, 4095, 4096, 4097], [5000, 12_000], [8192]])
def test_rows_do_not_depend_on_how_they_are_cut(cuts):
    whole = generate_rows(0, 13_000, 20_000)
    edges = [0, *cuts, 13_000]
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        part = generate_rows(start, stop, 20_000)
        assert_same_rows(part, whole.sliced(start, stop))


def test_blocks_are_independent_streams():
    rows = generate_rows(0, 8192, 8192)
    first, second = rows.numeric[:4096, 4], rows.numeric[4096:, 4]
    correlation = np.corrcoef(np.log1p(first), np.log1p(second))[0, 1]
    assert abs(correlation) < 5 / np.sqrt(4096)


def test_no_rows_have_no_length():
    rows = generate_rows(7, 7)
    assert len(rows) == 0
    assert rows.to_text() == b""


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 101)])
def test_ranges_outside_the_data_are_refused(start, stop):
    with pytest.raises(ValueError, match="expected 0 <= start <= stop <= num_rows"):
        generate_rows(start, stop, num_rows=100)
