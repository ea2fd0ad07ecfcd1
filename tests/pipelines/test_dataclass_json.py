"""pipelines/dataclass_json.py: what is read back is what was written, or an error."""

import dataclasses
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smelu_tf.pipelines.dataclass_json import from_json_values, load_json


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    kind: Literal["a", "b"] = "a"


@dataclasses.dataclass(frozen=True)
class Whole:
    rate: float
    parts: tuple[Part, ...] = ()
    limit: float | None = None
    sizes: tuple[int, ...] = ()
    is_on: bool = False


parts = st.builds(Part, st.text(), st.sampled_from(["a", "b"]))
floats = st.floats(allow_nan=False)


@given(
    st.builds(
        Whole,
        floats,
        st.lists(parts).map(tuple),
        st.none() | floats,
        st.lists(st.integers()).map(tuple),
        st.booleans(),
    )
)
def test_round_trip_through_json(whole):
    values = json.loads(json.dumps(dataclasses.asdict(whole)))
    assert from_json_values(Whole, values, "whole") == whole


def test_an_integer_may_stand_for_a_float_and_defaults_for_what_is_absent():
    whole = from_json_values(Whole, {"rate": 1}, "whole")
    assert whole == Whole(1.0)
    assert type(whole.rate) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": "1"}, "^whole.rate: expected a number, received '1'.$"),
        ({"rate": True}, "^whole.rate: expected a number, received True.$"),
        ({"limit": "1"}, "^whole.limit: expected a number, received '1'.$"),
        ({"sizes": [1, 2.0]}, r"^whole.sizes\[1\]: expected an integer, received 2.0"),
        ({"is_on": 1}, "^whole.is_on: expected true or false, received 1.$"),
        ({"parts": [{}]}, r"^whole.parts\[0\]: expected the key name"),
        (
            {"parts": [{"name": 1}]},
            r"parts\[0\].name: expected text, received 1",
        ),
        ({"parts": {"name": "x"}}, "^whole.parts: expected a list, received"),
        ({"parts": [{"name": "x", "kind": "c"}]}, "expected one of a, b, received 'c'"),
        ({"part": []}, "received whole.part; the nearest is whole.parts.$"),
    ],
)
def test_a_wrong_key_or_type_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        from_json_values(Whole, {"rate": 1.0, **change}, "whole")


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b""])
def test_a_file_that_holds_no_json_object_is_named(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"x\.json: expected .*JSON.*, received"):
        load_json(tmp_path / "x.json", dict)


def test_an_object_that_nothing_can_be_made_of_is_named_with_its_file(tmp_path):
    (tmp_path / "x.json").write_text('{"rate": "1"}')
    with pytest.raises(ValueError, match=r"x\.json: whole.rate: expected a number"):
        load_json(tmp_path / "x.json", lambda v: from_json_values(Whole, v, "whole"))
