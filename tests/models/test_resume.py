"""A run that was stopped, killed or cut off while saving ends as if it had not been."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from smelu_tf.models import (
    LossConfig,
    TrainConfig,
    TrainOptions,
    WideDeepConfig,
    load_config,
    load_metrics,
    load_model,
    train,
)
from smelu_tf.models.preemption import sigterm_as_request

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"
CONFIG = TrainConfig(
    model=WideDeepConfig(
        embedding_dim=4, hidden_units=(16, 8), crosses=("C9*C6",), dropout=0.1
    ),
    train=TrainOptions(checkpoint_steps=8, steps_per_execution=4, deterministic=True),
)
# Reports, and may be killed, behind every call of 4 steps.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from smelu_tf.models import TrainConfig, run_checkpoints, train, training_loop

config, files, model_dir, what, number = sys.argv[1:]
number = int(number)
spacing = 1 if what == "kill" else 10_000
training_loop._REPORT_ROWS = training_loop._MAX_REPORTS = spacing
saved = 0

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def progress(rows, *_):
    if what == "kill" and rows >= 256 * number:
        die()

def save(manager, step):
    global saved
    saved += 1
    if saved == number and what == "half":
        folder = Path(manager.directory)
        (folder / f"ckpt-{step}_temp").mkdir()
        (folder / f"ckpt-{step}_temp" / "part-00000-of-00001").write_bytes(b"half")
        (folder / f"ckpt-{step}.data-00000-of-00001").write_bytes(b"half")
        die()
    if saved == number and what == "unnamed":
        import tensorflow.python.checkpoint.checkpoint_management as management
        management.update_checkpoint_state_internal = die
    whole(manager, step)

whole = run_checkpoints.save
if what != "kill":
    run_checkpoints.save = save
train(TrainConfig.from_dict(json.loads(config)), files, model_dir, progress=progress)
"""


@pytest.fixture(scope="module")
def files(criteo_dir):
    return criteo_dir / "day_[0-5].tsv"


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    """A run in a process of its own, as op determinism is for good."""
    model_dir = tmp_path_factory.mktemp("whole") / "model"
    assert run(files, model_dir, "kill", 1_000_000) == 0
    return model_dir


def run(files, model_dir, what, number):
    arguments = [CONFIG.to_json(), files, model_dir, what, number]
    program = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(program, timeout=180).returncode


def assert_bits_are_those_of(model_dir, whole):
    assert load_metrics(model_dir)["progressive"] == load_metrics(whole)["progressive"]
    weights = [load_model(folder).get_weights() for folder in (model_dir, whole)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_ten_kills_at_random_steps_leave_no_trace(files, whole, tmp_path):
    steps = sorted(random.Random(0).sample(range(2, 70), 10))
    killed = 0
    for step in steps:
        killed += run(files, tmp_path / "model", "kill", step) == -signal.SIGKILL
    assert killed == 10
    assert run(files, tmp_path / "model", "kill", 1_000_000) == 0
    assert_bits_are_those_of(tmp_path / "model", whole)


@pytest.mark.parametrize(
    "what", ["half", pytest.param("unnamed", marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_checkpoint_leaves_the_one_before(
    files, whole, tmp_path, what
):
    model_dir = tmp_path / "model"
    assert run(files, model_dir, what, 4) == -signal.SIGKILL
    before = len(load_model(model_dir).get_weights())
    assert before == len(load_model(whole).get_weights())
    assert run(files, model_dir, "kill", 1_000_000) == 0
    steps = [r["first_step"] for r in environment(model_dir)]
    # Steps 8, 16 and 24 are whole; whether 32 is depends on where it was cut off.
    assert steps[0] == 0
    assert steps[1] in ((24,) if what == "half" else (24, 32))
    assert_bits_are_those_of(model_dir, whole)


def environment(model_dir):
    return json.loads((model_dir / "environment.json").read_text())["runs"]


@pytest.mark.slow
def test_sigterm_saves_and_ends_and_the_same_command_goes_on(criteo_dir, tmp_path):
    many = ",".join([str(criteo_dir / "day_[0-5].tsv")] * 3)
    model_dir = tmp_path / "model"
    command = [
        sys.executable,
        str(SCRIPT),
        f"--data={many}",
        f"--model_dir={model_dir}",
        "--config.model.hidden_units=(16,8)",
        "--config.train.deterministic=true",
        "--config.train.checkpoint_steps=40",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            end = time.monotonic() + 90
            while not any(model_dir.glob("checkpoints/*.index")):
                assert time.monotonic() < end
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "train: stopped; the same command goes on." in err
    subprocess.run(command, check=True, timeout=180)
    uninterrupted = tmp_path / "uninterrupted"
    command[3] = f"--model_dir={uninterrupted}"
    subprocess.run(command, check=True, timeout=180)
    first, second = environment(model_dir)
    assert first["first_step"] == 0 < second["first_step"]
    assert load_config(model_dir) == load_config(uninterrupted)
    assert_bits_are_those_of(model_dir, uninterrupted)


def test_sigterm_is_a_request_only_inside():
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_as_request() as request:
        assert not request.received
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.received
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_request_to_stop_is_met_behind_the_steps_under_way(files, tmp_path):
    config = dataclasses.replace(
        CONFIG, train=TrainOptions(checkpoint_steps=1000, steps_per_execution=4)
    )
    seen = []

    def stop(rows, *_):
        seen.append(rows)
        os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(config, files, tmp_path / "model", progress=stop)
    assert not stopped.finished
    assert len(seen) == 2  # the report that stops it, and that of the last step
    assert stopped.progressive["num_examples"] == seen[-1] < 18_000
    again = train(config, files, tmp_path / "model")
    assert again.finished
    assert again.progressive["num_examples"] == 18_000


@pytest.mark.slow
@pytest.mark.parametrize("tables", ["shared", "separate"])
def test_an_ensemble_goes_on_where_it_was_stopped(files, tmp_path, tables):
    config = TrainConfig(
        model=dataclasses.replace(CONFIG.model, towers=2, tower_tables=tables),
        loss=LossConfig(codistillation=1.0, burn_in_steps=20),
        train=TrainOptions(steps_per_execution=4),
    )

    def stop(*_):
        os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(config, files, tmp_path / "model", progress=stop)
    assert not stopped.finished
    again = train(config, files, tmp_path / "model")
    whole = train(config, files, tmp_path / "whole")
    assert again.finished
    weights = [result.model.get_weights() for result in (again, whole)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(
        load_model(tmp_path / "model").get_weights(), weights[0], strict=True
    ):
        np.testing.assert_array_equal(a, b)
