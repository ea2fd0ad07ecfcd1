"""pipelines/schema.py: descriptions that are checked, written and read back."""

import dataclasses
import json
import re

import pytest

from smelu_tf.pipelines import (
    CRITEO,
    Categorical,
    Cross,
    Label,
    MultiValued,
    Numeric,
    Schema,
)

RATINGS = Schema(
    name="ratings",
    numeric=(Numeric("age", binned=True), Numeric("price", "float64", "none")),
    categorical=(
        Categorical("user", buckets=100),
        Categorical("genre", vocabulary=("drama", "comedy")),
    ),
    label=Label("rating", at_least=4),
    weight="importance",
    fields=("user", "genre", "age", "price", "time", "rating", "importance"),
    delimiter=",",
    missing="?",
    seed=3,
)


@pytest.mark.parametrize("schema", [CRITEO, RATINGS], ids=lambda s: s.name)
def test_json_round_trip_keeps_everything(schema):
    assert Schema.from_json(schema.to_json()) == schema


def test_criteo_is_label_13_integers_26_ids_in_file_order():
    fields = ("label", *(f"I{i}" for i in range(1, 14)))
    assert CRITEO.fields == (*fields, *(f"C{i}" for i in range(1, 27)))
    assert CRITEO.delimiter == "\t"


def test_ids_count_the_missing_and_the_unknown_value():
    assert RATINGS.id_columns == ("user", "genre", "age_bin")
    assert RATINGS.num_ids[:2] == (100, 4)


def test_a_vocabulary_that_is_not_counted_has_no_number_of_ids():
    assert not CRITEO.is_complete
    with pytest.raises(ValueError, match="column C1: its vocabulary is not counted"):
        _ = CRITEO.num_ids


def test_lines_to_be_scored_have_neither_label_nor_weight():
    assert RATINGS.feature_fields == ("user", "genre", "age", "price", "time")


def test_whole_numbers_and_floats_have_one_fingerprint():
    def schema(number):
        age = Numeric("age", clip=(number(0), number(9)), fill=number(2), binned=True)
        age = dataclasses.replace(age, boundaries=(number(1), number(5)))
        return Schema("a", (age,), (), Label("rating", at_least=number(4)))

    assert schema(int).fingerprint() == schema(float).fingerprint()
    read_back = Schema.from_json(schema(int).to_json())
    assert read_back.fingerprint() == schema(int).fingerprint()


def test_fingerprint_follows_the_features_and_not_the_name():
    renamed = dataclasses.replace(RATINGS, name="other")
    assert renamed.fingerprint() == RATINGS.fingerprint()
    for change in (
        {"seed": 4},
        {"missing": ""},
        {"label": Label("rating", at_least=5)},
        {"numeric": RATINGS.numeric[::-1]},
        {"categorical": (Categorical("user", buckets=101), RATINGS.categorical[1])},
    ):
        changed = dataclasses.replace(RATINGS, **change)
        assert changed.fingerprint() != RATINGS.fingerprint(), change


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("rating", ["4", "3.5", "-1"], ["", "nan", "inf", "x", "0x1F", "4,"]),
        ("importance", ["0", "2.5", "1e3"], ["", "-1", "nan"]),
        ("age", ["", "0", "-3", "9" * 18, "?"], ["1.0", "1e5", "nan", " 1", "9" * 19]),
        ("price", ["", "1.5", "-2", "1e-5", "?"], ["nan", "inf", "1e999", ".", "0x1"]),
        ("user", ["", "anything é", "nan"], ["a,b"]),
        ("time", ["whatever"], ["a,b"]),
    ],
)
def test_patterns_take_what_a_field_may_be(field, good, bad):
    pattern = RATINGS.pattern(field)
    assert [text for text in good if not re.fullmatch(pattern, text)] == []
    assert [text for text in bad if re.fullmatch(pattern, text)] == []


def test_criteo_label_and_ids_are_strict():
    assert [t for t in ("0", "1", "2", "", "01") if re.fullmatch("[01]", t)] == [
        t for t in ("0", "1", "2", "", "01") if re.fullmatch(CRITEO.pattern("label"), t)
    ]
    bad = ("68fd1e6", "68FD1E64", "68fd1e64a", "zzzzzzzz")
    assert not any(re.fullmatch(CRITEO.pattern("C1"), text) for text in bad)
    assert re.fullmatch(CRITEO.pattern("C1"), "68fd1e64")


def several(name):
    return MultiValued(name, buckets=5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schema("s", (), ()), "expected at least one column"),
        (lambda: Schema("s", (Numeric("a"), Numeric("a")), ()), "received a more than"),
        (lambda: Schema("s", (Numeric("label"),), ()), "received label more than once"),
        (
            lambda: Schema("s", (Numeric("a"),), (), fields=("label",)),
            "received none named a",
        ),
        (
            lambda: Schema("s", (Numeric("a"),), (), delimiter="||"),
            "delimiter of one ASCII",
        ),
        (
            lambda: Schema("s", (Numeric("a"),), (), delimiter="\n"),
            "delimiter of one ASCII character that ends no line",
        ),
        (lambda: Schema("s", (Numeric("a b"),), ()), "names of letters.* 'a b'"),
        (lambda: Schema("s", (Numeric("1a"),), ()), "names of letters.* '1a'"),
        (lambda: Schema("s", (Numeric("self"),), ()), "names of letters.* 'self'"),
        (lambda: Schema("s", (Numeric("ids"),), ()), "names of letters.* 'ids'"),
        (
            lambda: Schema("s", (Numeric("age"), Numeric("Age")), ()),
            "more than case, received age and Age",
        ),
        (
            lambda: Schema(
                "s", (Numeric("a", binned=True),), (Categorical("a_bin", buckets=5),)
            ),
            "distinct id columns, received a_bin more than once",
        ),
        (
            lambda: Schema(
                "s", (Numeric("a", binned=True),), (), multivalued=(several("a_bin"),)
            ),
            "id columns and multi-valued ones, received a_bin more than once",
        ),
        (
            lambda: Schema(
                "s",
                (),
                (Categorical("a", buckets=5), Categorical("b", buckets=5)),
                multivalued=(several("a_x_b"),),
                crosses=(Cross(("a", "b"), 9),),
            ),
            "id columns and multi-valued ones, received a_x_b more than once",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "expected version 1, received 2"),
        ({"colour": 1}, "expected a known key, received schema.colour"),
        ({"numeric": [{"name": "a", "kind": 1}]}, r"received schema.numeric\[0\].kind"),
        ({"numeric": [{}]}, r"schema.numeric\[0\]: expected the key name"),
        ({"label": 3}, "schema.label: expected an object of keys, received 3"),
        ({"numeric": 5}, "schema.numeric: expected a list, received 5"),
        ({"categorical": None}, "schema.categorical: expected a list, received None"),
        ({"seed": "x"}, "schema.seed: expected an integer, received 'x'"),
        ({"delimiter": 5}, "schema.delimiter: expected text, received 5"),
        ({"missing": None}, "schema.missing: expected text, received None"),
        ({"label": {"at_least": "4"}}, "label.at_least: expected a number, received"),
        (
            {"categorical": [{"name": "a", "buckets": 10.5}]},
            r"categorical\[0\].buckets: expected an integer, received 10.5",
        ),
        (
            {"categorical": [{"name": "a", "vocabulary": "abc"}]},
            r"categorical\[0\].vocabulary: expected a list, received 'abc'",
        ),
        (
            {"numeric": [{"name": "a", "binned": "no"}]},
            r"numeric\[0\].binned: expected true or false, received 'no'",
        ),
        (
            {"numeric": [{"name": "a", "dtype": "int32"}]},
            r"numeric\[0\].dtype: expected one of int64, float64, received 'int32'",
        ),
    ],
)
def test_json_with_a_wrong_key_or_type_is_refused(change, message):
    values = {**json.loads(RATINGS.to_json()), **change}
    with pytest.raises(ValueError, match=message):
        Schema.from_json(json.dumps(values))


def test_a_file_that_is_no_schema_is_named(tmp_path):
    path = tmp_path / "schema.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"schema\.json: expected JSON"):
        Schema.load(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"schema\.json: expected a JSON object"):
        Schema.load(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"schema\.json: schema: expected version"):
        Schema.load(path)
