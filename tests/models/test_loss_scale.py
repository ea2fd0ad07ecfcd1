"""models/loss_scale.py: steps in float16 whose gradients overflow are skipped."""

import dataclasses

import numpy as np
import pytest
import small_rows
import tensorflow as tf
import tf_keras
from half_precision import (
    BATCH_SIZE,
    CONFIG,
    ROWS,
    batches,
    learner,
    lines_of,
    make_steep,
)

from smelu_tf.models import (
    BinaryMetrics,
    Replicas,
    WideDeep,
    WideDeepOptimizer,
    loss_scale,
)
from smelu_tf.models.learner import Learner
from smelu_tf.models.steps import TrainSteps
from smelu_tf.pipelines import for_replicas


def _ref_scales(are_finite, scale, growth_steps):
    """The scale behind every step."""
    scales, good = [], 0
    for is_finite in are_finite:
        if not is_finite:
            scale, good = max(scale / 2, 1.0), 0
        elif good + 1 >= growth_steps:
            scale, good = scale * 2, 0
        else:
            good += 1
        scales.append(scale)
    return scales


@pytest.mark.parametrize("jit", [False, True])
def test_the_scale_s_schedule_is_the_formula(jit):
    overflows = {0, 1, 2, 3, 4, 9, 13, 14}
    own = learner(overflows, initial_scale=16, growth_steps=3, jit=jit)
    steps, data = TrainSteps([own]), batches()
    scales = [16.0]
    for step in range(20):
        loss = steps(data).last_loss
        assert np.isfinite(loss) == (step not in overflows or scales[-1] > 1)
        scales.append(float(own.optimizer.loss_scale))
    are_finite = [step not in overflows for step in range(20)]
    assert scales[1:] == _ref_scales(are_finite, 16.0, 3)
    assert int(own.optimizer.iterations) == 20
    assert own.metrics.figures()["num_examples"] == 320


@pytest.mark.parametrize("name", ["adam", "adagrad"])
def test_a_skipped_step_changes_no_weight_no_slot_and_no_average(name):
    options = {"name": name, "averaging": 0.9, "clip_norm": 0.5}
    own = learner({2, 3}, **options)
    steps, data = TrainSteps([own]), batches()

    def state():
        variables = [*own.model.variables, *own.optimizer.weights[1:]]
        return [variable.numpy() for variable in variables]

    states = [state()]
    for _ in range(5):
        steps(data)
        states.append(state())
    did_change = [
        any(np.any(a != b) for a, b in zip(before, after, strict=True))
        for before, after in zip(states, states[1:], strict=False)
    ]
    assert did_change == [True, True, False, False, True]
    assert int(own.optimizer.iterations) == 5


def test_a_large_weight_makes_one_step_overflow():
    """A gradient that float16 does not have at the scale of then."""

    def heavy(number, batch):
        is_heavy = (number == 3) & (tf.range(BATCH_SIZE) == 0)
        return batch._replace(weight=tf.where(is_heavy, 1000.0, batch.weight))

    own = learner(initial_scale=2.0**17)
    data = ROWS.batches(BATCH_SIZE).enumerate().map(heavy)
    data, steps = iter(for_replicas(data, 0, 1, 1)), TrainSteps([own])
    scales = []
    for _ in range(6):
        assert steps(data).last_loss < 100
        scales.append(float(own.optimizer.loss_scale))
    assert scales[:3] == [2.0**17] * 3
    assert scales[3:] == [2.0**16] * 3


def test_gradients_that_float16_has_no_numbers_for_are_learned_by():
    """Adam's moment behind the first step is a tenth of the gradient."""
    tiny = ROWS.batches(BATCH_SIZE).map(
        lambda batch: batch._replace(weight=1e-6 * batch.weight)
    )

    def gradient(own):
        TrainSteps([own])(iter(for_replicas(tiny, 0, 1, 1)))
        kernel = own.model.deep.mlp.hidden[0].kernel
        return own.optimizer.get_slot(kernel, "m").numpy()

    model = WideDeep(small_rows.SCHEMA, CONFIG.model)
    exact = gradient(Learner(model, WideDeepOptimizer(), BinaryMetrics()))
    error = {
        scale: np.abs(gradient(learner(initial_scale=scale)) - exact).max()
        for scale in (1.0, 2.0**15)
    }
    assert error[2.0**15] < 0.01 * np.abs(exact).max()
    assert error[1.0] > 0.05 * np.abs(exact).max()


def test_each_table_is_read_once_a_step():
    """The update, in a branch of its own, takes the rows that were read before it."""
    own = learner(name="adam")
    steps = TrainSteps([own])
    steps(batches())
    (run,) = steps._run._list_all_concrete_functions()
    graph = run.graph.as_graph_def()
    nodes = [
        *graph.node,
        *(node for f in graph.library.function for node in f.node_def),
    ]
    num_tables = len(
        [v for v in own.model.trainable_variables if v.name.endswith("/table:0")]
    )
    reads = [node for node in nodes if node.op == "ResourceGather"]
    assert len(reads) == 3 * num_tables


def test_an_optimizer_is_wrapped_for_float16_alone():
    optimizer = WideDeepOptimizer()
    for policy in ("float32", "mixed_bfloat16"):
        found = loss_scale.wrapped(optimizer, tf_keras.mixed_precision.Policy(policy))
        assert found is optimizer
        assert loss_scale.unwrapped(found) is optimizer
        assert loss_scale.exhausted_text(found) == ""
    policy = tf_keras.mixed_precision.Policy("mixed_float16")
    found = loss_scale.wrapped(optimizer, policy)
    assert found is not optimizer
    assert loss_scale.unwrapped(found) is optimizer
    assert float(found.loss_scale) == 2.0**15
    assert found.dynamic_growth_steps == 2000


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ParameterServerStrategy", "parameter_server"), ("TPUStrategy", "tpu")],
)
def test_strategies_without_a_common_scale_are_refused(kind, name):
    strategy = object.__new__(getattr(tf.distribute, kind))
    with pytest.raises(ValueError, match=f"strategy={name}, received float16"):
        loss_scale.check_strategy("float16", strategy)
    loss_scale.check_strategy("bfloat16", strategy)
    loss_scale.check_strategy("float16", tf.distribute.get_strategy())


MIRRORED = """
import sys
sys.path[:0] = sys.argv[1:3]
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import half_precision as half
from smelu_tf.models.steps import TrainSteps
from smelu_tf.pipelines import for_replicas

class OnSecond(half.Overflow):
    def __call__(self, logits, batch, step):
        context = tf.distribute.get_replica_context()
        is_second = context.replica_id_in_sync_group == context.num_replicas_in_sync - 1
        return super().__call__(logits, batch, tf.where(is_second, step, -1))

half.Overflow = OnSecond
strategies = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy()
ends = []
for strategy in strategies:
    with strategy.scope():
        own = half.learner({0, 1, 5}, 8.0, 3, jit=True, averaging=0.9, clip_norm=0.5)
        steps, n = TrainSteps([own]), strategy.num_replicas_in_sync
        data = half.ROWS.batches(half.BATCH_SIZE)
        parts = lambda _: for_replicas(data, 0, n, n)
        iterator = iter(parts(None)) if n == 1 else iter(
            strategy.distribute_datasets_from_function(parts))
        scales = []
        for step in range(12):
            steps(iterator)
            scales.append(float(own.optimizer.loss_scale))
        print(n, own.optimizer.iterations.numpy(), scales)
        if n == 2:
            for v in own.model.trainable_variables:
                first, second = strategy.experimental_local_results(v)
                np.testing.assert_array_equal(first, second)
        ends.append([v.numpy() for v in [*own.model.variables, *own.optimizer.weights]])
for a, b in zip(*ends, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)
"""


@pytest.mark.slow
def test_one_replica_s_overflow_skips_the_step_of_all():
    one, two = lines_of(MIRRORED)
    scales = _ref_scales([n not in (0, 1, 5) for n in range(12)], 8.0, 3)
    assert one == f"1 12 {scales}"
    assert two == f"2 12 {scales}"


def test_replicas_of_a_study_have_a_scale_each():
    configs = [
        dataclasses.replace(
            small_rows.CONFIG,
            train=dataclasses.replace(
                small_rows.CONFIG.train, compute_dtype=dtype, seed=seed
            ),
        )
        for dtype, seed in (("float16", 0), ("float16", 1), ("float32", 0))
    ]
    replicas = Replicas(configs, small_rows.SCHEMA)
    replicas.train(ROWS.batches(BATCH_SIZE))
    half, other, whole = replicas.logits(ROWS.batches(BATCH_SIZE))
    assert 0 < np.abs(half - whole).max() < 0.02 * np.std(whole)
    assert np.abs(half - other).max() > 0.02 * np.std(whole)
    assert not replicas.can_restart(configs)
    with pytest.raises(ValueError, match="expected those of before"):
        replicas.restart(configs)


def test_a_study_s_training_without_finite_gradients_ends_too():
    config = dataclasses.replace(
        CONFIG, model=dataclasses.replace(CONFIG.model, activation="swish")
    )
    replicas = Replicas(
        [config], small_rows.SCHEMA, prepare=lambda model: make_steep(model, 1e9)
    )
    expected = "finite gradients in float16, .* within 4 batches; the training diverged"
    with pytest.raises(ArithmeticError, match=expected):
        replicas.train(ROWS.batches(BATCH_SIZE))
