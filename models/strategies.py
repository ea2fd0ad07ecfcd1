"""Where a training runs: one device, several, or a cluster (`tf.distribute`)."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from .cluster import cluster_jobs

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

AS_GIVEN = tf.distribute.RunOptions(experimental_enable_dynamic_batch_size=False)
"""Options of a call of all replicas: a TPU's embedding hardware takes no other."""

# Tables of fewer bytes stay on one parameter server.
_MIN_SHARD_BYTES = 256 << 10


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
    jobs = cluster_jobs()
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
                _MIN_SHARD_BYTES, max_shards=len(cluster_jobs()["ps"])
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


def replica_rows(batch_size: int) -> int:
    """Rows of a replica's part of a batch, where all have as many."""
    return batch_size // tf.distribute.get_strategy().num_replicas_in_sync


def outside_scope(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function returns that makes variables for this process alone.

    Those of metrics are made in a strategy's scope for all replicas, each of which adds
    to its own; here one process counts by itself. A scope is that of a thread, so the
    function runs in another one. Parameter servers have no replicas to add up.
    """
    strategy = tf.distribute.get_strategy()
    is_asynchronous = isinstance(strategy, tf.distribute.ParameterServerStrategy)
    if not tf.distribute.has_strategy() or is_asynchronous:
        return function(*args, **kwargs)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args, **kwargs).result()
