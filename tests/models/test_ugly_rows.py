"""Rows as they come in the wild: what becomes of them is written down, by hand.

All signatures and the model itself have to agree, to the bit.
"""

import bisect
import math

import numpy as np
import pytest
import tensorflow as tf
from ugly_models import served_of
from ugly_rows import (
    LAST_BIN,
    NONE,
    PLAIN,
    QUOTED,
    ROWS,
    STRIPPED,
    Row,
    columns_of,
    example,
    example_of,
    feature,
    good,
    ref_features,
)

from smelu_tf.pipelines import BadRows, read_rows
from smelu_tf.pipelines.columns import BIN_BOUNDARIES


@pytest.fixture(params=[PLAIN, STRIPPED, QUOTED], ids=lambda schema: schema.name)
def served(request, tmp_path_factory):
    return served_of(request.param, tmp_path_factory)


@pytest.fixture
def plain(tmp_path_factory):
    return served_of(PLAIN, tmp_path_factory)


def test_the_bins_written_down_are_those_of_the_boundaries():
    rows = [row for rows in ROWS.values() for row in rows]
    for row in rows:
        count = row.raw[0]
        place = bisect.bisect_right(BIN_BOUNDARIES, count)
        assert row.bin == (0 if math.isnan(count) else 1 + place), row.line


def test_lines_have_the_features_written_down(served):
    rows = ROWS[served.schema.name]
    got = served.loaded.transform_lines(tf.constant([row.line for row in rows]))
    expected = ref_features(rows)
    assert set(got) == set(expected)
    for i, row in enumerate(rows):
        alone = served.loaded.transform_lines(tf.constant([row.line]))
        for name, values in expected.items():
            np.testing.assert_array_equal(got[name][i], values[i], str(row.line[:80]))
            np.testing.assert_array_equal(alone[name][0], values[i])


def test_every_signature_scores_them_as_the_model_itself(served):
    rows = ROWS[served.schema.name]
    expected = served.own_logit(rows)
    assert np.all(np.isfinite(expected))
    for signature, arguments in (
        ("predict_lines", {"lines": tf.constant([row.line for row in rows])}),
        ("serving_default", columns_of(rows)),
        ("predict_examples", {"examples": tf.constant([*map(example_of, rows)])}),
    ):
        got = served.logit(signature, **arguments)
        np.testing.assert_array_equal(got, expected, signature)


def test_training_reads_them_alike_or_refuses_them(served, tmp_path):
    rows, schema = ROWS[served.schema.name], served.schema
    label = schema.delimiter.encode() + b"1\n"
    # No line of a file holds an end of line.
    rows = [row for row in rows if b"\n" not in row.line.rstrip(b"\r\n")]
    lines = [row.line.rstrip(b"\r\n") + label for row in rows]
    (tmp_path / "rows.txt").write_bytes(b"".join(lines))
    bad_rows = BadRows(len(rows), tmp_path / "rejects.txt", quote=False)
    (batch,) = read_rows(tmp_path / "rows.txt", schema, 100, bad_rows=bad_rows)
    refused = [line for row, line in zip(rows, lines, strict=True) if not row.is_read]
    # Of a schema with strip they come without the spaces around fields.
    rejects = (tmp_path / "rejects.txt").read_bytes()
    assert rejects.replace(b" ", b"") == b"".join(refused).replace(b" ", b"")
    expected = ref_features([row for row in rows if row.is_read])
    for name, values in expected.items():
        np.testing.assert_array_equal(batch.features[name], values)


@pytest.mark.parametrize(
    ("count", "price", "bin"),
    [
        (math.inf, -math.inf, 0),
        (-math.inf, math.inf, 0),
        (math.nan, math.nan, 0),
        (2.5, 0.1, 4),  # no integer, and taken all the same
        (1e300, 1e-300, LAST_BIN),
        (-1e300, -1e-300, 1),
        (-0.0, -0.0, 2),
        (5e-324, 3e38, 2),
        (2.0**63, -3e38, LAST_BIN),
    ],
)
def test_numbers_by_name_may_be_any(plain, count, price, bin):
    row = Row(b"", good(count=count, price=price), 2, bin, (2, 3))
    got = plain.logit("serving_default", **columns_of([row]))
    np.testing.assert_array_equal(got, plain.own_logit([row]))
    assert np.all(np.isfinite(got))


NOTHING = (NONE, NONE, b"", b"", b"")


@pytest.mark.parametrize(
    ("features", "row"),
    [
        ({}, Row(b"", NOTHING, 0, 0, (0, -1))),
        # A feature without a kind, an empty list of tags, one that no column is of.
        (
            {"count": tf.train.Feature(), "site": tf.train.Feature()},
            Row(b"", NOTHING, 0, 0, (0, -1)),
        ),
        ({"tags": feature(kind=bytes)}, Row(b"", NOTHING, 0, 0, (0, -1))),
        ({"other": feature(1.0)}, Row(b"", NOTHING, 0, 0, (0, -1))),
        (
            {"site": feature(b""), "user": feature(b""), "tags": feature(b"")},
            Row(b"", NOTHING, 0, 0, (0, -1)),
        ),
        (
            {"count": feature(2**63 - 1), "price": feature(math.nan)},
            Row(b"", (2.0**63, NONE, b"", b"", b""), 0, LAST_BIN, (0, -1)),
        ),
        (
            {"count": feature(-(2**63) + 1), "price": feature(math.inf)},
            Row(b"", (-(2.0**63), NONE, b"", b"", b""), 0, 1, (0, -1)),
        ),
        # The least integer is the one that stands for a missing one.
        (
            {"count": feature(-(2**63)), "price": feature(-math.inf)},
            Row(b"", NOTHING, 0, 0, (0, -1)),
        ),
        # 32 bits: 0.1 is another number there.
        (
            {"price": feature(0.1)},
            Row(b"", (NONE, float(np.float32(0.1)), b"", b"", b""), 0, 0, (0, -1)),
        ),
        # Both forms of several values, mixed.
        (
            {"tags": feature(b"", b"y|x", b"x")},
            Row(b"", (NONE, NONE, b"", b"", b"|y|x|x"), 0, 0, (3, 2)),
        ),
        (
            {"site": feature(b"a\t"), "user": feature(b"0a\r\n")},
            Row(b"", (NONE, NONE, b"a\t", b"0a\r\n", b""), 1, 0, (0, -1)),
        ),
    ],
)
def test_examples_of_every_kind(plain, features, row):
    got = plain.logit("predict_examples", examples=tf.constant([example(**features)]))
    np.testing.assert_array_equal(got, plain.own_logit([row]))
    by_name = plain.logit("serving_default", **columns_of([row]))
    np.testing.assert_array_equal(by_name, got)


def test_the_text_of_a_missing_value_is_one_in_every_signature(tmp_path_factory):
    stripped = served_of(STRIPPED, tmp_path_factory)
    nothing = Row(b"", NOTHING, 0, 0, (0, -1))
    expected = stripped.own_logit([nothing])
    texts = {name: feature(b"?") for name in ("site", "user", "tags")}
    got = stripped.logit("predict_examples", examples=tf.constant([example(**texts)]))
    np.testing.assert_array_equal(got, expected)
    columns = columns_of([nothing]) | dict.fromkeys(texts, tf.constant(["?"]))
    got = stripped.logit("serving_default", **columns)
    np.testing.assert_array_equal(got, expected)


WRONG = {
    "plain": [(b"", 1), (b"5", 1), (b"\t\t\t", 4), (b"\t\t\t\t\t", 6)],
    "stripped": [(b"", 1), (b" ? ", 1), (b"\t\t\t", 4), (b"\t\t\t\t ?\t", 6)],
    "quoted": [
        (line, None)
        for line in (
            b"",
            b"5",
            b",,,",
            b",,,,,",
            b'5,1.5,a"b,z,x',
            b'"5,1.5,a,z,x',
            b'5,1.5,"a"b,z,x',
            b'5,1.5, "a" ,z,x',
            b"5,1.5,a\nb,z,x",
        )
    ],
}


def test_a_line_of_another_number_of_fields_names_its_row(served):
    name = served.schema.name
    line = ROWS[name][0].line
    for wrong, received in WRONG[name]:
        message = rf"row 2 of the batch, from 0: expected 5 fields \({name}\)"
        message += f", received {received}" if received else " with quotes in pairs"
        lines = tf.constant([line, line, wrong, line, wrong])
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            served.logit("predict_lines", lines=lines)
