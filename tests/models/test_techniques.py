"""models/techniques.py: names of cures, and values, that change a configuration."""

import pytest

from smelu_tf.models import LossConfig, TrainConfig
from smelu_tf.models.techniques import TECHNIQUES, with_technique


@pytest.mark.parametrize("name", TECHNIQUES)
def test_every_name_stands_for_a_valid_configuration(name):
    config = with_technique(TrainConfig(), name)
    config.validate()
    assert (config == TrainConfig()) == (name == "none")


def test_co_distilled_towers_are_whole_models_of_which_one_serves():
    config = with_technique(TrainConfig(), "codistillation+loss.burn_in_steps=100")
    assert config.loss == LossConfig(codistillation=1.0, burn_in_steps=100)
    assert (config.model.towers, config.model.tower_tables) == (2, "separate")
    assert config.model.serve == "first"


def test_an_ensemble_of_another_size_by_a_further_value():
    config = with_technique(TrainConfig(), "ensemble_separate+model.towers=5")
    assert (config.model.towers, config.model.tower_tables) == (5, "separate")
