"""pipelines/columns.py: columns that cannot be."""

import pytest

from smelu_tf.pipelines import Categorical, Numeric


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Numeric("a", dtype="int32"), "expected one of int64, float64"),
        (lambda: Numeric("a", transform="sqrt"), "expected one of log1p, none"),
        (lambda: Categorical("a"), "expected one of buckets, vocabulary and min_count"),
        (lambda: Categorical("a", buckets=5, min_count=2), "expected one of buckets"),
        (lambda: Categorical("a", buckets=1), "expected at least 2 buckets"),
        (lambda: Categorical("a", min_count=-1), "expected min_count of 0 or more"),
        (lambda: Categorical("a", vocabulary=("x", "x")), "distinct, non-empty"),
        (lambda: Categorical("a", vocabulary=("",)), "distinct, non-empty"),
        (lambda: Categorical("a", min_count=1, pattern="("), "regular expression"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
