"""Clusters of local processes, each told its place by TF_CONFIG."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time


def free_addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [f"localhost:{each.getsockname()[1]}" for each in sockets]


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
