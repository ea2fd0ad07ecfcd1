"""train.py on several devices of one machine."""

import subprocess
import sys

import pytest
from clusters import exit_codes, log_of, started
from distributed_runs import assert_the_same, command, curve, runs_of

from smelu_tf.models import load_metrics

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


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", [2, 4])
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


@pytest.mark.slow
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
