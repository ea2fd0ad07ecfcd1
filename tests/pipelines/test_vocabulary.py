"""pipelines/vocabulary.py against a plain Counter, with and without files."""

import os
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smelu_tf.pipelines.vocabulary import ValueCounter

VALUES = st.binary(max_size=2)


@given(st.lists(st.lists(VALUES, max_size=20), max_size=10), st.integers(1, 30))
def test_counts_are_exact_however_little_memory_there_is(chunks, max_entries):
    counter = ValueCounter(["a", "b"], max_entries)
    expected = Counter()
    for chunk in chunks:
        counter.add("a", chunk)
        counter.add("b", [b"same"])
        expected.update(chunk)
    assert list(counter.counts("a")) == sorted(expected.items())
    assert list(counter.counts("b")) == [(b"same", len(chunks))] * bool(chunks)


def test_however_many_files_are_written_few_are_open():
    counter, expected = ValueCounter(["a", "b"], 8), Counter()
    num_open = len(os.listdir("/proc/self/fd"))
    for number in range(60):  # each chunk goes to files
        chunk = [b"%d" % (value % 100) for value in range(number, number * 3 + 9)]
        counter.add("a", chunk)
        counter.add("b", [b"%d" % value for value in range(9)])
        expected.update(chunk)
    assert len(os.listdir("/proc/self/fd")) - num_open <= 16
    assert list(counter.counts("a")) == sorted(expected.items())
    assert list(counter.counts("a")) == sorted(expected.items())  # once more
    assert list(counter.counts("b")) == [(b"%d" % value, 60) for value in range(9)]


@pytest.mark.parametrize("max_entries", [3, 1000])
def test_the_vocabulary_is_the_most_frequent_values(max_entries):
    counter = ValueCounter(["a"], max_entries)
    for number in range(1, 30):
        counter.add("a", [b"%02d" % number] * (number // 3))
        counter.add("a", [b"", b"often"])
    ranked = counter.most_frequent("a", min_count=8)
    assert ranked == ("often", "27", "28", "29", "24", "25", "26")
    assert counter.most_frequent("a", 8, max_size=3) == ("often", "27", "28")
    assert counter.names == ("a",)


def test_what_is_no_text_is_an_error():
    counter = ValueCounter(["a"])
    counter.add("a", [b"\xff"])
    message = r"column a: expected UTF-8 text, received b'\\xff'\.$"
    with pytest.raises(ValueError, match=message):
        counter.most_frequent("a", 1)
