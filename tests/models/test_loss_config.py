"""models/loss_config.py: terms of the loss that do not fit a model or one another."""

import dataclasses

import pytest

from smelu_tf.models import LossConfig, TrainConfig, WideDeepConfig


@pytest.mark.parametrize("name", ["codistillation", "anti_distillation"])
def test_terms_between_towers_take_several(name):
    config = TrainConfig(loss=LossConfig(**{name: 0.5}))
    message = rf"loss\.{name}: expected 0 with model\.towers=1, received 0\.5"
    with pytest.raises(ValueError, match=message):
        config.validate()
    dataclasses.replace(config, model=WideDeepConfig(towers=2)).validate()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (LossConfig(distillation=-1.0), "loss.distillation: expected a number of 0"),
        (LossConfig(distillation=1.0), "loss.teachers: expected one or more"),
        (LossConfig(teachers=("a",)), "loss.distillation: expected a number above 0"),
        (LossConfig(num_teachers=3), "loss.distillation: expected a number above 0"),
        (
            LossConfig(distillation=1.0, teachers=("a",), num_teachers=3),
            "loss.num_teachers: expected 0 with",
        ),
        (
            LossConfig(distillation=1.0, num_teachers=-1),
            "loss.num_teachers: expected an integer of 0",
        ),
        (
            LossConfig(distillation=1.0, teachers="a"),
            "loss.teachers: expected a tuple of texts",
        ),
    ],
)
def test_what_cannot_be_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(loss=loss).validate()
