"""train.py on several devices and on clusters of local processes."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from smelu_tf.models import (
    ScoringJob,
    evaluate,
    export_model_dir,
    load_metrics,
    load_model,
)

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"
# 71 batches, the last of 80 rows.
FLAGS = [
    "--config.model.embedding_dim=16",
    "--config.model.hidden_units=(16,8)",
    "--config.model.crosses=('C9*C6',)",
    "--config.train.steps_per_execution=4",
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
# Instead of the table of its weights, which joins what servers share, it shows where
# each of them is.
SHOWING_PLACES = """
import runpy, sys
from smelu_tf import models
models.parameter_table = lambda model: "\\n".join(
    f"place {v.name} {v.shape.num_elements()} {v.device}" for v in model.variables
)
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


def command(data, model_dir, *flags, checkpoint_steps=20):
    steps = f"--config.train.checkpoint_steps={checkpoint_steps}"
    return [SCRIPT, f"--data={data}", f"--model_dir={model_dir}", *FLAGS, steps, *flags]


@contextlib.contextmanager
def started(folder, arguments, **jobs):
    """Processes that all run the same command, by job and index; killed in the end."""
    addresses = iter(free_addresses(sum(jobs.values())))
    spec = {job: [next(addresses) for _ in range(n)] for job, n in jobs.items()}
    processes = {}
    try:
        for job, index in [(job, i) for job, n in jobs.items() for i in range(n)]:
            config = {"cluster": spec, "task": {"type": job, "index": index}}
            with open(folder / f"{job}_{index}.log", "w") as log:
                processes[job, index] = subprocess.Popen(
                    [sys.executable, *map(str, arguments)],
                    env={**os.environ, "TF_CONFIG": json.dumps(config)},
                    stdout=log,
                    stderr=log,
                )
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def log_of(folder, job, index=0):
    return (folder / f"{job}_{index}.log").read_text()


def exit_codes(processes, timeout):
    end = time.monotonic() + timeout
    return [
        process.wait(timeout=max(1.0, end - time.monotonic())) for process in processes
    ]


def wait_for_steps(model_dir, timeout=120):
    """Until all processes have taken part in a step, which then is reported."""
    path = model_dir / "progress.jsonl"
    wait_until(lambda: path.exists() and path.stat().st_size, timeout)


def wait_for_checkpoint(model_dir, timeout=120):
    wait_until(lambda: any(model_dir.glob("checkpoints/*.index")), timeout)


def wait_until(is_so, timeout):
    end = time.monotonic() + timeout
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


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


@pytest.fixture(scope="module")
def data(criteo_dir):
    return criteo_dir / "day_[0-5].tsv"


@pytest.fixture(scope="module")
def one_device(data, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("one_device") / "model"
    subprocess.run([sys.executable, *command(data, model_dir)], check=True, timeout=120)
    assert load_metrics(model_dir)["progressive"]["num_examples"] == 18_000
    return model_dir


@pytest.fixture(scope="module")
def long_data(data):
    return ",".join([str(data)] * 6)


@pytest.fixture(scope="module")
def long_one_device(long_data, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("long_one_device") / "model"
    program = [sys.executable, *command(long_data, model_dir)]
    subprocess.run(program, check=True, timeout=300)
    return model_dir


@pytest.mark.parametrize("num_devices", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_replicas_on_one_machine_follow_one_device(
    data, one_device, tmp_path, num_devices
):
    arguments = command(data, tmp_path / "model", "--strategy=mirrored")
    program = [sys.executable, "-c", WITH_DEVICES, str(num_devices)]
    subprocess.run([*program, *map(str, arguments)], check=True, timeout=180)
    (run,) = runs_of(tmp_path / "model")
    assert run["strategy"]["num_replicas"] == num_devices
    assert curve(tmp_path / "model").keys() == curve(one_device).keys()
    assert_the_same(tmp_path / "model", one_device)


@pytest.mark.slow
@pytest.mark.parametrize(
    "communication", ["hierarchical_copy", "reduction_to_one_device"]
)
def test_replicas_without_nccl_follow_one_device(
    data, one_device, tmp_path, communication
):
    arguments = command(
        data,
        tmp_path / "model",
        "--strategy=mirrored",
        f"--communication={communication}",
    )
    program = [sys.executable, "-c", WITH_DEVICES, "2"]
    subprocess.run([*program, *map(str, arguments)], check=True, timeout=180)
    assert_the_same(tmp_path / "model", one_device)


def test_nccl_without_gpus_is_refused_in_one_line(data, tmp_path):
    arguments = command(
        data, tmp_path / "model", "--strategy=mirrored", "--communication=nccl"
    )
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "train.py: communication: expected GPUs for nccl, received a machine"
    )
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_replicas_and_workers_in_float16_follow_one_device(data, tmp_path):
    """Each in numbers of its own rounding; steps are skipped by all or none."""
    half = ("--config.train.compute_dtype=float16", "--jit_compile=on")
    arguments = command(data, tmp_path / "one", *half)
    subprocess.run([sys.executable, *map(str, arguments)], check=True, timeout=180)
    arguments = command(data, tmp_path / "two", *half, "--strategy=mirrored")
    program = [sys.executable, "-c", WITH_DEVICES, "2"]
    subprocess.run([*program, *map(str, arguments)], check=True, timeout=180)
    ring = ("--strategy=multi_worker", "--communication=ring")
    arguments = command(data, tmp_path / "ring", *half, *ring)
    with started(tmp_path, arguments, worker=2) as processes:
        codes = exit_codes(processes.values(), timeout=200)
        assert codes == [0, 0], log_of(tmp_path, "worker")
    one, *others = (
        load_metrics(tmp_path / name)["progressive"] for name in ("one", "two", "ring")
    )
    for figures in others:
        assert figures["num_examples"] == one["num_examples"]
        assert figures["log_loss"] == pytest.approx(one["log_loss"], abs=1e-4)


def test_float16_on_parameter_servers_is_refused_in_one_line(data, tmp_path):
    arguments = command(
        data,
        tmp_path / "model",
        "--strategy=parameter_server",
        "--config.train.compute_dtype=float16",
    )
    with started(tmp_path, arguments, chief=1, worker=1, ps=1) as processes:
        assert processes["chief", 0].wait(timeout=120) == 2
    assert log_of(tmp_path, "chief").splitlines()[-1] == (
        "train.py: train.compute_dtype: expected float32, bfloat16 or auto with "
        "strategy=parameter_server, received float16."
    )


@pytest.mark.slow
@pytest.mark.parametrize("tables", ["shared", "separate"])
def test_towers_on_replicas_follow_one_device(data, tmp_path, tables):
    towers = [
        "--config.model.towers=2",
        f"--config.model.tower_tables={tables}",
        "--config.loss.codistillation=1.0",
        "--config.loss.burn_in_steps=20",
    ]
    arguments = command(data, tmp_path / "one", *towers)
    subprocess.run([sys.executable, *arguments], check=True, timeout=180)
    arguments = command(data, tmp_path / "two", *towers, "--strategy=mirrored")
    program = [sys.executable, "-c", WITH_DEVICES, "2"]
    subprocess.run([*program, *map(str, arguments)], check=True, timeout=180)
    assert_the_same(tmp_path / "two", tmp_path / "one")


@pytest.mark.parametrize("num_workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_workers_together_follow_one_device(data, one_device, tmp_path, num_workers):
    arguments = command(data, tmp_path / "model", "--strategy=multi_worker")
    with started(tmp_path, arguments, worker=num_workers) as processes:
        codes = exit_codes(processes.values(), timeout=200)
        assert codes == [0] * num_workers, log_of(tmp_path, "worker")
    (run,) = runs_of(tmp_path / "model")
    assert run["strategy"]["num_replicas"] == num_workers
    assert curve(tmp_path / "model").keys() == curve(one_device).keys()
    assert_the_same(tmp_path / "model", one_device)


def assert_learned(model_dir, num_rows, most_twice=0):
    progressive = load_metrics(model_dir)["progressive"]
    assert num_rows <= progressive["num_examples"] <= num_rows + most_twice
    assert progressive["normalized_entropy"] < 0.99


def assert_predicts(model_dir, criteo_dir):
    """The model predicts, and what is exported of it scores the same."""
    data = criteo_dir / "day_6.tsv"
    version = export_model_dir(model_dir, model_dir.parent / "export")
    jobs = [ScoringJob.open(model, data) for model in (model_dir, version)]
    own, exported = (evaluate(job.scorer, job.batches) for job in jobs)
    assert own["normalized_entropy"] < 0.99
    assert exported == own


def sizes_by_server(log, name):
    """How many numbers of a variable each parameter server holds."""
    pattern = rf"^place \S*{name}(?:/part_\d+)?:0 (\d+) /job:ps/\S*/task:(\d+)/"
    found = re.findall(pattern, log, re.MULTILINE)
    sizes = {int(server): int(size) for size, server in found}
    assert len(sizes) == len(found), "two pieces on one server"
    return sizes


def test_parameter_servers_share_the_tables_and_every_row_is_learned(
    data, criteo_dir, tmp_path
):
    arguments = ["-c", SHOWING_PLACES, *command(data, tmp_path / "model")]
    with started(tmp_path, arguments, ps=2, worker=2, chief=1) as processes:
        (code,) = exit_codes([processes["chief", 0]], timeout=240)
        assert code == 0, log_of(tmp_path, "chief")
    assert_learned(tmp_path / "model", 18_000)
    assert_predicts(tmp_path / "model", criteo_dir)
    (run,) = runs_of(tmp_path / "model")
    assert run["strategy"]["name"].startswith("ParameterServerStrategy")
    log = log_of(tmp_path, "chief")
    shares = sizes_by_server(log, "deep/embeddings/table")
    assert shares.keys() == {0, 1}, log
    model = load_model(tmp_path / "model")
    size = model.deep.embeddings[0].table.shape.num_elements()
    assert sum(shares.values()) == size
    assert min(shares.values()) > 0.49 * size
    # One that is too small for two shares of 256 KiB.
    (small,) = sizes_by_server(log, "wide/ids/table").values()
    assert small == model.wide.ids.table.shape.num_elements()


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_a_lost_worker_does_not_end_a_parameter_server_run(long_data, tmp_path):
    arguments = command(long_data, tmp_path / "model")
    with started(tmp_path, arguments, ps=2, worker=2, chief=1) as processes:
        wait_for_checkpoint(tmp_path / "model")
        processes["worker", 0].kill()
        assert processes["chief", 0].poll() is None, "killed too late"
        (code,) = exit_codes([processes["chief", 0]], timeout=400)
        assert code == 0, log_of(tmp_path, "chief")
    # The batches of the call that the worker was lost with may be learned twice.
    assert_learned(tmp_path / "model", 6 * 18_000, most_twice=4 * 256)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lost_worker_ends_all_workers_and_the_same_commands_go_on(
    long_data, long_one_device, tmp_path
):
    arguments = command(long_data, tmp_path / "model", "--strategy=multi_worker")
    with started(tmp_path, arguments, worker=3) as processes:
        wait_for_checkpoint(tmp_path / "model")
        assert [p.poll() for p in processes.values()] == [None] * 3, "ended too soon"
        processes["worker", 1].kill()
        others = [processes["worker", index] for index in (0, 2)]
        assert 0 not in exit_codes(others, timeout=60)
    with started(tmp_path, arguments, worker=3) as processes:
        codes = exit_codes(processes.values(), timeout=300)
        assert codes == [0, 0, 0], log_of(tmp_path, "worker")
    runs = runs_of(tmp_path / "model")
    assert [run["first_step"] > 0 for run in runs] == [False, True]
    assert_the_same(tmp_path / "model", long_one_device)


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_sigterm_to_one_worker_stops_all_of_them_behind_one_checkpoint(
    long_data, long_one_device, tmp_path
):
    model_dir = tmp_path / "model"
    # No checkpoint but for that of the stop, and that of the end.
    arguments = command(
        long_data, model_dir, "--strategy=multi_worker", checkpoint_steps=1_000_000
    )
    with started(tmp_path, arguments, worker=2) as processes:
        wait_for_steps(model_dir)
        processes["worker", 1].send_signal(signal.SIGTERM)
        codes = exit_codes(processes.values(), timeout=30)
        assert codes == [0, 0], log_of(tmp_path, "worker", 1)
    for index in range(2):
        assert "the same command goes on" in log_of(tmp_path, "worker", index)
    (checkpoint,) = model_dir.glob("checkpoints/*.index")
    with started(tmp_path, arguments, worker=2) as processes:
        codes = exit_codes(processes.values(), timeout=300)
        assert codes == [0, 0], log_of(tmp_path, "worker")
    first, second = (run["first_step"] for run in runs_of(model_dir))
    assert first == 0 < second
    assert checkpoint.stem == f"ckpt-{second}"
    # Reports begin anew where the run goes on: the first and the last are common.
    assert_the_same(model_dir, long_one_device, least_common=2)
