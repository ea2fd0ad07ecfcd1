"""train.py on clusters of workers, which are local processes."""

import signal
import subprocess
import sys

import pytest
from clusters import (
    exit_codes,
    log_of,
    started,
    wait_for_checkpoint,
    wait_for_steps,
)
from distributed_runs import assert_the_same, command, curve, runs_of


@pytest.fixture(scope="module")
def long_one_device(long_data, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("long_one_device") / "model"
    program = [sys.executable, *command(long_data, model_dir)]
    subprocess.run(program, check=True, timeout=300)
    return model_dir


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
