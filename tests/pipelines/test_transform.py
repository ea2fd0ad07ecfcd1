"""pipelines/transform.py against a NumPy reading of the contract."""

import dataclasses
import math
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from smelu_tf.pipelines import (
    CRITEO,
    Categorical,
    Cross,
    Numeric,
    Schema,
    Transform,
)
from smelu_tf.pipelines.columns import BIN_BOUNDARIES

SCHEMA = Schema(
    name="ads",
    numeric=(Numeric("age", binned=True), Numeric("price", "float64", "none")),
    categorical=(
        Categorical("site", buckets=50),
        Categorical("kind", vocabulary=("b", "a")),
    ),
    seed=7,
)
TRANSFORM = Transform(SCHEMA)


def features(age=(1.0,), price=(1.0,), site=("x",), kind=("a",), transform=TRANSFORM):
    raw = {
        "age": tf.constant(age, tf.float64),
        "price": tf.constant(price, tf.float64),
        "site": tf.constant(site),
        "kind": tf.constant(kind),
    }
    return {name: value.numpy() for name, value in transform(raw).items()}


def _ref_log1p(x: float) -> np.float32:
    return np.float32(math.log1p(max(x, 0.0)))


def _ref_bin(x: float) -> int:
    return 1 + sum(x >= boundary for boundary in BIN_BOUNDARIES)


def test_numeric_is_value_and_missing_flag_in_the_schema_s_order():
    got = features(
        age=[0.0, 5.0, -3.0, math.nan],
        price=[2.5, math.nan, -1.0, 0.0],
        site=["x"] * 4,
        kind=["a"] * 4,
    )
    expected = [
        [0.0, 0.0, 2.5, 0.0],
        [_ref_log1p(5.0), 0.0, 0.0, 1.0],
        [0.0, 0.0, -1.0, 0.0],
        [0.0, 1.0, 0.0, 0.0],
    ]
    np.testing.assert_array_equal(got["numeric"], np.array(expected, np.float32))
    assert got["numeric"].dtype == np.float32


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=40))
def test_log1p_is_exact_at_every_place_of_a_tensor(values):
    n = len(values)
    got = features(values, [0.0] * n, ["x"] * n, ["a"] * n)["numeric"][:, 0]
    np.testing.assert_array_equal(got, [_ref_log1p(float(v)) for v in values])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-5, 2**40), min_size=1, max_size=20))
def test_bins_are_counted_boundaries(values):
    n = len(values)
    got = features(values, [0.0] * n, ["x"] * n, ["a"] * n)["ids"][:, 2]
    assert got.tolist() == [_ref_bin(v) for v in values]


def test_columns_of_every_kind_keep_their_places():
    edges = (0.0, 5.0, 10.0)
    schema = Schema(
        "mixed",
        numeric=(
            Numeric("a", binned=True),
            Numeric("b", transform="none", clip=(-2.0, 8.0), fill=3.0),
            Numeric("c", transform="none", binned=True, boundaries=edges),
            Numeric("d", binned=True),
        ),
        categorical=(
            Categorical("u", vocabulary=("x", "y")),
            Categorical("v", buckets=9),
            Categorical("w", vocabulary=("y",)),
        ),
        crosses=(Cross(("w", "c_bin"), 50),),
    )
    assert schema.id_columns == ("u", "v", "w", "a_bin", "c_bin", "d_bin", "w_x_c_bin")
    values = np.array([-3.0, 0.0, 4.5, 7.0, 1e6, math.nan])
    text = np.array(["x", "y", "", "z", "y", ""], object)
    raw = {name: tf.constant(np.roll(values, i)) for i, name in enumerate("abcd")}
    raw |= {name: tf.constant(np.roll(text, i)) for i, name in enumerate("uvw")}
    got = {name: value.numpy() for name, value in Transform(schema)(raw).items()}
    for i, column in enumerate(schema.numeric):
        expected = [_ref_number(column, value) for value in np.roll(values, i)]
        np.testing.assert_array_equal(got["numeric"][:, 2 * i : 2 * i + 2], expected)
        if column.binned:
            place = schema.id_columns.index(f"{column.name}_bin")
            bins = [
                0 if math.isnan(v) else 1 + sum(v >= b for b in column.bin_boundaries)
                for v in np.roll(values, i)
            ]
            assert got["ids"][:, place].tolist() == bins
    known = {"": 0, "x": 2, "y": 3}
    assert got["ids"][:, 0].tolist() == [known.get(t, 1) for t in text]
    key = [0, zlib.crc32(b"v")]
    hashed = tf.strings.to_hash_bucket_strong(list(np.roll(text, 1)), 8, key).numpy()
    expected = np.where(np.roll(text, 1) == "", 0, 1 + hashed)
    assert got["ids"][:, 1].tolist() == expected.tolist()
    known = {"": 0, "y": 2}
    assert got["ids"][:, 2].tolist() == [known.get(t, 1) for t in np.roll(text, 2)]
    parts = [",".join(map(str, row)) for row in got["ids"][:, [2, 4]]]
    key = [0, zlib.crc32(b"w_x_c_bin")]
    crossed = 1 + tf.strings.to_hash_bucket_strong(parts, 49, key).numpy()
    crossed[[part == "0,0" for part in parts]] = 0
    assert got["ids"][:, 6].tolist() == crossed.tolist()


def _ref_number(column: Numeric, value: float) -> list[np.float32]:
    """Value and missing flag of a number that is not standardized."""
    if math.isnan(value):
        return [np.float32(column.fill), np.float32(1)]
    if column.clip:
        value = min(max(value, column.clip[0]), column.clip[1])
    number = _ref_log1p(value) if column.transform == "log1p" else np.float32(value)
    return [number, np.float32(0)]


def test_infinite_numbers_count_as_missing():
    got = features(age=[math.inf, -math.inf], price=[1, 1], site=[*"xy"], kind=[*"ab"])
    assert got["numeric"][:, :2].tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert got["ids"][:, 2].tolist() == [0, 0]


def test_id_0_is_missing_1_is_unknown_then_rank():
    got = features(
        [0] * 4, [0] * 4, site=["", "x", "y", "x"], kind=["", "zzz", "b", "a"]
    )["ids"]
    assert got[:, 1].tolist() == [0, 1, 2, 3]
    assert got[0, 0] == 0
    assert got[1, 0] == got[3, 0]
    assert got.dtype == np.int32


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=12).filter(lambda t: "\x00" not in t))
def test_hashed_ids_stay_inside_and_follow_the_contract(text):
    got = features(site=[text])["ids"][0, 0]
    key = [7, zlib.crc32(b"site")]
    expected = 1 + tf.strings.to_hash_bucket_strong([text], 49, key)[0].numpy()
    assert got == expected
    assert 1 <= got < 50


def test_another_seed_and_another_column_hash_otherwise():
    texts = [f"value {i}" for i in range(200)]
    base = features([0] * 200, [0] * 200, texts, ["a"] * 200)["ids"][:, 0]
    reseeded = Transform(dataclasses.replace(SCHEMA, seed=8))
    other = features([0] * 200, [0] * 200, texts, ["a"] * 200, reseeded)["ids"][:, 0]
    assert np.mean(base == other) < 0.1


def test_a_graph_gives_what_eager_gives():
    raw = {
        "age": tf.constant([3.0, math.nan], tf.float64),
        "price": tf.constant([0.5, 2.0], tf.float64),
        "site": tf.constant(["é", ""]),
        "kind": tf.constant(["b", "?"]),
    }
    eager, graph = TRANSFORM(raw), tf.function(TRANSFORM.__call__)(raw)
    for name in eager:
        np.testing.assert_array_equal(eager[name], graph[name])


def test_columns_of_one_kind_alone_and_empty_batches():
    only_numeric = Transform(Schema("n", (Numeric("a"),), ()))
    assert only_numeric({"a": tf.zeros([3], tf.float64)})["ids"].shape == (3, 0)
    only_ids = Transform(Schema("c", (), (Categorical("a", buckets=9),)))
    assert only_ids({"a": tf.constant(["x"])})["numeric"].shape == (1, 0)
    empty = features(np.zeros(0), np.zeros(0), np.zeros(0, "S1"), np.zeros(0, "S1"))
    assert empty["numeric"].shape == (0, 4)
    assert empty["ids"].shape == (0, 3)


def test_uncounted_vocabularies_are_refused():
    with pytest.raises(ValueError, match="its vocabulary is not counted yet"):
        Transform(CRITEO)


@pytest.mark.parametrize("column", ["age", "kind"])
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_a_column_that_is_no_vector_is_named(column, wrap):
    raw = {
        "age": tf.constant([3.0, 1.0]),
        "price": tf.constant([0.5, 2.0]),
        "site": tf.constant(["a", "b"]),
        "kind": tf.constant(["b", "a"]),
    }
    raw[column] = raw[column][:, tf.newaxis]
    message = rf"column {column}: expected shape \(B,\), received \(2, 1\)\.$"
    with pytest.raises(ValueError, match=message):
        wrap(TRANSFORM.__call__)(raw)
