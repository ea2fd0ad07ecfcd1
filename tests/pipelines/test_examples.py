"""pipelines/examples.py: types of features, and records that do not fit."""

import pytest
import tensorflow as tf
from films import example_of
from same_bits import all_of

from smelu_tf.pipelines import (
    Categorical,
    MultiValued,
    Numeric,
    Schema,
    read_examples,
    read_raw,
    read_rows,
)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"n": "x"}, "record 1, feature n: expected float32 or int64, received string"),
        ({"c": 1.5}, "record 1, feature c: expected int64 or string, received float32"),
        ({"z": 1}, "expected Examples with the columns of schema a, received none"),
    ],
)
def test_examples_that_do_not_fit_are_refused(features, message, tmp_path):
    schema = Schema("a", (Numeric("n"),), (Categorical("c", 9),))
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as file:
        file.write(example_of(features))
    with pytest.raises(ValueError, match=message):
        read_examples(tmp_path / "a.tfrecord", schema, 3)


def test_records_that_are_no_examples_are_refused(tmp_path):
    schema = Schema("a", (Numeric("n"),), ())
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as file:
        file.write(b"\xff" * 20)
    with pytest.raises(ValueError, match=r"record 1: expected a tf.train.Example"):
        read_rows(tmp_path / "a.tfrecord", schema, 3)


def test_ids_of_examples_may_be_integers(tmp_path):
    schema = Schema("a", (), (Categorical("c", vocabulary=("7",)),))
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as file:
        for features in ({"c": 7, "label": 1}, {"c": 8, "label": 0}, {"label": 0}):
            file.write(example_of(features))
    batch = all_of(read_examples(tmp_path / "a.tfrecord", schema, 3))
    assert batch.features["ids"][:, 0].tolist() == [2, 1, 0]


def test_the_separator_in_a_value_of_a_list_makes_it_several(tmp_path):
    """Not refused, as of other formats: docs/decisions.md, Input."""
    schema = Schema("a", (), (), multivalued=(MultiValued("genres", 9),))
    values = tf.train.BytesList(value=[b"sci|fi", b"drama"])
    label = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    features = {"genres": tf.train.Feature(bytes_list=values), "label": label}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as file:
        file.write(example.SerializeToString())
    (raw,) = read_raw(tmp_path / "a.tfrecord", schema).as_numpy_iterator()
    assert raw["genres"].tolist() == [b"sci|fi|drama"]
