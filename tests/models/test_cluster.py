"""models/cluster.py: which cluster this process is a part of, and who writes files."""

import json
import os

import pytest
from tf_configs import LED, SERVERS, WORKERS, configure

from smelu_tf.models import cluster, strategies


@pytest.mark.parametrize(
    ("jobs", "job", "index", "writes", "is_led"),
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
def test_one_process_writes_files(monkeypatch, jobs, job, index, writes, is_led):
    configure(monkeypatch, jobs, job, index)
    assert cluster.is_chief() == writes
    assert cluster.is_led() == is_led


def test_without_a_cluster_this_process_is_the_chief():
    assert cluster.is_chief()
    assert not cluster.is_led()
    assert cluster.end_process() is None


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
    for read in (cluster.is_chief, cluster.is_led, cluster.num_workers):
        with pytest.raises(ValueError, match=message):
            read()
    with pytest.raises(ValueError, match=message):
        strategies.resolve_strategy("auto")


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
    cluster.resolve_cluster("slurm", {"chief": 1, "worker": 2, "ps": 2})
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
    cluster.resolve_cluster("slurm")
    assert json.loads(os.environ["TF_CONFIG"])["task"] == {"type": "worker", "index": 2}


@pytest.mark.usefixtures("slurm")
def test_a_cluster_that_slurm_has_not_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="expected 5 tasks, .* received 2"):
        cluster.resolve_cluster("slurm", {"worker": 2})
    with pytest.raises(ValueError, match="expected one of tf_config, slurm"):
        cluster.resolve_cluster("kubernetes")
    monkeypatch.delenv("SLURM_PROCID")
    with pytest.raises(ValueError, match="a process that srun has started"):
        cluster.resolve_cluster("slurm")
    cluster.resolve_cluster("tf_config")
