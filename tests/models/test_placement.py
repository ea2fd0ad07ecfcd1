"""models/placement.py: tables on one device, all else on another.

No GPU is needed: the processor is two devices, the second in an accelerator's place.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import small_rows

from smelu_tf.models import WideDeep
from smelu_tf.models.placement import table_device, tables_on

PROGRAM = """
import json, sys
sys.path[:0] = sys.argv[1:2]
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
tf.config.set_soft_device_placement(False)
from tensorflow.python.eager import context
import small_rows
from smelu_tf.models import (
    BinaryMetrics, OptimizerConfig, WideDeep, WideDeepConfig, WideDeepOptimizer
)
from smelu_tf.models import loss_scale
from smelu_tf.models.placement import tables_on
from smelu_tf.models.learner import Learner
from smelu_tf.models.steps import TrainSteps
from smelu_tf.pipelines import for_replicas

policy = sys.argv[2]
shape = WideDeepConfig(
    embedding_dim=2, hidden_units=(8,), embedding_stddev=0.1, crosses=("site*kind",)
)
rows = small_rows.make_rows(160)

def trained(device):
    with tf.device("/CPU:1"):
        with tables_on(device):
            model = WideDeep(small_rows.SCHEMA, shape, dtype=policy)
        optimizer = loss_scale.wrapped(
            WideDeepOptimizer.of(OptimizerConfig(averaging=0.9, clip_norm=1.0)),
            model.dtype_policy,
        )
        optimizer._create_all_weights(model.trainable_variables)
        variables = [*model.variables, *optimizer.weights]
        start = [v.numpy() for v in variables]
        steps = TrainSteps([Learner(model, optimizer, BinaryMetrics())], 5)
        data = iter(for_replicas(rows.batches(16), 0, 1, 1))
        context.enable_run_metadata()
        steps(data)
        metadata = context.export_run_metadata()
        context.disable_run_metadata()
        steps(data)
        with loss_scale.unwrapped(optimizer).averages_in(model.trainable_variables):
            averages = model.get_weights()
    places = {v.name.partition("/")[2]: v.device[-5:] for v in variables}
    nodes = {
        (node.op, node.device[-5:])
        for function in metadata.function_graphs
        for graph in function.partition_graphs
        for node in graph.node
    }
    return variables, start, averages, places, sorted(nodes)

host, there = trained("/CPU:0"), trained("")
for a, b in zip(host[0], there[0], strict=True):
    np.testing.assert_array_equal(a, b)
for a, b in zip(host[2], there[2], strict=True):
    np.testing.assert_array_equal(a, b)
ids = rows.features["ids"]
seen = {"site": ids[:, 0], "kind": 300 + ids[:, 1]}
seen = set(np.concatenate([*seen.values()]).tolist())
for variable, before in zip(host[0], host[1], strict=True):
    if "embeddings/table" in variable.name:
        is_new = (variable.numpy() != before).reshape(305, -1).any(axis=1)
        assert set(np.flatnonzero(is_new).tolist()) == seen
print(json.dumps([host[3:], there[3:]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_tables_and_slots_stay_on_the_host_and_all_else_does_not(policy):
    shared = Path(__file__).parents[1] / "shared"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(shared), policy],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (places, nodes), (other_places, other_nodes) = json.loads(done.stdout)
    assert len([name for name in places if "/table" in name]) == 3 * (1 + 4)
    for name, device in places.items():
        assert device == ("CPU:0" if "/table" in name else "CPU:1"), name
    assert set(other_places.values()) == {"CPU:1"}
    # Rows are read, made distinct and written on the host, and placed elsewhere.
    devices = {op: {d for o, d in nodes if o == op} for op, _ in nodes}
    for op in ("ResourceGather", "ResourceScatterUpdate", "Unique"):
        assert devices[op] == {"CPU:0"}, op
    for op in ("GatherV2", "SparseTensorDenseMatMul", "ResourceApplyAdam"):
        assert devices[op] == {"CPU:1"}, op
    assert ["ResourceScatterUpdate", "CPU:1"] in other_nodes
    assert ["ResourceScatterUpdate", "CPU:0"] not in other_nodes


def test_a_device_is_that_of_the_tables_made_inside():
    assert table_device() == ""
    with tables_on("/CPU:0"):
        assert table_device() == "/CPU:0"
        with tables_on(""):
            assert table_device() == ""
        assert table_device() == "/CPU:0"
        model = WideDeep(small_rows.SCHEMA, small_rows.CONFIG.model)
    assert table_device() == ""
    assert model.deep.embeddings[0].table.device.endswith("CPU:0")


def test_a_device_is_left_when_the_model_cannot_be_made():
    with pytest.raises(RuntimeError), tables_on("/CPU:0"):
        raise RuntimeError
    assert table_device() == ""
