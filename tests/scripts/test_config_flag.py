"""scripts/command_line/config_flag.py: which keys can be set, and how often."""

import dataclasses

import pytest
from script_modules import script_module

from smelu_tf.models import TrainConfig

check_overrides = script_module("command_line.config_flag").check_overrides

SECTIONS = {
    section.name: [field.name for field in dataclasses.fields(section.type)]
    for section in dataclasses.fields(TrainConfig)
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_a_section_can_be_set(section):
    arguments = [f"--config.{section}.{field}=1" for field in SECTIONS[section]]
    check_overrides(arguments, TrainConfig)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("data.batchsize", "data.batch_size"),
        ("model.hiden_units", "model.hidden_units"),
        ("optimizer.learning_rat", "optimizer.learning_rate"),
        ("train.sead", "train.seed"),
        ("eval.slice", "eval.slices"),
        ("modle.activation", "model"),
        ("modle", "model"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(key, nearest):
    received = key if "modle" not in key else "modle"
    message = f"received config.{received}; the nearest is config.{nearest}."
    with pytest.raises(ValueError, match=f"expected a known key, {message}$"):
        check_overrides([f"--config.{key}=1"], TrainConfig)


def test_one_dash_is_as_good_as_two():
    with pytest.raises(ValueError, match="expected a known key"):
        check_overrides(["-config.model.no=1"], TrainConfig)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_whole_section_is_refused_with_its_fields(section):
    message = rf"config.{section}: .* \({', '.join(SECTIONS[section])}\), received the"
    with pytest.raises(ValueError, match=message):
        check_overrides([f"--config.{section}=1"], TrainConfig)


def test_a_part_of_a_field_is_refused():
    with pytest.raises(ValueError, match="model.activation.beta: expected a known key"):
        check_overrides(["--config.model.activation.beta=1"], TrainConfig)


def test_a_key_that_comes_twice_is_refused():
    arguments = ["--config.train.seed=1", "--config.train.seed=2"]
    with pytest.raises(ValueError, match="train.seed: expected once, received again"):
        check_overrides(arguments, TrainConfig)


def test_other_flags_are_not_looked_at():
    check_overrides(["--config=adult", "--data=config.x=1"], TrainConfig)
