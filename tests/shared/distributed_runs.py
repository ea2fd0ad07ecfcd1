"""Trainings with train.py that follow one another, on whatever they run."""

import json

import numpy as np
import pytest
from script_runs import SCRIPTS

from smelu_tf.models import load_metrics, load_model

# 71 batches, the last of 80 rows.
FLAGS = [
    "--config.model.embedding_dim=16",
    "--config.model.hidden_units=(16,8)",
    "--config.model.crosses=('C9*C6',)",
    "--config.train.steps_per_execution=4",
]


def command(data, model_dir, *flags, checkpoint_steps=20):
    steps = f"--config.train.checkpoint_steps={checkpoint_steps}"
    return [
        SCRIPTS / "train.py",
        f"--data={data}",
        f"--model_dir={model_dir}",
        *FLAGS,
        steps,
        *flags,
    ]


def runs_of(model_dir):
    return json.loads((model_dir / "environment.json").read_text())["runs"]


def curve(model_dir):
    """Rows and progressive log loss after every step that was reported."""
    with open(model_dir / "progress.jsonl") as lines:
        values = [json.loads(line) for line in lines]
    return {
        v["step"]: (v["num_examples"], v["progressive"]["log_loss"]) for v in values
    }


def assert_the_same(model_dir, reference, least_common=3):
    """Equal figures, curve and weights, to rounding; the same rows exactly."""
    ours, theirs = (load_metrics(d)["progressive"] for d in (model_dir, reference))
    assert ours["num_examples"] == theirs["num_examples"]
    assert ours["log_loss"] == pytest.approx(theirs["log_loss"], abs=1e-6)
    assert ours["auc"] == pytest.approx(theirs["auc"], abs=1e-5)
    ours, theirs = curve(model_dir), curve(reference)
    common = ours.keys() & theirs.keys()
    assert len(common) >= least_common
    for step in common:
        assert ours[step][0] == theirs[step][0]
        assert ours[step][1] == pytest.approx(theirs[step][1], abs=1e-6)
    weights = [load_model(d).get_weights() for d in (model_dir, reference)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)
