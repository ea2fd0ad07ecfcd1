"""Damaged exports, and requests that are none: one clear error each."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_rows import SCHEMA

from smelu_tf.models import Scorer, WideDeep, WideDeepConfig, export_saved_model
from smelu_tf.models.scoring import load_logit
from smelu_tf.pipelines import Categorical, Numeric

CONFIG = WideDeepConfig(embedding_dim=2, hidden_units=(4,))
INDEX = "variables/variables.index"
DATA = "variables/variables.data-00000-of-00001"
UNREADABLE = "expected a SavedModel, received one that cannot be read: "
OTHER_SCHEMA = (
    r"assets\.extra/schema\.json: expected the schema that the model was exported "
    "with, received another one"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A version that nothing has happened to."""
    return export_saved_model(WideDeep(SCHEMA, CONFIG), tmp_path_factory.mktemp("v"))


@pytest.fixture
def version(whole, tmp_path):
    """A version that something may happen to."""
    return Path(shutil.copytree(whole, tmp_path / "1"))


def change(path, how):
    """Damages a file: removes, cuts or empties it, or turns one bit of it around."""
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "flipped":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    else:
        keep = {"empty": 0, "one byte": 1, "half": len(data) // 2, "last": -1}[how]
        path.write_bytes(data[:keep])


def error_of(load):
    """The message of the ValueError that loading ends in: one line, without a graph."""
    with pytest.raises(ValueError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message and "{{node" not in message
    assert message.endswith(".")
    return message


def test_a_whole_one_scores_as_its_model(version):
    raw = raw_rows(5)
    model = Scorer.of(WideDeep(SCHEMA, CONFIG))
    loaded = Scorer.load(version)
    np.testing.assert_array_equal(
        loaded.logit(loaded.transform(raw)), model.logit(model.transform(raw))
    )


@pytest.mark.parametrize(
    ("file", "how"),
    [
        *(
            ("saved_model.pb", how)
            for how in ("missing", "empty", "one byte", "half", "last")
        ),
        *(
            (file, how)
            for file in (INDEX, DATA)
            for how in ("missing", "half", "flipped")
        ),
        *(
            pytest.param(file, how, marks=pytest.mark.slow)
            for file in (INDEX, DATA)
            for how in ("empty", "last")
        ),
    ],
)
def test_a_damaged_model_is_named(version, file, how):
    change(version / file, how)
    for load in (
        lambda: Scorer.load(version),
        lambda: load_logit(version, SCHEMA, "model"),
    ):
        assert error_of(load).startswith(f"{version}: {UNREADABLE}")


def test_variables_of_a_model_of_another_shape_are_not_taken(version, tmp_path):
    wider = dataclasses.replace(CONFIG, hidden_units=(8,))
    other = export_saved_model(WideDeep(SCHEMA, wider), tmp_path / "other")
    shutil.rmtree(version / "variables")
    shutil.copytree(other / "variables", version / "variables")
    message = error_of(lambda: Scorer.load(version))
    assert message.startswith(f"{version}: {UNREADABLE}")


def test_a_missing_schema_is_named(version):
    (version / "assets.extra" / "schema.json").unlink()
    message = error_of(lambda: Scorer.load(version))
    assert message.endswith("received one without assets.extra/schema.json.")


@pytest.mark.parametrize("how", ["empty", "half"])
def test_a_damaged_schema_is_named(version, how):
    path = version / "assets.extra" / "schema.json"
    change(path, how)
    message = error_of(lambda: Scorer.load(version))
    assert message.startswith(f"{path}: expected JSON, received ")


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(SCHEMA, numeric=(Numeric("price"),), fields=()),
        dataclasses.replace(SCHEMA, numeric=(), fields=()),
        dataclasses.replace(
            SCHEMA,
            numeric=(),
            categorical=(*SCHEMA.categorical, Categorical("age", buckets=9)),
            fields=(),
        ),
    ],
    ids=["another name", "a column less", "another type"],
)
@pytest.mark.parametrize(
    "with_card", [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_a_schema_of_other_columns_is_refused(version, other, with_card):
    extra = version / "assets.extra"
    (extra / "schema.json").write_text(other.to_json())
    if not with_card:
        (extra / "model_card.json").unlink()
    with pytest.raises(ValueError, match=OTHER_SCHEMA):
        Scorer.load(version)


def test_a_schema_of_the_same_columns_but_other_ids_is_refused(version):
    path = version / "assets.extra" / "schema.json"
    path.write_text(dataclasses.replace(SCHEMA, seed=1).to_json())
    with pytest.raises(ValueError, match=OTHER_SCHEMA):
        Scorer.load(version)


def test_without_a_card_the_same_columns_are_enough(version):
    (version / "assets.extra" / "model_card.json").unlink()
    assert Scorer.load(version).schema == SCHEMA
    (version / "assets.extra" / "model_card.json").write_text(json.dumps({}))
    assert Scorer.load(version).schema == SCHEMA


def test_a_damaged_card_is_named(version):
    path = version / "assets.extra" / "model_card.json"
    change(path, "half")
    assert error_of(lambda: Scorer.load(version)).startswith(f"{path}: expected JSON")


def test_the_model_of_other_rows_is_refused_where_features_are_shared(version):
    other = dataclasses.replace(SCHEMA, seed=1)
    message = error_of(lambda: load_logit(version, other, "compare_to"))
    assert message.startswith("compare_to: expected a model of these rows' schema")


def raw_rows(num_rows):
    return {
        "age": tf.cast(tf.range(num_rows), tf.float64),
        "site": tf.strings.as_string(tf.range(num_rows)),
        "kind": tf.fill([num_rows], "k"),
    }


@pytest.fixture(scope="module")
def loaded(whole):
    return tf.saved_model.load(str(whole))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("age", tf.constant([1.0]), "to be a double tensor but is a float tensor"),
        ("age", tf.constant(["1"]), "to be a double tensor but is a string tensor"),
        ("site", tf.constant([1]), "to be a string tensor but is a int32 tensor"),
    ],
    ids=["float32", "text", "number"],
)
def test_a_column_of_another_type_is_refused(loaded, name, value, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        loaded.signatures["serving_default"](**{**raw_rows(1), name: value})


@pytest.mark.parametrize("name", ["age", "site"])
@pytest.mark.parametrize("num_rows", [1, 3])
@pytest.mark.parametrize(
    "change", [lambda v: v[:, tf.newaxis], lambda v: v[0]], ids=["rank 2", "rank 0"]
)
def test_a_column_of_another_rank_is_refused(loaded, name, num_rows, change):
    raw = raw_rows(num_rows)
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures["serving_default"](**{**raw, name: change(raw[name])})


def test_columns_of_other_names_are_refused(loaded):
    raw = raw_rows(1)
    site = raw.pop("site")
    with pytest.raises(TypeError, match="missing a required argument: 'site'"):
        loaded.signatures["serving_default"](**raw)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sight'"):
        loaded.signatures["serving_default"](**raw, site=site, sight=site)


@pytest.mark.parametrize("change", [lambda v: v[:, tf.newaxis], lambda v: v[0]])
def test_a_request_all_of_another_rank_is_refused(loaded, change):
    raw = {name: change(value) for name, value in raw_rows(3).items()}
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures["serving_default"](**raw)


@pytest.mark.parametrize(
    ("name", "argument"), [("predict_lines", "lines"), ("predict_examples", "examples")]
)
@pytest.mark.parametrize(
    "value", [[1], [["a"]], "a", ["a"]], ids=["numbers", "rank 2", "rank 0", "no row"]
)
def test_text_of_another_type_rank_or_form_is_refused(loaded, name, argument, value):
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures[name](**{argument: tf.constant(value)})


def test_after_an_error_the_next_request_is_answered(loaded):
    signature, raw = loaded.signatures["serving_default"], raw_rows(3)
    expected = signature(**raw)["logit"]
    with pytest.raises(tf.errors.InvalidArgumentError):
        signature(**{**raw, "age": tf.constant([1.0])})
    np.testing.assert_array_equal(signature(**raw)["logit"], expected)
