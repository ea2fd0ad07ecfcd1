"""Requests that are none of a signature's: what is said of each."""

import pytest
import tensorflow as tf
from ugly_models import served_of
from ugly_rows import PLAIN, PLAIN_ROWS, columns_of, example, feature


@pytest.fixture
def plain(tmp_path_factory):
    return served_of(PLAIN, tmp_path_factory)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"count": feature(5.0)}, "count, .*: float but expected type: int64"),
        ({"count": feature(b"5")}, "count, .*: string but expected type: int64"),
        ({"price": feature(5)}, "price, .*: int64 but expected type: float"),
        ({"site": feature(5)}, "site, .*: int64 but expected type: string"),
        ({"tags": feature(5)}, "tags, .*Expected type: string, Actual type: int64"),
        ({"count": feature(1, 2)}, "count, .*Values size: 2 but output shape"),
        ({"site": feature(b"a", b"b")}, "site, .*Can't parse serialized Example"),
        # Of a column with one value an empty list is no missing value.
        ({"count": feature(kind=int)}, "count, .*Values size: 0 but output shape"),
        ({"site": feature(kind=bytes)}, "site, .*Values size: 0 but output shape"),
    ],
)
def test_an_example_of_another_kind_is_named_with_its_feature(plain, features, message):
    examples = tf.constant([example(), example(**features)])
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f"Key: {message}"
    ) as error:
        plain.logit("predict_examples", examples=examples)
    assert "Index: 1" in str(error.value)


def test_bytes_that_are_no_example_are_refused(plain):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not parse example input"):
        plain.logit("predict_examples", examples=tf.constant([b"no example"]))
    # The message quotes the bytes, which Python then cannot decode.
    with pytest.raises(UnicodeDecodeError):
        plain.logit("predict_examples", examples=tf.constant([b"\xff"]))


COLUMNS = columns_of(PLAIN_ROWS[:2])


def changed(**columns):
    """The raw columns of two rows, some of them others; None is left out."""
    return {n: v for n, v in {**COLUMNS, **columns}.items() if v is not None}


@pytest.mark.parametrize(
    ("signature", "arguments", "error", "message"),
    [
        # Types.
        (
            "serving_default",
            changed(count=tf.constant([1.0, 2.0])),
            tf.errors.InvalidArgumentError,
            "expected to be a double tensor but is a float tensor",
        ),
        (
            "serving_default",
            changed(count=tf.constant([1, 2], tf.int64)),
            tf.errors.InvalidArgumentError,
            "expected to be a double tensor but is a int64 tensor",
        ),
        (
            "serving_default",
            changed(price=tf.constant(["1", "2"])),
            tf.errors.InvalidArgumentError,
            "expected to be a double tensor but is a string tensor",
        ),
        (
            "serving_default",
            changed(site=tf.constant([1, 2])),
            tf.errors.InvalidArgumentError,
            "expected to be a string tensor but is a int32 tensor",
        ),
        (
            "predict_lines",
            {"lines": tf.constant([1.0])},
            tf.errors.InvalidArgumentError,
            "expected to be a string tensor but is a float tensor",
        ),
        (
            "predict_examples",
            {"examples": tf.constant([1.0])},
            tf.errors.InvalidArgumentError,
            "expected to be a string tensor but is a float tensor",
        ),
        # Ranks and lengths.
        (
            "serving_default",
            changed(count=tf.constant(1.0, tf.float64)),
            tf.errors.InvalidArgumentError,
            "shape|dim|slice|axis",  # whichever operation meets it first
        ),
        (
            "serving_default",
            changed(count=tf.constant([[1.0], [2.0]], tf.float64)),
            tf.errors.InvalidArgumentError,
            "shape|dim|slice|axis",  # whichever operation meets it first
        ),
        (
            "serving_default",
            {name: values[:, None] for name, values in COLUMNS.items()},
            tf.errors.InvalidArgumentError,
            "shape|dim|slice|axis",  # whichever operation meets it first
        ),
        (
            "serving_default",
            changed(tags=tf.constant(["x", "y", "x"])),
            tf.errors.InvalidArgumentError,
            r"expected columns \(B,\) of equally many rows, or of one value",
        ),
        (
            "predict_lines",
            {"lines": tf.constant("x")},
            tf.errors.InvalidArgumentError,
            r"input must be a vector, got shape: \[\]",
        ),
        (
            "predict_lines",
            {"lines": tf.constant([["x"]])},
            tf.errors.InvalidArgumentError,
            r"input must be a vector, got shape: \[1,1\]",
        ),
        # Names.
        (
            "serving_default",
            changed(user=None),
            TypeError,
            "missing a required argument: 'user'",
        ),
        (
            "serving_default",
            changed(label=tf.constant([1.0, 0.0], tf.float64)),
            TypeError,
            "got an unexpected keyword argument 'label'",
        ),
        ("predict_lines", {}, TypeError, "missing a required argument: 'lines'"),
        (
            "predict_lines",
            {"line": tf.constant(["x"])},
            TypeError,
            "missing a required argument: 'lines'",
        ),
        ("predict_examples", {}, TypeError, "missing a required argument: 'examples'"),
    ],
)
def test_inputs_that_are_none_of_the_signature_s(
    plain, signature, arguments, error, message
):
    with pytest.raises(error, match=message):
        plain.logit(signature, **arguments)
