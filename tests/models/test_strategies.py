"""models/strategies.py: which cluster, which strategy, and who writes files."""

import json
import os

import pytest
import tensorflow as tf

from smelu_tf.models import strategies

WORKERS = {"worker": ["a:1", "b:1"]}
LED = {"chief": ["a:1"], "worker": ["b:1"]}
SERVERS = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}


def configure(monkeypatch, cluster, job="worker", index=0):
    value = {"cluster": cluster, "task": {"type": job, "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(value))


def test_auto_is_what_the_cluster_says(monkeypatch):
    assert strategies.resolve_strategy("auto") == "one_device"
    configure(monkeypatch, {"worker": ["a:1"]})
    assert strategies.resolve_strategy("auto") == "one_device"
    configure(monkeypatch, WORKERS)
    assert strategies.resolve_strategy("auto") == "multi_worker"
    configure(monkeypatch, SERVERS)
    assert strategies.resolve_strategy("auto") == "parameter_server"
    assert strategies.num_workers() == 2


@pytest.mark.parametrize(
    ("cluster", "job", "index", "is_chief", "is_led"),
    [
        (WORKERS, "worker", 0, True, False),
        (WORKERS, "worker", 1, False, False),
        (WORKERS, "worker", "1", False, False),
        (LED, "chief", 0, True, False),
        (LED, "worker", 0, False, False),
        (SERVERS, "chief", 0, True, False),
        (SERVERS, "worker", 0, False, True),
        (SERVERS, "ps", 0, False, True),
    ],
)
def test_one_process_writes_files(monkeypatch, cluster, job, index, is_chief, is_led):
    configure(monkeypatch, cluster, job, index)
    assert strategies.is_chief() == is_chief
    assert strategies.is_led() == is_led


def test_without_a_cluster_this_process_is_the_chief():
    assert strategies.is_chief()
    assert not strategies.is_led()
    assert strategies.end_process() is None


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG: expected JSON"),
        ("[]", "TF_CONFIG: expected an object .* received \\[\\]"),
        ("null", "TF_CONFIG: expected an object .* received null"),
        ('{"cluster": []}', "TF_CONFIG: expected an object .* received {"),
    ],
)
def test_a_tf_config_that_is_none_is_refused_by_all_who_read_it(
    monkeypatch, text, message
):
    monkeypatch.setenv("TF_CONFIG", text)
    for read in (strategies.is_chief, strategies.is_led, strategies.num_workers):
        with pytest.raises(ValueError, match=message):
            read()
    with pytest.raises(ValueError, match=message):
        strategies.resolve_strategy("auto")


def test_an_empty_tf_config_is_none(monkeypatch):
    for text in ("", "{}"):
        monkeypatch.setenv("TF_CONFIG", text)
        assert strategies.resolve_strategy("auto") == "one_device"
        assert strategies.num_workers() == 0


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


@pytest.fixture
def slurm(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("TF_CONFIG", "")  # put back in the end
    for name, value in {
        "SLURM_PROCID": "2",
        "SLURM_STEP_NUM_TASKS": "5",
        "SLURM_STEP_NODELIST": "n[1-3]",
        "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("slurm")
def test_a_step_of_slurm_is_a_cluster():

    strategies.resolve_cluster("slurm", {"chief": 1, "worker": 2, "ps": 2})
    config = json.loads(os.environ["TF_CONFIG"])
    assert sorted(sum(config["cluster"].values(), [])) == [
        "n1:8888",
        "n1:8889",
        "n2:8888",
        "n2:8889",
        "n3:8888",
    ]
    assert {job: len(hosts) for job, hosts in config["cluster"].items()} == {
        "chief": 1,
        "worker": 2,
        "ps": 2,
    }
    task = config["task"]
    assert config["cluster"][task["type"]][task["index"]] == "n2:8888"
    strategies.resolve_cluster("slurm")
    assert json.loads(os.environ["TF_CONFIG"])["task"] == {"type": "worker", "index": 2}


@pytest.mark.usefixtures("slurm")
def test_a_cluster_that_slurm_has_not_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="expected 5 tasks, .* received 2"):
        strategies.resolve_cluster("slurm", {"worker": 2})
    with pytest.raises(ValueError, match="expected one of tf_config, slurm"):
        strategies.resolve_cluster("kubernetes")
    monkeypatch.delenv("SLURM_PROCID")
    with pytest.raises(ValueError, match="a process that srun has started"):
        strategies.resolve_cluster("slurm")
    strategies.resolve_cluster("tf_config")
