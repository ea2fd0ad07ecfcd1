"""scripts/command_line.py: which keys of a configuration can be set, and how often."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from smelu_tf.models import TrainConfig

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def command_line():
    path = SCRIPTS / "command_line.py"
    spec = importlib.util.spec_from_file_location("command_line", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("given", [None, "false"])
def test_gpu_memory_is_taken_as_it_is_needed_unless_told_otherwise(given):
    """Known before TensorFlow is imported: devices are as they begin."""
    program = "import command_line, os; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    environment.pop("TF_FORCE_GPU_ALLOW_GROWTH", None)
    if given:
        environment["TF_FORCE_GPU_ALLOW_GROWTH"] = given
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == (given or "true")


SECTIONS = {
    section.name: [field.name for field in dataclasses.fields(section.type)]
    for section in dataclasses.fields(TrainConfig)
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_a_section_can_be_set(command_line, section):
    arguments = [f"--config.{section}.{field}=1" for field in SECTIONS[section]]
    command_line._check_overrides(arguments, TrainConfig)


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
def test_an_unknown_key_is_refused_with_the_nearest(command_line, key, nearest):
    received = key if "modle" not in key else "modle"
    message = f"received config.{received}; the nearest is config.{nearest}."
    with pytest.raises(ValueError, match=f"expected a known key, {message}$"):
        command_line._check_overrides([f"--config.{key}=1"], TrainConfig)


def test_one_dash_is_as_good_as_two(command_line):
    with pytest.raises(ValueError, match="expected a known key"):
        command_line._check_overrides(["-config.model.no=1"], TrainConfig)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_whole_section_is_refused_with_its_fields(command_line, section):
    message = rf"config.{section}: .* \({', '.join(SECTIONS[section])}\), received the"
    with pytest.raises(ValueError, match=message):
        command_line._check_overrides([f"--config.{section}=1"], TrainConfig)


def test_a_part_of_a_field_is_refused(command_line):
    with pytest.raises(ValueError, match="model.activation.beta: expected a known key"):
        command_line._check_overrides(["--config.model.activation.beta=1"], TrainConfig)


def test_a_key_that_comes_twice_is_refused(command_line):
    arguments = ["--config.train.seed=1", "--config.train.seed=2"]
    with pytest.raises(ValueError, match="train.seed: expected once, received again"):
        command_line._check_overrides(arguments, TrainConfig)


def test_other_flags_are_not_looked_at(command_line):
    command_line._check_overrides(["--config=adult", "--data=config.x=1"], TrainConfig)
