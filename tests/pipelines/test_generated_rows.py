"""pipelines/generated_rows.py: the text of rows against plain formatting."""

import dataclasses

import numpy as np
import pytest
from criteo_rows import CATEGORICALS, INTEGERS, column

from smelu_tf.pipelines.generator import generate_rows


def test_text_is_that_of_plain_formatting():
    rows = generate_rows(0, 3000)
    expected = []
    for i in range(len(rows)):
        fields = [str(rows.label[i])]
        for name in INTEGERS:
            values, missing = column(rows, name)
            fields.append("" if missing[i] else str(values[i]))
        for name in CATEGORICALS:
            values, missing = column(rows, name)
            fields.append("" if missing[i] else f"{values[i]:08x}")
        expected.append("\t".join(fields) + "\n")
    assert rows.to_text().decode() == "".join(expected)


@pytest.mark.parametrize("value", [-3, 0, 9, 10, 9_999, 10_000, 10_203, 23_159_456])
def test_integers_of_any_length_are_written_in_full(value):
    rows = generate_rows(0, 1)
    rows = dataclasses.replace(
        rows,
        numeric=np.full((1, 13), value),
        numeric_missing=np.zeros((1, 13), bool),
    )
    assert rows.to_text().split(b"\t")[1:14] == [str(value).encode()] * 13
