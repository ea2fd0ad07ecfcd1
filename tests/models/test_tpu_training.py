"""Training as on a TPU: what can be of it without one.

TPU tables train, go on, are evaluated and exported on a CPU; and the loop of a TPU runs
on two logical CPUs: batches of one size, several of them a call, ids prepared by the
host, predictions counted outside the replicas' program, validation in full batches.
"""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import small_runs
from same_weights import assert_same_weights
from two_devices import run_on_two_devices

from smelu_tf.models import (
    DataConfig,
    EvalConfig,
    Scorer,
    ScoringJob,
    evaluate,
    export_saved_model,
    load_model,
    train,
)
from smelu_tf.pipelines import CRITEO, open_rows

CONFIG = dataclasses.replace(
    small_runs.CONFIG,
    model=dataclasses.replace(
        small_runs.CONFIG.model, crosses=("C9*C6",), tables="tpu", tpu_table_ids=100
    ),
    eval=EvalConfig(every_steps=8),
)


@pytest.fixture(scope="module")
def trained(criteo_dir, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("tpu") / "model"
    files = criteo_dir / "day_[0-2].tsv"
    later = criteo_dir / "day_3.tsv"
    return train(CONFIG, files, model_dir, validation_files=later), model_dir


def test_a_model_dir_is_loaded_and_scored_elsewhere(trained, criteo_dir):
    result, model_dir = trained
    assert result.model.tpu_tables is not None
    loaded = load_model(model_dir)
    assert_same_weights(loaded, result.model)
    job = ScoringJob.open(model_dir, criteo_dir / "day_3.tsv")
    figures = evaluate(job.scorer, job.batches)
    assert figures == pytest.approx(result.validation, rel=1e-6)


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_where_it_was(trained, criteo_dir, tmp_path):
    result, _ = trained
    files, later = criteo_dir / "day_[0-2].tsv", criteo_dir / "day_3.tsv"
    small_runs.interrupt(3999, CONFIG, files, tmp_path / "m", validation_files=later)
    assert list((tmp_path / "m" / "checkpoints").glob("ckpt-*.index"))
    again = train(CONFIG, files, tmp_path / "m", validation_files=later)
    for a, b in zip(result.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert again.progressive == pytest.approx(result.progressive, rel=1e-5)


@pytest.mark.slow
def test_it_is_exported_for_a_process_that_has_tensorflow_alone(
    trained, criteo_dir, tmp_path
):
    result, _ = trained
    version = export_saved_model(result.model, tmp_path / "export")
    program = """
import sys
import tensorflow as tf
lines = [line.split("\\t", 1)[1] for line in open(sys.argv[2]).readlines()[:50]]
loaded = tf.saved_model.load(sys.argv[1])
score = loaded.signatures["predict_lines"]
(name,) = score.structured_input_signature[1]
print(*score(**{name: tf.constant(lines)})["logit"].numpy().ravel().tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(version), str(criteo_dir / "day_3.tsv")],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    exported = np.array(done.stdout.split(), float)
    rows = open_rows(criteo_dir / "day_3.tsv")
    scorer = Scorer.of(result.model)
    (batch,) = rows.batches(scorer.schema, 50, transform=scorer.transform).take(1)
    np.testing.assert_allclose(exported, scorer.logit(batch.features), rtol=1e-5)


@pytest.mark.slow
def test_a_warm_start_changes_between_the_layouts(trained, criteo_dir, tmp_path):
    _, model_dir = trained
    stacked = dataclasses.replace(
        CONFIG, model=dataclasses.replace(CONFIG.model, tables="stacked")
    )
    warm = train(
        stacked,
        criteo_dir / "day_3.tsv",
        tmp_path / "warm",
        warm_start=model_dir,
    )
    fresh = train(stacked, criteo_dir / "day_3.tsv", tmp_path / "fresh")
    assert warm.progressive["log_loss"] < fresh.progressive["log_loss"] - 0.005


def test_a_configuration_that_a_tpu_does_not_take_leaves_nothing(tmp_path, criteo_dir):
    with pytest.raises(ValueError, match="strategy=tpu: expected a TPU on this mach"):
        train(CONFIG, criteo_dir / "day_0.tsv", tmp_path / "m", strategy="tpu")
    assert not (tmp_path / "m").exists()


AS_ON_A_TPU = """
import json, sys
from smelu_tf.models import TrainConfig, assembly, train, training, training_rows
from smelu_tf.models.steps import TrainSteps

config = TrainConfig.load(sys.argv[1])
folder, out = sys.argv[2:]
found, calls = {}, []
for name in ("one_device", "mirrored"):
    if name == "mirrored":
        for module in (assembly, training, training_rows):
            module.is_tpu = lambda: True
        training.has_embedding_hardware = lambda: True
        real = TrainSteps._steps
        TrainSteps._steps = lambda *a: calls.append(1) or real(*a)
    result = train(
        config, f"{folder}/day_[0-1].tsv", f"{out}/{name}", strategy=name,
        validation_files=f"{folder}/day_2.tsv",
    )
    found[name] = {
        "progressive": result.progressive, "validation": result.validation,
        "norms": [float(tf.norm(w)) for w in result.model.get_weights()],
    }
assert calls == [1], "several steps a call are one compiled function"
print(json.dumps(found))
"""


@pytest.mark.slow
def test_the_loop_of_a_tpu_on_two_devices_learns_what_one_device_learns(
    criteo_dir, tmp_path
):
    # The last batch, which is not full, is left out by the TPU's loop.
    schema = open_rows(criteo_dir / "day_[0-1].tsv").complete(CRITEO)
    (tmp_path / "schema.json").write_text(schema.to_json())
    config = dataclasses.replace(
        CONFIG,
        data=DataConfig(schema=str(tmp_path / "schema.json"), batch_size=80),
        eval=EvalConfig(batch_size=700),
    )
    (tmp_path / "config.json").write_text(config.to_json())
    printed = run_on_two_devices(
        AS_ON_A_TPU, tmp_path / "config.json", criteo_dir, tmp_path
    )
    found = json.loads(printed.splitlines()[-1])
    here, there = found["one_device"], found["mirrored"]
    assert here["progressive"]["num_examples"] == 6000
    assert there["progressive"]["num_examples"] == 6000
    for what in ("progressive", "validation"):
        assert there[what] == pytest.approx(here[what], rel=2e-3), what
    np.testing.assert_allclose(there["norms"], here["norms"], rtol=5e-3, atol=1e-4)
