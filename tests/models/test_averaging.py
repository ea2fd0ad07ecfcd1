"""models/averaging.py and the optimizer's averages, against averages of all weights."""

import dataclasses
import json

import numpy as np
import pytest
import small_runs
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from part_variables import variables
from same_weights import assert_same_weights
from small_rows import SCHEMA, make_rows
from two_devices import run_on_two_devices

from smelu_tf.models import (
    BinaryMetrics,
    EvalConfig,
    OptimizerConfig,
    ScoringJob,
    TrainConfig,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
    evaluate,
    export_model_dir,
    load_model,
    predict,
    train,
)
from smelu_tf.models.averaging import moved_average, part_kept
from smelu_tf.models.learner import Learner
from smelu_tf.models.losses import Objective
from smelu_tf.models.replicas import Replicas, with_seed
from smelu_tf.models.steps import TrainSteps
from smelu_tf.pipelines import for_replicas

SHAPE = WideDeepConfig(embedding_dim=4, hidden_units=(8,), crosses=("site*kind",))


def _ref_average(weights, decay):
    """The average of the weights after each step, in float64."""
    powers = decay ** np.arange(len(weights), dtype=float)[::-1]
    stacked = np.stack(weights).astype(float)
    return np.tensordot(powers, stacked, axes=1) / powers.sum()


def _ref_part_kept(decay, since, step):
    parts = [
        decay * (1 - decay ** (t - 1)) / (1 - decay**t)
        for t in range(since + 1, step + 1)
    ]
    return np.prod(parts)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(0, 60), st.integers(0, 60))
def test_what_is_kept_is_the_product_of_the_steps_parts(decay, since, later):
    got = part_kept(decay, tf.constant([since]), tf.constant(since + later)).numpy()
    if since + later:
        expected = _ref_part_kept(decay, since, since + later)
        np.testing.assert_allclose(got, [expected], rtol=1e-9, atol=1e-300)
    else:
        assert got == [0]


def test_nothing_is_lost_where_the_decay_is_nearly_1():
    decay, step = 1 - 1e-6, 3_000_000
    got = float(part_kept(decay, tf.constant(2), tf.constant(step)))
    exact = np.longdouble(decay)
    expected = exact ** (step - 2) * (1 - exact**2) / (1 - exact**step)
    assert got == pytest.approx(float(expected), rel=1e-9)


def test_a_weight_that_never_changed_is_its_own_average():
    weight = tf.random.normal([5, 3])
    for step in (0, 1, 1000):
        got = moved_average(
            0.999, tf.zeros([5, 3]), weight, tf.zeros([5], tf.int32), tf.constant(step)
        )
        np.testing.assert_array_equal(got, weight)


def variables_and_scalar():
    with tf.name_scope("model/deep/embeddings"):
        scalar = tf.Variable(2.0, name="scalar")
    return *variables(num_rows=7, units=3), scalar


@pytest.mark.parametrize("rule", ["adam", "adagrad"])
@pytest.mark.parametrize("in_graph", [False, True])
def test_averages_are_those_of_the_weights_of_all_steps(rule, in_graph):
    own = variables_and_scalar()
    optimizer = WideDeepOptimizer(rule, 0.1, averaging=0.8, l1=0.05)
    optimizer._create_all_weights(own)
    random = np.random.default_rng(0)
    history = []

    def update(rows, wide, table, kernel, scalar):
        sparse = [
            tf.IndexedSlices(grad, rows, var.shape)
            for grad, var in zip((wide, table), own[:2], strict=True)
        ]
        optimizer.apply_gradients(
            zip([*sparse, kernel, scalar], own, strict=True),
        )

    step = tf.function(update) if in_graph else update
    for number in range(40):
        # Row 6 is never looked up, row 5 at first only, row 4 once in the end.
        last = {0: 6, 1: 6, 38: 5}.get(number, 4)
        rows = random.integers(0, 4, 4)
        rows[0] = last - 1 if last > 4 else rows[0]
        grads = [random.normal(size=s) for s in ([4, 1], [4, 2], [2, 3], [])]
        step(tf.constant(rows), *(tf.constant(g, tf.float32) for g in grads))
        history.append([var.numpy() for var in own])
        if number in (0, 1, 20, 39):
            with optimizer.averages_in(own):
                averages = [var.numpy() for var in own]
            for values, got in zip(zip(*history, strict=True), averages, strict=True):
                expected = _ref_average(values, 0.8)
                np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)
            for var, weight in zip(own, history[-1], strict=True):
                np.testing.assert_array_equal(var.numpy(), weight)
    np.testing.assert_array_equal(averages[1][6], 1.0)
    assert np.any(averages[1][4] != history[-1][1][4])


def test_only_rows_looked_up_are_touched_in_a_step():
    _, table, _ = variables(num_rows=7)
    optimizer = WideDeepOptimizer("adam", averaging=0.9)
    for number, rows in enumerate([[0, 1], [2], [1]]):
        grad = tf.ones([len(rows), 2])
        before = []
        if number:
            before = [slot.numpy() for slot in optimizer._average_slots(table)]
        optimizer.apply_gradients([(tf.IndexedSlices(grad, rows, [7, 2]), table)])
        after = [slot.numpy() for slot in optimizer._average_slots(table)]
        for a, b in zip(before, after, strict=bool(number)):
            others = [i for i in range(7) if i not in rows]
            np.testing.assert_array_equal(a[others], b[others])
        assert np.all(after[1][rows] == number + 1)
    assert after[1].dtype == np.int32
    np.testing.assert_array_equal(after[1], [1, 3, 2, 0, 0, 0, 0])


def test_without_averaging_nothing_is_kept():
    _, table, _ = variables(num_rows=7)
    optimizer = WideDeepOptimizer("adam")
    optimizer._create_all_weights([table])
    assert len(optimizer.weights) == 3  # the step and the moments
    with optimizer.averages_in([table]):
        np.testing.assert_array_equal(table.numpy(), 1.0)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_what_is_no_decay_is_refused(decay):
    with pytest.raises(ValueError, match="averaging: expected 0 <= decay < 1"):
        WideDeepOptimizer(averaging=decay)
    with pytest.raises(ValueError, match="optimizer.averaging: expected 0 <= decay"):
        TrainConfig(optimizer=OptimizerConfig(averaging=decay)).validate()


def rows(num_rows, seed=0):
    return make_rows(num_rows, seed).batches(32)


def test_a_model_s_averages_are_those_of_its_weights_after_each_batch():
    model = WideDeep(SCHEMA, SHAPE)
    optimizer = WideDeepOptimizer.of(OptimizerConfig(averaging=0.9))
    own = model.trainable_variables
    optimizer._create_all_weights(own)
    learner = Learner(model, optimizer, BinaryMetrics(), Objective())
    steps, iterator = TrainSteps([learner]), iter(for_replicas(rows(640), 0, 1, 1))
    history = []
    for _ in range(20):
        steps(iterator)
        history.append([var.numpy() for var in own])
    with optimizer.averages_in(own):
        averages = [var.numpy() for var in own]
    for values, got in zip(zip(*history, strict=True), averages, strict=True):
        np.testing.assert_allclose(got, _ref_average(values, 0.9), rtol=2e-5, atol=1e-6)


@pytest.mark.slow
def test_replicas_predict_with_averages_and_train_on_without():
    averaged = TrainConfig(model=SHAPE, optimizer=OptimizerConfig(averaging=0.9))
    plain = TrainConfig(model=SHAPE)
    first, second = (
        Replicas([with_seed(plain, 3), with_seed(averaged, 3)], SCHEMA)
        for _ in range(2)
    )
    first.train(rows(640))
    logits = first.logits(rows(64, 1))
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    first.train(rows(320, 2))
    second.train(rows(640))
    second.train(rows(320, 2))
    for replicas in (first, second):
        assert_same_weights(*replicas.models)
    np.testing.assert_array_equal(first.logits(rows(64, 1)), second.logits(rows(64, 1)))


CONFIG = dataclasses.replace(
    small_runs.CONFIG,
    optimizer=OptimizerConfig(learning_rate=0.01, averaging=0.95),
    eval=EvalConfig(every_steps=24),
)


@pytest.fixture(scope="module")
def trained(criteo_dir, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("runs") / "model"
    files, later = criteo_dir / "day_[0-2].tsv", criteo_dir / "day_3.tsv"
    return train(CONFIG, files, model_dir, validation_files=later), model_dir


@pytest.mark.slow
def test_what_is_loaded_evaluated_and_exported_is_the_average(
    trained, criteo_dir, tmp_path
):
    result, model_dir = trained
    loaded = load_model(model_dir)
    assert_same_weights(loaded, result.model)
    plain = dataclasses.replace(CONFIG, optimizer=OptimizerConfig(learning_rate=0.01))
    files, later = criteo_dir / "day_[0-2].tsv", criteo_dir / "day_3.tsv"
    raw = train(plain, files, tmp_path / "raw", validation_files=later)
    # The same training, seen from its predictions before learning …
    assert raw.progressive == result.progressive
    # … but for rounding; the averages are not its last weights, and validate better.
    assert result.validation["log_loss"] < raw.validation["log_loss"] - 1e-3
    export_model_dir(model_dir, tmp_path / "export")
    for path in (model_dir, tmp_path / "export" / "1"):
        job = ScoringJob.open(path, later)
        figures = evaluate(job.scorer, job.batches)
        assert figures["log_loss"] == pytest.approx(
            result.validation["log_loss"], rel=1e-6
        )


@pytest.mark.slow
def test_the_best_checkpoint_is_of_averages(trained, criteo_dir):
    result, model_dir = trained
    lines = (model_dir / "progress.jsonl").read_text().splitlines()
    losses = [
        line["validation"]["log_loss"]
        for line in map(json.loads, lines)
        if "validation" in line
    ]
    job = ScoringJob.open(model_dir, criteo_dir / "day_3.tsv", checkpoint="best")
    figures = evaluate(job.scorer, job.batches)
    assert figures["log_loss"] == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.slow
def test_a_run_that_ended_returns_the_averages_again(trained, criteo_dir):
    result, model_dir = trained
    files, later = criteo_dir / "day_[0-2].tsv", criteo_dir / "day_3.tsv"
    again = train(CONFIG, files, model_dir, validation_files=later)
    assert_same_weights(again.model, result.model)


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_with_the_same_averages(
    trained, criteo_dir, tmp_path
):
    result, _ = trained
    files, later = criteo_dir / "day_[0-2].tsv", criteo_dir / "day_3.tsv"
    small_runs.interrupt(5000, CONFIG, files, tmp_path / "m", validation_files=later)
    assert (tmp_path / "m" / "checkpoints" / "averaged").exists()
    # Half-way the averages are loaded, too.
    job = ScoringJob.open(tmp_path / "m", later)
    assert next(iter(predict(job.scorer, job.batches))).probability.shape == (3000,)
    again = train(CONFIG, files, tmp_path / "m", validation_files=later)
    assert_same_weights(again.model, result.model)


MIRRORED = """
import sys
import numpy as np
from smelu_tf.models import TrainConfig, load_model, train

config = TrainConfig.load(sys.argv[1])
for name in ("one_device", "mirrored"):
    train(config, sys.argv[2], f"{sys.argv[3]}/{name}", strategy=name)
weights = [load_model(f"{sys.argv[3]}/{n}").get_weights()
           for n in ("one_device", "mirrored")]
for a, b in zip(*weights, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
assert (tf.distribute.get_strategy().num_replicas_in_sync) == 1
print("same")
"""


@pytest.mark.slow
def test_two_replicas_average_as_one_does(criteo_dir, tmp_path):
    config = dataclasses.replace(
        CONFIG, optimizer=dataclasses.replace(CONFIG.optimizer, learning_rate=0.002)
    )
    (tmp_path / "config.json").write_text(config.to_json())
    printed = run_on_two_devices(
        MIRRORED, tmp_path / "config.json", criteo_dir / "day_0.tsv", tmp_path
    )
    assert printed.strip() == "same"
