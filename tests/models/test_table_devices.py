"""models/table_devices.py: how large tables are, and where they go."""

import dataclasses
import json

import pytest
import small_runs
import tensorflow as tf

from smelu_tf.models import (
    OptimizerConfig,
    TrainConfig,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
    train,
)
from smelu_tf.models import table_devices as devices
from smelu_tf.pipelines import Categorical, MultiValued, Numeric, Schema

SCHEMA = Schema(
    "films",
    numeric=(Numeric("age"),),
    categorical=(Categorical("site", buckets=300), Categorical("kind", buckets=50)),
    multivalued=(MultiValued("genres", buckets=20, max_values=3),),
)
CONFIG = TrainConfig(
    model=WideDeepConfig(
        embedding_dim=4,
        hidden_units=(8,),
        column_dims=("kind:16",),
        crosses=("site*kind",),
    )
)


def variant(model=None, **optimizer):
    return dataclasses.replace(
        CONFIG,
        model=dataclasses.replace(CONFIG.model, **(model or {})),
        optimizer=OptimizerConfig(**optimizer),
    )


@pytest.mark.parametrize(
    "config",
    [
        variant(),
        variant(name="adagrad", averaging=0.9),
        variant(averaging=0.9),
        variant({"wide": False}),
        variant({"deep": False}),
        variant({"towers": 2}),
        variant({"towers": 2, "tower_tables": "separate"}, averaging=0.9),
    ],
)
def test_the_bytes_are_those_of_tables_and_slots(config):
    model = WideDeep(SCHEMA, config.model)
    optimizer = WideDeepOptimizer.of(config.optimizer)
    optimizer._create_all_weights(model.trainable_variables)
    sizes = [
        variable.shape.num_elements() * variable.dtype.size
        for variable in [*model.variables, *optimizer.weights]
        if "/table" in variable.name
    ]
    assert devices.table_bytes(SCHEMA, config) == sum(sizes)


@pytest.fixture
def with_gpu(monkeypatch, tmp_path):
    """Sets what NVIDIA's driver says, to a TensorFlow that sees a GPU."""
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def says(text, code=0):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{text}EOF\nexit {code}\n")
        program.chmod(0o755)

    return says


def test_the_smallest_gpu_counts(with_gpu):
    with_gpu("81559\n16384\n")
    assert devices.smallest_gpu_bytes() == 16384 << 20


@pytest.mark.parametrize(
    ("text", "code"), [("", 0), ("[N/A]\n", 0), ("no devices were found\n", 6)]
)
def test_a_memory_that_nobody_tells_is_not_known(with_gpu, text, code):
    with_gpu(text, code)
    assert devices.smallest_gpu_bytes() is None
    assert devices.resolve_table_device("auto", SCHEMA, CONFIG, "one_device") == ""


def test_without_a_gpu_or_its_driver_there_is_none(monkeypatch, with_gpu, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.smallest_gpu_bytes() is None
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with_gpu("16384\n")
    assert devices.smallest_gpu_bytes() is None


def resolved(monkeypatch, part, choice="auto", strategy="one_device"):
    """The device where tables are this part of a GPU's memory."""
    memory = round(devices.table_bytes(SCHEMA, CONFIG) / part)
    monkeypatch.setattr(devices, "smallest_gpu_bytes", lambda: memory)
    return devices.resolve_table_device(choice, SCHEMA, CONFIG, strategy)


def test_auto_is_host_memory_above_half_of_a_gpu_s(monkeypatch):
    assert resolved(monkeypatch, 0.49) == ""
    assert resolved(monkeypatch, 0.51) == "/CPU:0"
    assert resolved(monkeypatch, 5.0) == "/CPU:0"
    assert resolved(monkeypatch, 5.0, "gpu") == ""
    assert resolved(monkeypatch, 0.01, "host") == "/CPU:0"


@pytest.mark.parametrize("strategy", ["mirrored", "multi_worker"])
def test_replicas_have_their_tables_on_their_gpus(monkeypatch, strategy):
    assert resolved(monkeypatch, 0.9, strategy=strategy) == ""
    assert resolved(monkeypatch, 1.1, "gpu", strategy) == ""
    with pytest.raises(ValueError, match="expected tables that fit into a GPU"):
        resolved(monkeypatch, 1.1, strategy=strategy)
    with pytest.raises(ValueError, match=f"auto or gpu with strategy={strategy}"):
        resolved(monkeypatch, 0.1, "host", strategy)


@pytest.mark.parametrize("strategy", ["parameter_server", "tpu"])
def test_strategies_with_places_for_tables_keep_them(monkeypatch, strategy):
    assert resolved(monkeypatch, 5.0, strategy=strategy) == ""
    for choice in ("gpu", "host"):
        with pytest.raises(ValueError, match="expected auto with strategy="):
            resolved(monkeypatch, 5.0, choice, strategy)


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="expected one of auto, gpu, host"):
        devices.resolve_table_device("cpu", SCHEMA, CONFIG, "one_device")


def test_a_training_says_where_its_tables_are(criteo_dir, tmp_path):
    rows = small_runs.first_rows(criteo_dir, tmp_path)
    config = TrainConfig(model=WideDeepConfig(deep=False))
    for choice, device in (("auto", None), ("host", "/CPU:0")):
        folder = tmp_path / choice
        train(config, rows, folder, table_device=choice)
        (run,) = json.loads((folder / "environment.json").read_text())["runs"]
        assert run["table_device"] == device
    with pytest.raises(ValueError, match="auto or gpu with strategy=mirrored"):
        train(
            config,
            rows,
            tmp_path / "other",
            strategy="mirrored",
            table_device="host",
        )
    assert not (tmp_path / "other").exists()
