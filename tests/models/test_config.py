"""models/config.py: a configuration is checked, written and read back."""

import dataclasses
import json

import pytest

from smelu_tf.models import DataConfig, TrainConfig, WideDeepConfig


def with_field(path: str, value) -> TrainConfig:
    values = dataclasses.asdict(TrainConfig())
    section, _, field = path.partition(".")
    values[section][field] = value
    return TrainConfig.from_dict(values)


def test_a_part_of_the_keys_is_enough():
    config = TrainConfig.from_dict({"model": {"hidden_units": [8, 4]}})
    assert config.model == WideDeepConfig(hidden_units=(8, 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"optimizer": {"learning_rat": 1}},
            "nearest is config.optimizer.learning_rate",
        ),
        ({"modle": {}}, "received config.modle; the nearest is config.model"),
        ({"model": 3}, "config.model: expected an object of keys, received 3"),
        ({"model": {"embedding_dim": "8"}}, "embedding_dim: expected an integer"),
        ({"model": {"hidden_units": None}}, "hidden_units: expected a list"),
        ({"train": {"seed": True}}, "config.train.seed: expected an integer"),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest(values, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_dict(values)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.batch_size", 0),
        ("model.tpu_table_ids", -1),
        ("eval.batch_size", -1),
        ("model.hidden_units", ()),
        ("model.hidden_units", (8, 0)),
        ("model.hidden_units", (8, 1.5)),
        ("model.embedding_dim", 0),
        ("model.crosses", "C1*C2"),
        ("model.activation", "rleu"),
        ("model.activation", "smelu:-1"),
        ("model.activation", "smelu:nan"),
        ("model.activation", "smelu:inf"),
        ("model.towers", 0),
        ("model.tower_tables", "own"),
        ("model.serve", "second"),
        ("loss.codistillation", -1.0),
        ("loss.anti_distillation", float("inf")),
        ("loss.burn_in_steps", -1),
        ("optimizer.name", "sgd"),
        ("optimizer.learning_rate", float("nan")),
        ("optimizer.learning_rate", 0.0),
        ("optimizer.wide_learning_rate", -1.0),
        ("optimizer.l1", -0.1),
        ("train.seed", -1),
        ("train.steps_per_execution", 0),
    ],
)
def test_impossible_values_are_named(path, value):
    with pytest.raises(ValueError, match=r"expected .*received"):
        with_field(path, value).validate()


def test_a_file_from_before_a_field_was_there_has_its_default(tmp_path):
    config = TrainConfig()
    values = json.loads(config.to_json())
    del values["train"]["tensor_float_32"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert TrainConfig.load(tmp_path / "config.json") == config
    assert not config.train.tensor_float_32


def test_float16_is_a_choice(tmp_path):
    values = {"train": {"compute_dtype": "float16", "tensor_float_32": True}}
    config = TrainConfig.from_dict(values)
    config.validate()
    (tmp_path / "config.json").write_text(config.to_json())
    assert TrainConfig.load(tmp_path / "config.json") == config
    expected = "expected one of float32, bfloat16, float16, auto, received 'float64'"
    with pytest.raises(ValueError, match=f"train.compute_dtype: {expected}"):
        TrainConfig.from_dict({"train": {"compute_dtype": "float64"}}).validate()


def test_numbers_of_things_are_integers():
    with pytest.raises(ValueError, match="data.batch_size: expected an integer of 1"):
        DataConfig(batch_size=1.5).validate()
