"""models/ensembles.py: towers of one model, and each as it would be alone."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from smelu_tf.models import (
    DataConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
    TrainOptions,
    WideDeep,
    WideDeepConfig,
    parameter_table,
)
from smelu_tf.models.ensembles import mean_logit
from smelu_tf.models.model_weights import ModelWeights
from smelu_tf.models.replicas import Replicas, with_seed
from smelu_tf.models.seeds import tower_seed
from smelu_tf.pipelines import Batch, Categorical, Numeric, Schema, for_replicas

SCHEMA = Schema(
    "small",
    numeric=(Numeric("age"),),
    categorical=(
        Categorical("site", buckets=300),
        Categorical("kind", vocabulary=("a", "b", "c")),
    ),
)
SHAPE = WideDeepConfig(embedding_dim=4, hidden_units=(8,), crosses=("site*kind",))


def rows(num_rows=640, batch_size=32):
    random = np.random.default_rng(0)
    ids = random.integers((300, 5), size=[num_rows, 2]).astype("i4")
    label = (random.random(num_rows) < 0.2 + 0.1 * ids[:, 1]).astype("f")
    features = {"numeric": random.normal(size=[num_rows, 2]).astype("f"), "ids": ids}
    batch = Batch(features, label, random.integers(1, 3, num_rows).astype("f"))
    return tf.data.Dataset.from_tensor_slices(batch).batch(batch_size)


def _slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def features():
    return next(iter(rows())).features


def shape(**changes):
    return dataclasses.replace(SHAPE, **changes)


def trained(*configs):
    replicas = Replicas(configs, SCHEMA)
    replicas.train(rows())
    return replicas


def own_weights(model, tower):
    """The weights of a tower with tables of its own, by their names alone."""
    weights = ModelWeights(model)
    scope = f"tower_{tower}/" if tower else ""
    parts = (f"{scope}wide/", f"{scope}deep/")
    return {p.removeprefix(scope): weights[p] for p in weights if p.startswith(parts)}


@pytest.mark.parametrize("tables", ["shared", "separate"])
@pytest.mark.parametrize("wide", [True, False])
def test_the_logit_is_the_mean_of_the_towers(tables, wide):
    model = WideDeep(SCHEMA, shape(towers=3, tower_tables=tables, wide=wide))
    logits = model.tower_logits(features())
    assert [z.shape for z in logits] == [(32, 1)] * 3
    assert len({z.numpy().tobytes() for z in logits}) == 3
    got = model(features())
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, np.mean(logits, axis=0), rtol=1e-5, atol=1e-7)


def test_the_mean_of_one_is_that_one():
    one = tf.constant([[1.5]])
    assert mean_logit([one]) is one


@pytest.mark.parametrize("tables", ["shared", "separate"])
@pytest.mark.parametrize("interaction", ["none", "dcn", "dlrm"])
def test_a_tower_begins_as_the_model_of_its_seed(tables, interaction):
    config = shape(interaction=interaction, towers=3, tower_tables=tables)
    model = WideDeep(SCHEMA, config, seed=5)
    for tower in range(3):
        seed = tower_seed(5, tower)
        alone = ModelWeights(
            WideDeep(SCHEMA, dataclasses.replace(config, towers=1), seed)
        )
        weights = ModelWeights(model)
        own = {"shared": "deep/tower_{}/", "separate": "tower_{}/deep/"}[tables]
        scope = own.format(tower) if tower else "deep/"
        for path in alone:
            is_net = path.startswith("deep/") and "/embeddings" not in path
            if is_net or path.startswith("deep/") and tables == "separate":
                here = path.replace("deep/", scope, 1)
                np.testing.assert_array_equal(weights[here], alone[path], here)


def test_a_model_of_one_tower_has_the_names_that_it_always_had(tmp_path):
    model = WideDeep(SCHEMA, SHAPE)
    assert [*ModelWeights(model)] == [
        "wide/bias",
        "wide/numeric/kernel",
        "wide/ids/table",
        "wide/crosses/table",
        "deep/embeddings/table",
        "deep/mlp/hidden_0/kernel",
        "deep/mlp/hidden_0/bias",
        "deep/logit/kernel",
        "deep/logit/bias",
    ]
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    names = {name for name, _ in tf.train.list_variables(path)}
    end = "/.ATTRIBUTES/VARIABLE_VALUE"
    assert {name.removesuffix(end) for name in names if name.startswith("model")} == {
        "model/wide/bias",
        "model/wide/numeric/kernel",
        "model/wide/ids/table",
        "model/wide/crosses/table",
        "model/deep/embeddings/0/table",
        "model/deep/mlp/hidden/0/kernel",
        "model/deep/mlp/hidden/0/bias",
        "model/deep/logit/kernel",
        "model/deep/logit/bias",
    }


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ({}, {"optimizer": OptimizerConfig(clip_norm=0.02)}),
        _slow({"dropout": 0.3, "unknown_rate": 0.2}, {}),
        _slow({}, {"optimizer": OptimizerConfig("adagrad", 0.05)}),
        _slow({}, {"data": DataConfig(negative_rate=0.5)}),
        _slow({"interaction": "dcn", "wide": False}, {}),
        _slow({}, {"train": TrainOptions(compute_dtype="bfloat16")}),
    ],
    ids=["clipped", "random", "adagrad", "sampled", "dcn", "bfloat16"],
)
def test_a_tower_with_tables_of_its_own_trains_as_it_would_alone(model, config):
    config = TrainConfig(model=shape(**model), **config)
    towers = dataclasses.replace(
        config, model=shape(**model, towers=2, tower_tables="separate")
    )
    alone = [with_seed(config, tower_seed(4, tower)) for tower in range(2)]
    ensemble, *models = trained(with_seed(towers, 4), *alone).models
    begun = own_weights(WideDeep(SCHEMA, towers.model, seed=4), 0)
    for tower, model in enumerate(models):
        together = own_weights(ensemble, tower)
        for path, expected in own_weights(model, 0).items():
            np.testing.assert_allclose(
                together[path], expected, rtol=1e-5, atol=1e-6, err_msg=path
            )
            assert tower or not np.array_equal(expected, begun[path])


def test_what_towers_share_gets_the_sum_of_their_gradients():
    config = TrainConfig(model=shape(towers=3, embedding_stddev=0.3))
    (model,) = Replicas([config], SCHEMA).models
    batch = next(iter(rows()))
    with tf.GradientTape(persistent=True) as tape:
        logits = model.tower_logits(batch.features, training=True)
        losses = [
            tf.nn.sigmoid_cross_entropy_with_logits(batch.label, z[:, 0])
            for z in logits
        ]
        total = tf.add_n(losses)
    for variable in (model.deep.embeddings[0].table, model.wide.numeric.kernel):
        got, *parts = (
            tf.convert_to_tensor(tape.gradient(loss, variable))
            for loss in (total, *losses)
        )
        np.testing.assert_allclose(got, sum(parts), rtol=1e-4, atol=1e-6)
        assert np.any(got)


def test_shared_tables_are_read_once_a_step():
    config = TrainConfig(
        model=shape(towers=3), train=TrainOptions(steps_per_execution=1)
    )
    steps = Replicas([config], SCHEMA)._steps
    steps(iter(for_replicas(rows(), 0, 1, 1)))
    graph = steps._run._list_all_concrete_functions()[0].graph
    reads = [op for op in graph.get_operations() if op.type == "ResourceGather"]
    assert len(reads) == 3 * 3  # rows and two slots of embeddings, ids and crosses


@pytest.mark.parametrize(
    ("tables", "dtype"),
    [
        ("shared", "float32"),
        _slow("separate", "float32"),
        _slow("shared", "bfloat16"),
        _slow("separate", "bfloat16"),
    ],
)
def test_the_first_tower_serves_alone_if_it_is_to(tables, dtype):
    configs = [
        TrainConfig(
            model=shape(towers=2, tower_tables=tables, serve=serve, dropout=0.1),
            loss=LossConfig(codistillation=1.0, burn_in_steps=5),
            train=TrainOptions(compute_dtype=dtype),
        )
        for serve in ("ensemble", "first")
    ]
    replicas = trained(*configs)
    both, first = replicas.models
    weights = ModelWeights(first)
    for path in weights:
        np.testing.assert_allclose(weights[path], ModelWeights(both)[path], atol=1e-6)
    (logit,) = first.tower_logits(features())
    np.testing.assert_array_equal(first(features()), logit)
    towers = both.tower_logits(features())
    np.testing.assert_allclose(logit, towers[0], rtol=1e-5, atol=1e-6)
    # Progressive figures are of what is served.
    assert float(replicas.metrics[0].log_loss) != float(replicas.metrics[1].log_loss)


@pytest.mark.parametrize("tables", ["shared", "separate"])
def test_what_does_not_serve_is_not_among_the_served_variables(tables):
    alone = WideDeep(SCHEMA, SHAPE, name="model")
    config = shape(towers=3, tower_tables=tables, serve="first")
    model = WideDeep(SCHEMA, config, name="model")
    served = [v.name for v in model.served_variables]
    assert served == [v.name for v in alone.variables]
    assert len(model.variables) > len(served)
    every = WideDeep(SCHEMA, shape(towers=3, tower_tables=tables))
    assert every.served_variables == every.variables


@pytest.mark.slow
def test_towers_learn_to_agree_or_to_differ():
    """By what co-distillation and anti-distillation are for."""
    losses = (
        LossConfig(),
        LossConfig(codistillation=5.0),
        LossConfig(anti_distillation=1.0),
    )
    config = TrainConfig(model=shape(towers=2), optimizer=OptimizerConfig("adam", 0.02))
    models = trained(
        *(dataclasses.replace(config, loss=each) for each in losses)
    ).models
    distance, correlation = [], []
    for model in models:
        batch = next(iter(rows(640, 640)))
        first, second = (z.numpy()[:, 0] for z in model.tower_logits(batch.features))
        distance.append(np.mean(np.abs(first - second)))
        correlation.append(np.corrcoef(first, second)[0, 1])
    assert distance[1] < 0.9 * distance[0]
    assert correlation[2] < correlation[0] - 0.05


@pytest.mark.slow
def test_two_ensembles_train_side_by_side():
    config = TrainConfig(model=shape(towers=2))
    replicas = trained(config, with_seed(config, 1))
    first, second = replicas.logits(rows())
    assert first.shape == (640,)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("tables", ["shared", "separate"])
def test_an_ensemble_survives_keras_s_own_format(tmp_path, tables):
    model = WideDeep(SCHEMA, shape(towers=2, tower_tables=tables), seed=3)
    for variable in model.trainable_variables:
        variable.assign_add(tf.random.stateless_normal(variable.shape, (1, 2)))
    model.compile()
    model.save(tmp_path / "model.keras")
    again = tf_keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(features()), model(features()))


def test_the_table_of_weights_has_the_towers():
    lines = parameter_table(WideDeep(SCHEMA, shape(towers=2))).splitlines()
    assert any("tower_1/mlp/hidden_0" in line for line in lines)
    config = shape(towers=2, tower_tables="separate")
    lines = parameter_table(WideDeep(SCHEMA, config)).splitlines()
    assert any(line.startswith("tower_1") for line in lines)
    assert sum("embeddings " in line for line in lines) == 2


def test_fit_is_for_one_tower():
    model = WideDeep(SCHEMA, shape(towers=2))
    model.compile()
    with pytest.raises(ValueError, match=r"model\.towers: expected 1 with fit .*ed 2"):
        model.fit(features(), np.zeros(32))
