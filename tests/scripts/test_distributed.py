"""train.py on several devices and on clusters of local processes."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from smelu_tf.models import ScoringJob, evaluate, load_metrics, load_model

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"
# 71 batches, the last of 80 rows.
FLAGS = [
    "--config.model.embedding_dim=16",
    "--config.model.hidden_units=(16,8)",
    "--config.model.crosses=('C9*C6',)",
    "--config.train.steps_per_execution=4",
    "--config.train.checkpoint_steps=20",
]
WITH_DEVICES = """
import runpy, sys
import tensorflow as tf
device = tf.config.list_physical_devices("CPU")[0]
one = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(device, [one] * int(sys.argv.pop(1)))
sys.argv.pop(0)
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def free_addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [f"localhost:{each.getsockname()[1]}" for each in sockets]


def command(data, model_dir, *flags):
    return [SCRIPT, f"--data={data}", f"--model_dir={model_dir}", *FLAGS, *flags]


class Cluster:
    """Processes that all run the same command, with a log each; a context manager."""

    def __init__(self, folder, arguments, **jobs):
        addresses = iter(free_addresses(sum(jobs.values())))
        spec = {
            job: [next(addresses) for _ in range(count)] for job, count in jobs.items()
        }
        self.folder = folder
        self.processes = {}
        for job, count in jobs.items():
            for index in range(count):
                config = {"cluster": spec, "task": {"type": job, "index": index}}
                with open(folder / f"{job}_{index}.log", "w") as log:
                    self.processes[job, index] = subprocess.Popen(
                        [sys.executable, *map(str, arguments)],
                        env={**os.environ, "TF_CONFIG": json.dumps(config)},
                        stdout=log,
                        stderr=log,
                    )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()

    def log(self, job, index):
        return (self.folder / f"{job}_{index}.log").read_text()

    def codes(self, timeout, keys=None):
        end = time.monotonic() + timeout
        return [
            self.processes[key].wait(timeout=max(1.0, end - time.monotonic()))
            for key in keys or self.processes
        ]


def wait_for(model_dir, pattern, timeout=90):
    end = time.monotonic() + timeout
    while not any(model_dir.glob(pattern)):
        assert time.monotonic() < end, f"no {pattern}"
        time.sleep(0.05)


def curve(model_dir):
    """Rows and progressive log loss after every step that was reported."""
    with open(model_dir / "progress.jsonl") as lines:
        values = [json.loads(line) for line in lines]
    return {
        v["step"]: (v["num_examples"], v["progressive"]["log_loss"]) for v in values
    }


def assert_the_same(model_dir, reference):
    """Equal figures, curve and weights, to rounding; the same rows exactly."""
    ours, theirs = (load_metrics(d)["progressive"] for d in (model_dir, reference))
    assert ours["num_examples"] == theirs["num_examples"]
    assert ours["log_loss"] == pytest.approx(theirs["log_loss"], abs=1e-6)
    assert ours["auc"] == pytest.approx(theirs["auc"], abs=1e-5)
    ours, theirs = curve(model_dir), curve(reference)
    common = ours.keys() & theirs.keys()
    assert len(common) >= 3
    for step in common:
        assert ours[step][0] == theirs[step][0]
        assert ours[step][1] == pytest.approx(theirs[step][1], abs=1e-6)
    weights = [load_model(d).get_weights() for d in (model_dir, reference)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)


@pytest.fixture(scope="module")
def data(criteo_dir):
    return criteo_dir / "day_[0-5].tsv"


@pytest.fixture(scope="module")
def one_device(data, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("one_device") / "model"
    subprocess.run([sys.executable, *command(data, model_dir)], check=True, timeout=120)
    assert load_metrics(model_dir)["progressive"]["num_examples"] == 18_000
    return model_dir


@pytest.mark.parametrize("num_devices", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_replicas_on_one_machine_follow_one_device(
    data, one_device, tmp_path, num_devices
):
    arguments = command(data, tmp_path / "model", "--strategy=mirrored")
    program = [sys.executable, "-c", WITH_DEVICES, str(num_devices)]
    subprocess.run([*program, *map(str, arguments)], check=True, timeout=180)
    (run,) = json.loads((tmp_path / "model/environment.json").read_text())["runs"]
    assert run["strategy"]["num_replicas"] == num_devices
    assert_the_same(tmp_path / "model", one_device)


@pytest.mark.parametrize("num_workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_workers_together_follow_one_device(data, one_device, tmp_path, num_workers):
    arguments = command(data, tmp_path / "model", "--strategy=multi_worker")
    with Cluster(tmp_path, arguments, worker=num_workers) as cluster:
        codes = cluster.codes(timeout=200)
        assert codes == [0] * num_workers, cluster.log("worker", 0)
    assert_the_same(tmp_path / "model", one_device)


def assert_learned(model_dir, num_rows):
    progressive = load_metrics(model_dir)["progressive"]
    assert progressive["num_examples"] == num_rows
    assert progressive["normalized_entropy"] < 0.99


def assert_predicts(model_dir, criteo_dir):
    job = ScoringJob.open(model_dir, criteo_dir / "day_6.tsv")
    assert evaluate(job.scorer, job.batches)["normalized_entropy"] < 0.99


def test_parameter_servers_share_the_tables_and_every_row_is_learned(
    data, criteo_dir, tmp_path
):
    arguments = command(data, tmp_path / "model")
    with Cluster(tmp_path, arguments, ps=2, worker=2, chief=1) as cluster:
        (code,) = cluster.codes(timeout=240, keys=[("chief", 0)])
        assert code == 0, cluster.log("chief", 0)
    assert_learned(tmp_path / "model", 18_000)
    assert_predicts(tmp_path / "model", criteo_dir)
    (run,) = json.loads((tmp_path / "model/environment.json").read_text())["runs"]
    assert run["strategy"]["name"].startswith("ParameterServerStrategy")
    # Two servers' worth of the least that a server gets.
    table = load_model(tmp_path / "model").deep.embeddings[0].table
    assert 4 * table.shape.num_elements() >= 2 * 256 << 10


@pytest.mark.slow
def test_a_lost_worker_does_not_end_a_parameter_server_run(data, tmp_path):
    many = ",".join([str(data)] * 6)
    arguments = command(many, tmp_path / "model")
    with Cluster(tmp_path, arguments, ps=2, worker=2, chief=1) as cluster:
        wait_for(tmp_path / "model", "progress.jsonl")
        cluster.processes["worker", 0].kill()
        assert cluster.processes["chief", 0].poll() is None, "killed too late"
        (code,) = cluster.codes(timeout=400, keys=[("chief", 0)])
        assert code == 0, cluster.log("chief", 0)
    assert_learned(tmp_path / "model", 6 * 18_000)


@pytest.mark.slow
def test_a_lost_worker_ends_all_workers_and_the_same_commands_go_on(data, tmp_path):
    many = ",".join([str(data)] * 6)
    arguments = command(many, tmp_path / "model", "--strategy=multi_worker")
    subprocess.run(
        [sys.executable, *command(many, tmp_path / "one")], check=True, timeout=300
    )
    with Cluster(tmp_path, arguments, worker=3) as cluster:
        wait_for(tmp_path / "model", "checkpoints/*.index")
        cluster.processes["worker", 1].kill()
        others = [("worker", 0), ("worker", 2)]
        assert all(code not in (0, None) for code in cluster.codes(60, others))
    with Cluster(tmp_path, arguments, worker=3) as cluster:
        assert cluster.codes(timeout=300) == [0, 0, 0], cluster.log("worker", 0)
    runs = json.loads((tmp_path / "model/environment.json").read_text())["runs"]
    assert [run["first_step"] > 0 for run in runs] == [False, True]
    assert_the_same(tmp_path / "model", tmp_path / "one")


@pytest.mark.slow
def test_sigterm_to_one_worker_stops_all_of_them_behind_a_checkpoint(data, tmp_path):
    many = ",".join([str(data)] * 6)
    arguments = command(many, tmp_path / "model", "--strategy=multi_worker")
    with Cluster(tmp_path, arguments, worker=2) as cluster:
        wait_for(tmp_path / "model", "checkpoints/*.index")
        cluster.processes["worker", 1].send_signal(signal.SIGTERM)
        assert cluster.codes(timeout=30) == [0, 0], cluster.log("worker", 1)
        assert "the same command goes on" in cluster.log("worker", 0)
    with Cluster(tmp_path, arguments, worker=2) as cluster:
        assert cluster.codes(timeout=300) == [0, 0], cluster.log("worker", 0)
    figures = load_metrics(tmp_path / "model")["progressive"]
    assert figures["num_examples"] == 6 * 18_000
