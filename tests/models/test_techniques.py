"""models/techniques.py: changes of a configuration by name."""

import dataclasses

import pytest

from smelu_tf.models import TECHNIQUES, LossConfig, TrainConfig, with_technique
from smelu_tf.models.config import flat

BASE = TrainConfig()


def changes(technique):
    before = flat(dataclasses.asdict(BASE))
    after = flat(dataclasses.asdict(with_technique(BASE, technique)))
    return {key: value for key, value in after.items() if value != before[key]}


@pytest.mark.parametrize(
    ("technique", "expected"),
    [
        ("none", {}),
        ("", {}),
        ("layer_norm", {"model.normalization": "layer"}),
        ("signal_preserving", {"model.initializer": "signal_preserving"}),
        ("large_embeddings", {"model.embedding_stddev": 0.05}),
        (
            "layer_norm+large_embeddings",
            {"model.normalization": "layer", "model.embedding_stddev": 0.05},
        ),
        (
            "none+model.dropout=0.1+layer_norm",
            {"model.dropout": 0.1, "model.normalization": "layer"},
        ),
        ("model.embedding_dim=16", {"model.embedding_dim": 16}),
        ("model.dropout=1e-2", {"model.dropout": 0.01}),
        ("model.wide=false", {"model.wide": False}),
        ("model.hidden_units=64:32", {"model.hidden_units": (64, 32)}),
        ("model.crosses=C1*C2;C3*C4", {"model.crosses": ("C1*C2", "C3*C4")}),
        ("optimizer.name=adagrad", {"optimizer.name": "adagrad"}),
    ],
)
def test_a_technique_changes_these_values_alone(technique, expected):
    assert changes(technique) == expected


@pytest.mark.parametrize("name", TECHNIQUES)
def test_every_name_is_a_configuration_that_can_be_trained(name):
    with_technique(BASE, name).validate()


def test_co_distilled_towers_are_whole_models_of_which_one_serves():
    config = with_technique(TrainConfig(), "codistillation+loss.burn_in_steps=100")
    assert config.loss == LossConfig(codistillation=1.0, burn_in_steps=100)
    assert (config.model.towers, config.model.tower_tables) == (2, "separate")
    assert config.model.serve == "first"


def test_an_ensemble_of_another_size_by_a_further_value():
    config = with_technique(TrainConfig(), "ensemble_separate+model.towers=5")
    assert (config.model.towers, config.model.tower_tables) == (5, "separate")


def test_the_last_of_two_values_holds():
    assert changes("model.dropout=0.1+model.dropout=0.2") == {"model.dropout": 0.2}


@pytest.mark.parametrize(
    ("technique", "message"),
    [
        ("layernorm", "expected one of none, layer_norm, .* received 'layernorm'"),
        ("none+warp", "received 'warp'"),
        ("model.no=1", "expected a key of the configuration, received 'model.no'"),
        ("no.dropout=1", "expected a key of the configuration, received 'no.dropout'"),
        ("dropout=0.1", "expected a key of the configuration, received 'dropout'"),
        ("model.dropout=x", "expected a value for model.dropout, received 'x'"),
        ("model.wide=1", "expected a value for model.wide, received '1'"),
        ("model.hidden_units=64,x", "expected a value for model.hidden_units"),
        ("train.seed=1.5", "expected a value for train.seed, received '1.5'"),
    ],
)
def test_what_is_none_is_named(technique, message):
    with pytest.raises(ValueError, match=f"technique: .*{message}"):
        with_technique(BASE, technique)
