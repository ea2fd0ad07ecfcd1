"""pipelines/unlabelled.py against a plain Python parser."""

import math

import numpy as np
import pytest
import tensorflow as tf
from criteo_lines import GOOD, changed, ref_raw

from smelu_tf.pipelines import CRITEO, Categorical, Numeric, Schema, parse_unlabelled

QUOTED = Schema(
    "ads",
    (Numeric("age"),),
    (Categorical("site", buckets=10), Categorical("page", buckets=10)),
    delimiter=",",
    quoted=True,
)


def test_scored_lines_are_read_like_labelled_ones(criteo_dir):
    lines = (criteo_dir / "day_0.tsv").read_text().splitlines()[:500]
    unlabelled = [line.partition("\t")[2] for line in lines]
    unlabelled[0] += "\r\n"
    raw = parse_unlabelled(tf.constant(unlabelled), CRITEO)
    expected = [ref_raw(line) for line in lines]
    assert set(raw) == set(CRITEO.feature_fields)
    for name, values in raw.items():
        reference = np.array([row[name] for row in expected])
        np.testing.assert_array_equal(values.numpy().astype(reference.dtype), reference)


def test_a_scored_number_that_does_not_parse_is_missing():
    line = changed(3, "0x1F").partition("\t")[2]
    raw = parse_unlabelled(tf.constant([line]), CRITEO)
    assert math.isnan(raw["I3"].numpy()[0])
    assert raw["I2"].numpy()[0] == 1.0


def test_a_scored_line_with_another_number_of_fields_names_its_row():
    line = GOOD.partition("\t")[2]
    message = r"row 2 of the batch, from 0: expected 39 fields \(criteo\), received 40"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        parse_unlabelled(tf.constant([line, line, line + "\t"]), CRITEO)
    assert parse_unlabelled(tf.constant([], tf.string), CRITEO)["I1"].shape == (0,)


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc3", b"\xf0\x9f", b"\xed\xa0\x80", b"\0"]
)
def test_text_of_a_scored_line_may_be_any_bytes_in_quotes_or_without(text):
    lines = [b"1,%s,b" % text, b'1,"%s",b' % text, b'1,"%s,""",b' % text]
    raw = parse_unlabelled(tf.constant(lines), QUOTED)
    assert raw["site"].numpy().tolist() == [text, text, text + b',"']
    assert raw["page"].numpy().tolist() == [b"b"] * 3


@pytest.mark.parametrize(
    "line", [b"1,a", b"1,a,b,c", b"", b'1,a"b,c', b'1,"a,b', b'1,"a"b,c', b"1,a\nb,c"]
)
def test_a_scored_line_of_other_quotes_names_its_row(line):
    message = r"row 1 of the batch, from 0: expected 3 fields \(ads\) with quotes"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        parse_unlabelled(tf.constant([b"1,a,b", line]), QUOTED)
