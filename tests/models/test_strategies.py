"""models/strategies.py: which strategy, and what it is made with."""

import pytest
import tensorflow as tf
from tf_configs import LED, SERVERS, WORKERS, configure

from smelu_tf.models import strategies
from smelu_tf.models.cluster import num_workers


def test_auto_is_what_the_cluster_says(monkeypatch):
    assert strategies.resolve_strategy("auto") == "one_device"
    configure(monkeypatch, {"worker": ["a:1"]})
    assert strategies.resolve_strategy("auto") == "one_device"
    configure(monkeypatch, WORKERS)
    assert strategies.resolve_strategy("auto") == "multi_worker"
    configure(monkeypatch, SERVERS)
    assert strategies.resolve_strategy("auto") == "parameter_server"
    assert num_workers() == 2


def test_what_fits_no_strategy_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="expected one of auto, one_device"):
        strategies.make_strategy("two_devices")
    with pytest.raises(ValueError, match="received none of worker"):
        strategies.make_strategy("multi_worker")
    configure(monkeypatch, WORKERS)
    with pytest.raises(ValueError, match="received none of chief, ps"):
        strategies.make_strategy("parameter_server")


def test_a_tpu_that_is_not_there_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="expected a TPU on this machine, received n"):
        strategies.make_strategy("tpu")

    def no_such_tpu(name):
        raise OSError(f"no {name}\nsecond line")

    resolvers = tf.distribute.cluster_resolver
    monkeypatch.setattr(resolvers, "TPUClusterResolver", no_such_tpu)
    with pytest.raises(ValueError, match="the TPU far, received an error: no far$"):
        strategies.make_strategy("tpu", tpu="far")
    assert not strategies.is_tpu()


def test_auto_takes_the_tpu_of_the_machine(monkeypatch):
    devices = tf.config.list_physical_devices
    monkeypatch.setattr(
        tf.config,
        "list_physical_devices",
        lambda kind=None: ["TPU:0"] if kind == "TPU" else devices(kind),
    )
    assert strategies.resolve_strategy("auto") == "tpu"
    configure(monkeypatch, WORKERS)
    assert strategies.resolve_strategy("auto") == "multi_worker"


def test_an_empty_tf_config_is_none(monkeypatch):
    for text in ("", "{}"):
        monkeypatch.setenv("TF_CONFIG", text)
        assert strategies.resolve_strategy("auto") == "one_device"
        assert num_workers() == 0


@pytest.mark.parametrize("name", strategies.STRATEGIES[1:])
def test_a_name_that_fits_is_kept(monkeypatch, name):
    configure(monkeypatch, SERVERS)
    assert strategies.resolve_strategy(name) == name


def test_a_chief_and_a_worker_go_together(monkeypatch):
    configure(monkeypatch, LED)
    assert strategies.resolve_strategy("auto") == "multi_worker"


def test_strategies_of_one_machine():
    assert strategies.make_strategy("one_device") is tf.distribute.get_strategy()
    mirrored = strategies.make_strategy("mirrored")
    assert isinstance(mirrored, tf.distribute.MirroredStrategy)
    assert mirrored.num_replicas_in_sync == 1
    assert not strategies.has_accelerator()


@pytest.fixture
def made(monkeypatch):
    """The arguments that strategies were made with."""
    calls = []
    for name in ("MirroredStrategy", "MultiWorkerMirroredStrategy"):
        monkeypatch.setattr(
            tf.distribute, name, lambda *_, **arguments: calls.append(arguments)
        )
    return calls


@pytest.fixture
def with_gpu(monkeypatch):
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu])


@pytest.mark.usefixtures("with_gpu")
@pytest.mark.parametrize("communication", strategies.COMMUNICATIONS["mirrored"])
def test_gradients_of_one_machine_are_added_up_as_told(made, communication):
    kind = {
        "auto": type(None),
        "nccl": tf.distribute.NcclAllReduce,
        "hierarchical_copy": tf.distribute.HierarchicalCopyAllReduce,
        "reduction_to_one_device": tf.distribute.ReductionToOneDevice,
    }[communication]
    strategies.make_strategy("mirrored", communication)
    assert type(made[0]["cross_device_ops"]) is kind


@pytest.mark.usefixtures("with_gpu")
@pytest.mark.parametrize("communication", strategies.COMMUNICATIONS["multi_worker"])
def test_gradients_of_workers_are_added_up_as_told(made, monkeypatch, communication):
    configure(monkeypatch, WORKERS)
    strategies.make_strategy("multi_worker", communication)
    found = made[0]["communication_options"].implementation
    assert found.name == communication.upper()


def test_a_communication_that_a_strategy_has_not_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="expected auto with strategy=one_device"):
        strategies.make_strategy("auto", "nccl")
    with pytest.raises(ValueError, match="auto or nccl or hierarchical_copy or reduc"):
        strategies.make_strategy("mirrored", "ring")
    configure(monkeypatch, SERVERS)
    with pytest.raises(ValueError, match="parameter_server, received 'ring'"):
        strategies.make_strategy("auto", "ring")
    with pytest.raises(ValueError, match="auto or nccl or ring with strategy=multi"):
        strategies.make_strategy("multi_worker", "hierarchical_copy")


@pytest.mark.parametrize("name", ["mirrored", "multi_worker"])
def test_nccl_without_gpus_is_refused(monkeypatch, name):
    configure(monkeypatch, WORKERS)
    with pytest.raises(ValueError, match="expected GPUs for nccl, received a machine"):
        strategies.make_strategy(name, "nccl")


def test_a_replica_has_its_part_of_a_batch():
    assert strategies.replica_rows(96) == 96
    with tf.distribute.MirroredStrategy(["/CPU:0"]).scope():
        assert strategies.replica_rows(96) == 96


@pytest.mark.parametrize("devices", [None, ["/CPU:0"]])
def test_what_is_made_outside_a_scope_is_this_process_s_alone(devices):
    default = tf.distribute.get_strategy()
    strategy = tf.distribute.MirroredStrategy(devices) if devices else default
    with strategy.scope():
        inside = strategies.outside_scope(tf.distribute.has_strategy)
    assert not inside
