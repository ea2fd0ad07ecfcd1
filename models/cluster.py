"""The cluster that this process is a part of, and what its part is.

A cluster is described by the environment variable TF_CONFIG, the same in every process
but for the process's own task:

    {"cluster": {"worker": ["host0:2222", "host1:2222"]},
     "task": {"type": "worker", "index": 0}}

For parameter servers it has the jobs `chief` (one process, which leads), `worker` and
`ps`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

import tensorflow as tf

RESOLVERS = ("tf_config", "slurm")
"""The names that `resolve_cluster` takes."""


def resolve_cluster(resolver: str, jobs: Mapping[str, int] | None = None) -> None:
    """Finds out which cluster this process is a part of, and puts it into TF_CONFIG.

    Args:
        resolver: `tf_config`: nothing to do; or `slurm`: of the job step that Slurm's
            environment variables describe.
        jobs: with `slurm`, the number of its tasks that do each job, in this order:
            `{"chief": 1, "worker": 2, "ps": 2}`, say; by default all of them are
            workers.

    Raises:
        ValueError: an unknown resolver, or no step of Slurm, or one with another number
            of tasks.
    """
    if resolver not in RESOLVERS:
        raise ValueError(
            f"resolver: expected one of {', '.join(RESOLVERS)}, received {resolver!r}."
        )
    if resolver == "tf_config":
        return
    if "SLURM_PROCID" not in os.environ:
        raise ValueError(
            "resolver: expected a process that srun has started, received one without "
            "SLURM_PROCID in its environment."
        )
    num_tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    jobs = dict(jobs or {"worker": num_tasks})
    if sum(jobs.values()) != num_tasks:
        raise ValueError(
            f"jobs: expected {num_tasks} tasks, as Slurm's step has, received "
            f"{sum(jobs.values())}."
        )
    # Which GPUs a task sees is left to Slurm. The resolver would ask nvidia-smi, and
    # takes no node without GPUs: numbers that always fit are given, which go nowhere.
    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(
        jobs, gpus_per_node=num_tasks, gpus_per_task=1, auto_set_gpu=False
    )
    cluster = slurm.cluster_spec().as_dict()
    job, index = slurm.get_task_info()
    task = {"type": job, "index": index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})


def cluster_jobs() -> dict[str, list[str]]:
    """The addresses of the cluster's processes by their job; empty without a cluster.

    Raises:
        ValueError: TF_CONFIG is no description of a cluster.
    """
    return _tf_config().get("cluster", {})


def num_workers() -> int:
    """How many workers the cluster has."""
    return len(cluster_jobs().get("worker", ()))


def is_chief() -> bool:
    """Whether this process is the one of its cluster that writes files."""
    task = _tf_config().get("task", {})
    if "chief" in cluster_jobs():
        return task.get("type") == "chief"
    return int(task.get("index", 0)) == 0


def is_led() -> bool:
    """Whether this process only does what the chief of a parameter-server run says."""
    task = _tf_config().get("task", {})
    return "ps" in cluster_jobs() and task.get("type") in ("worker", "ps")


def serve() -> None:
    """Serves a parameter-server run as its worker or parameter server, without end."""
    task = _tf_config()["task"]
    server = tf.distribute.Server(
        tf.train.ClusterSpec(cluster_jobs()),
        job_name=task["type"],
        task_index=int(task["index"]),
        protocol="grpc",
        start=True,
    )
    server.join()


def end_process(code: int = 0) -> None:
    """Ends the chief of a parameter-server run; elsewhere only if the code is not 0.

    A lost worker's connection would otherwise keep the interpreter from ending for
    minutes after all work is done.

    Args:
        code: the exit code.
    """
    if "ps" in cluster_jobs() and is_chief():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


def _tf_config() -> dict:
    text = os.environ.get("TF_CONFIG", "") or "{}"
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"TF_CONFIG: expected JSON, received {error}.") from None
    if not isinstance(config, dict) or not isinstance(config.get("cluster", {}), dict):
        raise ValueError(
            "TF_CONFIG: expected an object with the keys cluster and task, "
            f"received {text}."
        )
    return config
