"""Where a training runs: one device, several, or a cluster (`tf.distribute`).

A cluster is described by the environment variable TF_CONFIG, the same in every process
but for the process's own task:

    {"cluster": {"worker": ["host0:2222", "host1:2222"]},
     "task": {"type": "worker", "index": 0}}

For parameter servers it has the jobs `chief` (one process, which leads), `worker` and
`ps`.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

STRATEGIES = (
    "auto",
    "one_device",
    "mirrored",
    "multi_worker",
    "parameter_server",
    "tpu",
)
"""The names that `make_strategy` takes."""

COMMUNICATIONS = {
    "mirrored": ("auto", "nccl", "hierarchical_copy", "reduction_to_one_device"),
    "multi_worker": ("auto", "nccl", "ring"),
}
"""How the replicas of a strategy may add up their gradients; of others, `auto` only."""

RESOLVERS = ("tf_config", "slurm")
"""The names that `resolve_cluster` takes."""

AS_GIVEN = tf.distribute.RunOptions(experimental_enable_dynamic_batch_size=False)
"""Options of a call of all replicas: a TPU's embedding hardware takes no other."""

# Tables of fewer bytes stay on one parameter server.
_MIN_SHARD_BYTES = 256 << 10


def resolve_cluster(resolver: str, jobs: Mapping[str, int] | None = None) -> None:
    """Finds out which cluster this process is a part of, and puts it into TF_CONFIG.

    Args:
        resolver: `tf_config`: nothing to do; or `slurm`: of the job step that Slurm's
            environment variables describe.
        jobs: with `slurm`, the number of its tasks that do each job, in this order; by
            default all of them are workers.

    Raises:
        ValueError: an unknown resolver, or no step of Slurm, or one with another number
            of tasks.

    Example:
        >>> resolve_cluster("slurm", {"chief": 1, "worker": 2, "ps": 2})
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


def resolve_strategy(name: str) -> str:
    """The strategy that `auto` stands for here; any other name as it is.

    `auto` is what TF_CONFIG describes; without it, `tpu` on a TPU's machine, `mirrored`
    on several GPUs, and `one_device` else.

    Raises:
        ValueError: an unknown name, or one that TF_CONFIG does not fit.
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"strategy: expected one of {', '.join(STRATEGIES)}, received {name!r}."
        )
    jobs = _cluster()
    if name == "auto":
        if "ps" in jobs:
            return "parameter_server"
        if len(jobs.get("worker", ())) + len(jobs.get("chief", ())) > 1:
            return "multi_worker"
        if tf.config.list_physical_devices("TPU"):
            return "tpu"
        is_mirrored = len(tf.config.list_logical_devices("GPU")) > 1
        return "mirrored" if is_mirrored else "one_device"
    needed = {
        "multi_worker": ("worker",),
        "parameter_server": ("chief", "worker", "ps"),
    }.get(name, ())
    absent = [job for job in needed if job not in jobs]
    if absent:
        raise ValueError(
            f"TF_CONFIG: expected a cluster with the jobs {', '.join(needed)} for "
            f"strategy={name}, received none of {', '.join(absent)}."
        )
    return name


def make_strategy(
    name: str, communication: str = "auto", tpu: str = "local"
) -> tf.distribute.Strategy:
    """The strategy of a name.

    Args:
        name: one of `STRATEGIES`. `mirrored` takes all GPUs, or where there are none
            all logical CPU devices.
        communication: how replicas add up their gradients. `auto`: TensorFlow chooses,
            NCCL where all are GPUs. `nccl`: NVIDIA's collectives, on GPUs alone.
            `ring`, with several workers: around a ring over gRPC, on CPUs and GPUs.
            `hierarchical_copy`, mirrored: from GPU to neighbouring GPU and back, where
            NCCL is not to be had. `reduction_to_one_device`, mirrored: on the first
            device, which hands the sum on.
        tpu: which TPU `tpu` is: `local`, that of this machine; or a name or an address
            (`grpc://host:8470`) of another one, whose slice may have several machines.

    Raises:
        ValueError: as `resolve_strategy`; a communication that the strategy has not, or
            NCCL without GPUs; no TPU there.
    """
    name = resolve_strategy(name)
    _check_communication(name, communication)
    if name == "tpu":
        return _tpu_strategy(tpu)
    if name == "multi_worker":
        implementation = tf.distribute.experimental.CommunicationImplementation
        return tf.distribute.MultiWorkerMirroredStrategy(
            communication_options=tf.distribute.experimental.CommunicationOptions(
                implementation=implementation[communication.upper()]
            )
        )
    if name == "parameter_server":
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        return tf.distribute.ParameterServerStrategy(
            resolver,
            variable_partitioner=tf.distribute.experimental.partitioners.MinSizePartitioner(
                _MIN_SHARD_BYTES, max_shards=len(_cluster()["ps"])
            ),
        )
    gpus = tf.config.list_logical_devices("GPU")
    devices = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(
            devices, cross_device_ops=_cross_device_ops(communication)
        )
    # TensorFlow's default strategy: the first device, without a wrapper's overhead.
    return tf.distribute.get_strategy()


def _check_communication(name: str, communication: str) -> None:
    known = COMMUNICATIONS.get(name, ("auto",))
    if communication not in known:
        raise ValueError(
            f"communication: expected {' or '.join(known)} with strategy={name}, "
            f"received {communication!r}."
        )
    # Logical devices are there once a worker is known to its cluster, not before.
    if communication == "nccl" and not tf.config.list_physical_devices("GPU"):
        raise ValueError(
            "communication: expected GPUs for nccl, received a machine on which "
            "TensorFlow finds none."
        )


def _cross_device_ops(communication: str) -> tf.distribute.CrossDeviceOps | None:
    """What adds up gradients on one machine; None: TensorFlow's choice."""
    kinds = {
        "nccl": tf.distribute.NcclAllReduce,
        "hierarchical_copy": tf.distribute.HierarchicalCopyAllReduce,
        "reduction_to_one_device": tf.distribute.ReductionToOneDevice,
    }
    return kinds[communication]() if communication in kinds else None


def _tpu_strategy(tpu: str) -> tf.distribute.Strategy:
    """The strategy of a TPU, which is connected to and reset."""
    if tpu == "local" and not tf.config.list_physical_devices("TPU"):
        # Looking for it all the same would end the process, in libtpu.
        raise ValueError(
            "strategy=tpu: expected a TPU on this machine, received none that "
            "TensorFlow sees; on a TPU's machine install tensorflow-tpu in place of "
            "tensorflow, or name another machine's TPU (tpu=NAME)."
        )
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"strategy=tpu: expected the TPU {tpu}, received an error: {reason}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def is_tpu() -> bool:
    """Whether the strategy in force is a TPU's."""
    return isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy)


def has_embedding_hardware() -> bool:
    """Whether the TPU of the strategy in force has hardware for embedding tables."""
    feature = tf.distribute.get_strategy().extended.tpu_hardware_feature
    unsupported = tf.tpu.experimental.HardwareFeature.EmbeddingFeature.UNSUPPORTED
    return feature.embedding_feature != unsupported


def has_accelerator() -> bool:
    """Whether there is a GPU or a TPU."""
    return any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU"))


def num_workers() -> int:
    """How many workers the cluster has."""
    return len(_cluster().get("worker", ()))


def is_chief() -> bool:
    """Whether this process is the one of its cluster that writes files."""
    task = _tf_config().get("task", {})
    if "chief" in _cluster():
        return task.get("type") == "chief"
    return int(task.get("index", 0)) == 0


def is_led() -> bool:
    """Whether this process only does what the chief of a parameter-server run says."""
    task = _tf_config().get("task", {})
    return "ps" in _cluster() and task.get("type") in ("worker", "ps")


def serve() -> None:
    """Serves a parameter-server run as its worker or parameter server, without end."""
    task = _tf_config()["task"]
    server = tf.distribute.Server(
        tf.train.ClusterSpec(_cluster()),
        job_name=task["type"],
        task_index=int(task["index"]),
        protocol="grpc",
        start=True,
    )
    server.join()


def outside_scope(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function returns that makes variables for this process alone.

    Those of metrics are made in a strategy's scope for all replicas, each of which adds
    to its own; here one process counts by itself. A scope is that of a thread, so the
    function runs in another one. Parameter servers have no replicas to add up.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1 and not is_tpu():
        return function(*args, **kwargs)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args, **kwargs).result()


def end_process(code: int = 0) -> None:
    """Ends the chief of a parameter-server run; elsewhere only if the code is not 0.

    A lost worker's connection would otherwise keep the interpreter from ending for
    minutes after all work is done.

    Args:
        code: the exit code.
    """
    if "ps" in _cluster() and is_chief():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


def _cluster() -> dict[str, list[str]]:
    return _tf_config().get("cluster", {})


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
