"""models/config.py: a configuration is checked, written and read back."""

import dataclasses
import json

import numpy as np
import pytest

from smelu_tf.models import (
    PRESETS,
    LossConfig,
    TrainConfig,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
)
from smelu_tf.models.schedules import WarmupDecay
from smelu_tf.pipelines import SCHEMAS, named_schema


def with_field(path: str, value) -> TrainConfig:
    values = dataclasses.asdict(TrainConfig())
    section, _, field = path.partition(".")
    values[section][field] = value
    return TrainConfig.from_dict(values)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_json(name):
    config = PRESETS[name]()
    config.validate()
    assert TrainConfig.from_dict(json.loads(config.to_json())) == config


def completed(schema):
    """A schema as if it had been completed on a few rows, with few hash buckets."""

    def small(column):
        if column.buckets:
            return dataclasses.replace(column, buckets=10)
        return dataclasses.replace(column, min_count=0, vocabulary=("a", "b"))

    numeric = tuple(
        dataclasses.replace(c, mean=1.0, standard_deviation=2.0) if c.standardize else c
        for c in schema.numeric
    )
    return dataclasses.replace(
        schema,
        numeric=numeric,
        categorical=tuple(map(small, schema.categorical)),
        multivalued=tuple(map(small, schema.multivalued)),
    )


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build_models_of_their_schemas(name):
    config = PRESETS[name]()
    schema = completed(named_schema(config.data.schema))
    model = WideDeep(schema, config.model, config.train.seed)
    logits = model.predict(
        {
            **{c.name: [3.0, np.nan] for c in schema.numeric},
            **{c.name: ["a", ""] for c in schema.text_columns},
        },
        verbose=0,
    )
    assert logits.shape == (2, 1)
    assert np.all(np.isfinite(logits))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_optimizers(name):
    optimizer = PRESETS[name]().optimizer
    assert WideDeepOptimizer.of(optimizer).rule == optimizer.name


def test_every_data_set_has_a_preset():
    assert {preset().data.schema for preset in PRESETS.values()} == set(SCHEMAS)


def test_a_preset_s_name_is_its_function_s():
    assert [preset.__name__ for preset in PRESETS.values()] == list(PRESETS)


def test_the_rate_of_criteo_1tb_ends_with_23_of_its_24_days():
    config = PRESETS["criteo_1tb"]()
    num_steps = 4_195_197_692 // config.data.batch_size
    rate = WarmupDecay.of(config.optimizer)
    full = config.optimizer.learning_rate
    assert float(rate(2000)) == pytest.approx(full)
    assert float(rate(num_steps)) == pytest.approx(0.1 * full, rel=0.01)
    assert float(rate(num_steps - 1000)) > 0.11 * full


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


def test_a_model_of_neither_part_is_refused():
    config = TrainConfig(model=WideDeepConfig(wide=False, deep=False))
    with pytest.raises(ValueError, match="model.wide or model.deep"):
        config.validate()


def test_towers_without_a_deep_part_are_refused():
    config = TrainConfig(model=WideDeepConfig(deep=False, towers=2))
    with pytest.raises(ValueError, match="towers: expected 1 without a deep .*ed 2"):
        config.validate()


@pytest.mark.parametrize("name", ["codistillation", "anti_distillation"])
def test_terms_between_towers_take_several(name):
    config = TrainConfig(loss=LossConfig(**{name: 0.5}))
    message = rf"loss\.{name}: expected 0 with model\.towers=1, received 0\.5"
    with pytest.raises(ValueError, match=message):
        config.validate()
    dataclasses.replace(config, model=WideDeepConfig(towers=2)).validate()


@pytest.mark.parametrize(
    ("activation", "parameters", "expected"),
    [
        ("relu", ("beta",), r"parameters of relu \(it has none\)"),
        ("smelu:1", ("alpha",), r"parameters of smelu:1 \(beta\)"),
        ("smelu:1,swish,smelu:1", ("beta",), r"parameters of swish"),
        ("smelu:1", "beta", "a tuple of texts"),
    ],
)
def test_parameters_that_an_activation_lacks_are_refused(
    activation, parameters, expected
):
    model = WideDeepConfig(activation=activation, trainable_parameters=parameters)
    with pytest.raises(
        ValueError, match=f"model.trainable_parameters: expected {expected}"
    ):
        model.validate()


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
