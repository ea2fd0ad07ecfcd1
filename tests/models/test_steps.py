"""models/steps.py: batches predicted, counted, then learned, several a call."""

import numpy as np
import pytest
import small_rows
import tensorflow as tf

from smelu_tf.models import (
    BinaryMetrics,
    OptimizerConfig,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
)
from smelu_tf.models.learner import Learner
from smelu_tf.models.losses import Objective
from smelu_tf.models.steps import TrainSteps
from smelu_tf.pipelines import (
    Batch,
    for_replicas,
    sample_negatives,
)

SCHEMA = small_rows.SCHEMA
SHAPE = WideDeepConfig(embedding_dim=4, hidden_units=(8,), crosses=("site*kind",))


def rows(num_rows, seed=0, batch_size=32):
    rows = small_rows.make_rows(num_rows, seed)
    rows.weight[:] = 1
    return rows.batches(batch_size)


def trainer(shape=SHAPE, steps_per_execution=1, negative_rate=1.0, **optimizer):
    model = WideDeep(SCHEMA, shape)
    optimizer = WideDeepOptimizer.of(OptimizerConfig(**optimizer))
    optimizer._create_all_weights(model.trainable_variables)
    metrics = BinaryMetrics()
    learner = Learner(model, optimizer, metrics, Objective(negative_rate))
    steps = TrainSteps([learner], steps_per_execution)
    return model, optimizer, metrics, steps


def iterator(batches):
    return iter(for_replicas(batches, 0, 1, 1))


@pytest.mark.parametrize("per_call", [3, 7])
def test_steps_a_call_change_nothing(per_call):
    results = []
    for number in (1, per_call):
        model, _, metrics, steps = trainer(steps_per_execution=number)
        batches, done = iterator(rows(650)), 0
        while True:
            call = steps(batches)
            done += call.num_steps
            if call.finished:
                break
        assert done == 21  # the last of 10 rows
        results.append([*model.get_weights(), *metrics.get_weights()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_figures_are_of_predictions_before_learning_and_without_dropout():
    shape = WideDeepConfig(embedding_dim=4, hidden_units=(64,), dropout=0.5)
    model, _, metrics, steps = trainer(shape)
    (batch,) = rows(32)
    logit = model(batch.features, training=False)[:, 0]
    expected = np.mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=batch.label, logits=logit)
    )
    call = steps(iterator(rows(32)))
    assert float(metrics.log_loss) == pytest.approx(expected, rel=1e-5)
    assert call.last_loss != pytest.approx(expected, rel=1e-5)  # of the masked net


def test_it_ends_behind_a_loss_that_is_no_number():
    def spoilt(number, batch):
        scale = tf.where(number == 4, np.inf, 1.0)
        numeric = batch.features["numeric"] * scale
        return batch._replace(features={**batch.features, "numeric": numeric})

    *_, steps = trainer(steps_per_execution=10)
    call = steps(iterator(rows(650).enumerate().map(spoilt)))
    assert call.num_steps == 5
    assert not call.last_loss < 100
    assert not call.finished


@pytest.mark.parametrize("name", ["adam", "adagrad"])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_only_rows_that_were_looked_up_change(name, dtype):
    model = WideDeep(SCHEMA, SHAPE, dtype=dtype)
    optimizer = WideDeepOptimizer.of(OptimizerConfig(name=name))
    optimizer._create_all_weights(model.trainable_variables)
    steps = TrainSteps([Learner(model, optimizer, BinaryMetrics())])
    tables = {
        "deep": model.deep.embeddings[0].table,
        "wide": model.wide.ids.table,
        "crosses": model.wide.crosses.table,
    }
    slots = {"deep": ("m", "v") if name == "adam" else ("accumulator",)}

    def state():
        return {
            part: [
                table.numpy(),
                *(
                    optimizer.get_slot(table, slot).numpy()
                    for slot in slots.get(part, ("accumulator", "linear"))
                ),
            ]
            for part, table in tables.items()
        }

    before = state()
    batches = [*rows(96)]
    data = iterator(rows(96))
    for _ in range(3):
        steps(data)
    ids = np.concatenate([batch.features["ids"] for batch in batches])
    seen = {*ids[:, 0].tolist(), *(SCHEMA.num_ids[0] + ids[:, 1]).tolist()}
    crosses = model.wide._cross_ids(tf.constant(ids))[0].numpy()[:, 0]
    looked_up = {"deep": seen, "wide": seen, "crosses": {*crosses.tolist()}}
    for part, arrays in state().items():
        assert 0 < len(looked_up[part]) < len(arrays[0])
        for old, new in zip(before[part], arrays, strict=True):
            changed = set(np.flatnonzero(np.any(old != new, axis=1)).tolist())
            assert changed <= looked_up[part]
            assert len(changed) > 0.9 * len(looked_up[part])


def test_each_table_is_read_once_a_step():
    """Its rows by the forward pass, and what the optimizer keeps of them."""
    _, _, _, steps = trainer(name="adam")
    steps(iterator(rows(96)))
    graph = steps._run._list_all_concrete_functions()[0].graph
    reads = [op for op in graph.get_operations() if op.type == "ResourceGather"]
    assert len(reads) == 3 * 3  # rows and two slots of embeddings, ids and crosses


def test_clipping_bounds_the_norm_of_all_but_the_wide_part():
    moves = {}
    for clip_norm in (0.0, 1e-3):
        model, _, _, steps = trainer(
            name="adagrad",
            learning_rate=1000.0,
            adagrad_accumulator=1e6,
            clip_norm=clip_norm,
        )
        before = [v.numpy() for v in model.trainable_variables]
        steps(iterator(rows(32)))
        moves[clip_norm] = {
            v.name.partition("/")[2]: v.numpy() - old
            for v, old in zip(model.trainable_variables, before, strict=True)
        }
    # With so large an accumulator a step is the gradient.
    norms = {
        clip_norm: np.sqrt(
            sum(
                np.sum(m**2)
                for name, m in named.items()
                if not name.startswith("wide/")
            )
        )
        for clip_norm, named in moves.items()
    }
    assert norms[0.0] > 2e-3
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-3)
    for name, move in moves[0.0].items():
        if name.startswith("wide/"):
            np.testing.assert_array_equal(move, moves[1e-3][name])


@pytest.mark.parametrize("rate", [1.0, 0.2])
def test_logits_are_those_of_all_rows_whatever_part_of_them_is_kept(rate):
    """A model that can only learn one rate learns that of all rows."""
    shape = WideDeepConfig(deep=False)
    model, _, metrics, steps = trainer(
        shape, steps_per_execution=50, negative_rate=rate, wide_learning_rate=0.5
    )
    random = np.random.default_rng(3)
    label = (random.random(40_000) < 0.1).astype("f")
    features = {
        "numeric": np.zeros([40_000, 2], "f"),
        "ids": np.zeros([40_000, 2], "i4"),
    }
    batch = Batch(features, label, np.ones(40_000, "f"))
    batches = tf.data.Dataset.from_tensor_slices(batch).batch(200)
    data = iterator(sample_negatives(batches, rate, seed=1))
    while not steps(data).finished:
        pass
    logit = model({name: values[:1] for name, values in features.items()}).numpy()[0, 0]
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(label.mean(), rel=0.1)
    figures = metrics.figures()
    assert figures["weight"] == pytest.approx(40_000, rel=0.02)
    assert figures["calibration"] == pytest.approx(1, abs=0.1)


class _Constant:
    """A term of the loss without a gradient."""

    def __init__(self, value):
        self.value = value

    def __call__(self, logits, batch, step):
        return self.value + 0 * logits[0]


@pytest.mark.parametrize(
    ("value", "num_steps"), [(1e3, 4), (float("nan"), 1), (float("inf"), 1)]
)
def test_a_step_says_the_log_loss_whatever_else_is_minimised(value, num_steps):
    model, optimizer, metrics, _ = trainer()
    objective = Objective(terms=(_Constant(value),))
    steps = TrainSteps([Learner(model, optimizer, metrics, objective)], 4)
    call = steps(iterator(rows(32, batch_size=8)))
    assert call.num_steps == num_steps
    assert (0.1 < call.last_loss < 2) == (value == 1e3)


def test_a_program_of_static_shapes_learns_and_counts_the_same():
    results = []
    for static_shapes in (False, True):
        model = WideDeep(SCHEMA, SHAPE, static_shapes=static_shapes)
        optimizer = WideDeepOptimizer.of(OptimizerConfig())
        optimizer._create_all_weights(model.trainable_variables)
        metrics = BinaryMetrics()
        learner = Learner(model, optimizer, metrics)
        steps = TrainSteps([learner], 4, static_shapes=static_shapes)
        data = iterator(rows(640))
        while not steps(data).finished:
            pass
        results.append((metrics.figures(), model.get_weights()))
    (expected, weights), (found, others) = results
    assert found == pytest.approx(expected, rel=1e-6)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
