"""models/loss_scale.py: steps in float16 whose gradients overflow are skipped."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_rows
import tensorflow as tf
import tf_keras

from smelu_tf.models import (
    BinaryMetrics,
    OptimizerConfig,
    Replicas,
    TrainConfig,
    TrainOptions,
    WideDeep,
    WideDeepOptimizer,
    load_model,
    loss_scale,
    train,
)
from smelu_tf.models.learner import Learner
from smelu_tf.models.losses import Objective
from smelu_tf.models.steps import TrainSteps
from smelu_tf.pipelines import for_replicas

HALF = TrainOptions(compute_dtype="float16", steps_per_execution=4, checkpoint_steps=8)
CONFIG = dataclasses.replace(small_rows.CONFIG, train=HALF)
ROWS = small_rows.make_rows(320)
BATCH_SIZE = 16


class Overflow:
    """A term of the loss that is 0, and whose gradient is infinite at some steps."""

    def __init__(self, steps):
        self.steps = tf.constant(sorted(steps), tf.int64)

    def __call__(self, logits, batch, step):
        is_now = tf.reduce_any(tf.cast(step, tf.int64) == self.steps)

        @tf.custom_gradient
        def zero(x):
            return 0 * x, lambda dy: tf.where(is_now, np.float32(np.inf), 0 * dy)

        return zero(logits[0])


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


def learner(overflows=(), initial_scale=None, growth_steps=None, jit=False, **options):
    model = WideDeep(
        small_rows.SCHEMA, CONFIG.model, dtype="mixed_float16", jit_compile=jit
    )
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(
        WideDeepOptimizer.of(OptimizerConfig(**options)),
        initial_scale=initial_scale,
        dynamic_growth_steps=growth_steps,
    )
    optimizer._create_all_weights(model.trainable_variables)
    objective = Objective(terms=(Overflow(overflows),) if overflows else ())
    return Learner(model, optimizer, BinaryMetrics(), objective)


def batches():
    return iter(for_replicas(ROWS.batches(BATCH_SIZE), 0, 1, 1))


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


@pytest.fixture(scope="module")
def files(criteo_dir):
    return criteo_dir / "day_0.tsv"


CRITEO = TrainConfig(
    model=dataclasses.replace(small_rows.CONFIG.model, column_dims=(), crosses=()),
    optimizer=OptimizerConfig(averaging=0.9),
    train=HALF,
)


def test_training_follows_that_in_float32(files, tmp_path):
    exact = dataclasses.replace(
        CRITEO, train=dataclasses.replace(HALF, compute_dtype="float32")
    )
    half = train(CRITEO, files, tmp_path / "half")
    whole = train(exact, files, tmp_path / "whole")
    assert half.progressive["log_loss"] == pytest.approx(
        whole.progressive["log_loss"], rel=1e-3
    )
    assert half.progressive["log_loss"] != whole.progressive["log_loss"]
    # Compiled anew, it goes on to train.
    assert float(half.model.optimizer.loss_scale) >= 2.0**14
    again = train(CRITEO, files, tmp_path / "half")
    for a, b in zip(again.model.get_weights(), half.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.model.optimizer.loss_scale == half.model.optimizer.loss_scale
    assert load_model(tmp_path / "half").compute_dtype == "float32"


def make_steep(model, slope):
    """What comes out of the last hidden layer is 0, and the logit's slope in it is."""
    kernel = model.deep.mlp.hidden[-1].kernel
    kernel.assign(tf.zeros_like(kernel))
    kernel = model.deep.logit.kernel
    kernel.assign(slope * tf.ones_like(kernel))


STEEP = dataclasses.replace(
    CRITEO,
    model=dataclasses.replace(CRITEO.model, activation="swish"),
    optimizer=dataclasses.replace(CRITEO.optimizer, learning_rate=1e-6),
    train=dataclasses.replace(HALF, checkpoint_steps=4, deterministic=True),
)


def test_a_training_without_finite_gradients_ends_and_says_so(criteo_dir, tmp_path):
    config = dataclasses.replace(STEEP, train=HALF)
    files = criteo_dir / "day_[01].tsv"
    with pytest.raises(ArithmeticError) as got:
        train(
            config,
            files,
            tmp_path / "model",
            built=lambda model: make_steep(model, 1e9),
        )
    message = str(got.value)
    # 15 steps halve the scale to 1.
    assert message.startswith(
        "batch 15 (rows 3840 to 4095): expected finite gradients in float16, received "
        "others at every loss scale down to 1 (float32 or bfloat16 may do: "
        "train.compute_dtype); no column stands out"
    )
    for weight in load_model(tmp_path / "model").get_weights():
        assert np.all(np.isfinite(weight))


RESUMED = """
import functools, sys
sys.path[:0] = sys.argv[1:3]
import numpy as np
from test_loss_scale import STEEP, make_steep
from smelu_tf.models import train, training_loop

class Killed(Exception):
    pass

def kill(rows, *_):
    if rows >= 256 * number:
        raise Killed

files, folder = sys.argv[3:]
# Gradients too large for the first scales.
train = functools.partial(train, STEEP, files, built=lambda m: make_steep(m, 1e4))
runs = [train(folder + "/whole")]
training_loop._REPORT_ROWS = training_loop._MAX_REPORTS = 1
num_killed = 0
for number in (3, 6, 9, 1000):
    try:
        runs.append(train(folder + "/model", progress=kill))
    except Killed:
        num_killed += 1
assert num_killed == 3 and len(runs) == 2
for a, b in zip(*(run.model.get_weights() for run in runs), strict=True):
    np.testing.assert_array_equal(a, b)
assert runs[0].progressive == runs[1].progressive
for run in runs:
    optimizer = run.model.optimizer
    print(float(optimizer.loss_scale), int(optimizer.dynamic_counter))
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_at_its_scale(files, tmp_path):
    whole, killed = lines_of(RESUMED, files, tmp_path)
    assert whole == killed
    scale, num_good_steps = map(float, whole.split())
    num_skipped = np.log2(2.0**15 / scale)
    assert num_skipped > 1
    assert num_good_steps == 12 - num_skipped  # of 12 batches, the skipped ones first


MIRRORED = """
import sys
sys.path[:0] = sys.argv[1:3]
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import small_rows
import test_loss_scale as tests
from smelu_tf.models.steps import TrainSteps
from smelu_tf.pipelines import for_replicas

class OnSecond(tests.Overflow):
    def __call__(self, logits, batch, step):
        context = tf.distribute.get_replica_context()
        is_second = context.replica_id_in_sync_group == context.num_replicas_in_sync - 1
        return super().__call__(logits, batch, tf.where(is_second, step, -1))

tests.Overflow = OnSecond
strategies = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy()
ends = []
for strategy in strategies:
    with strategy.scope():
        own = tests.learner({0, 1, 5}, 8.0, 3, jit=True, averaging=0.9, clip_norm=0.5)
        steps, n = TrainSteps([own]), strategy.num_replicas_in_sync
        data = tests.ROWS.batches(tests.BATCH_SIZE)
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


def lines_of(program, *arguments):
    """What a program prints; a process of its own has settings of its own."""
    tests = Path(__file__).parents[1]
    folders = (tests / "models", tests / "shared")
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, (*folders, *arguments))],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


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
