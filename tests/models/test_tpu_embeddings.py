"""models/tpu_embeddings.py: TPUEmbedding's tables train, and are saved, as others."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from same_weights import copy_weights

from smelu_tf.models import (
    BinaryMetrics,
    OptimizerConfig,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
    parameter_table,
)
from smelu_tf.models.learner import Learner
from smelu_tf.models.model_weights import ModelWeights, column_layouts
from smelu_tf.models.steps import TrainSteps
from smelu_tf.models.tables import LargeTable, large_tables
from smelu_tf.models.tpu_embeddings import TPUTables, _Normal, table_optimizer
from smelu_tf.pipelines import (
    Batch,
    Categorical,
    MultiValued,
    Numeric,
    Schema,
    for_replicas,
)

SCHEMA = Schema(
    "s",
    numeric=(Numeric("age"), Numeric("price")),
    categorical=(
        Categorical("kind", buckets=5),
        Categorical("site", buckets=300),
        Categorical("ad", buckets=200),
    ),
    multivalued=(MultiValued("tags", buckets=150, max_values=3),),
)
STACKED = WideDeepConfig(
    embedding_dim=4, hidden_units=(16, 8), crosses=("site*kind",), embedding_stddev=0.1
)
TPU = dataclasses.replace(STACKED, tables="tpu", tpu_table_ids=100)


def rows(num_rows, batch_size=32, seed=0):
    random = np.random.default_rng(seed)
    ids = np.stack(
        [random.integers(n, size=num_rows) for n in SCHEMA.num_ids], axis=1
    ).astype("i4")
    tags = random.integers(-1, 150, (num_rows, 3)).astype("i4")
    label = (random.random(num_rows) < 0.2 + 0.1 * ids[:, 0]).astype("f")
    numeric = random.normal(size=[num_rows, 4]).astype("f")
    features = {"numeric": numeric, "ids": ids, "tags": tags}
    batch = Batch(features, label, random.integers(1, 3, num_rows).astype("f"))
    return tf.data.Dataset.from_tensor_slices(batch).batch(batch_size)


def learner_of(model, **optimizer):
    made = WideDeepOptimizer.of(OptimizerConfig(**optimizer))
    made._create_all_weights(model.trainable_variables)
    return Learner(model, made, BinaryMetrics())


def table_of(layer, name):
    return next(v for v in layer.weights if v.name.endswith(f"{name}:0"))


def losses(learner, batches):
    steps, iterator = TrainSteps([learner]), iter(for_replicas(batches, 0, 1, 1))
    found = []
    while not (step := steps(iterator)).finished:
        found.append(step.last_loss)
    return np.array(found)


@pytest.mark.parametrize(
    ("fields", "optimizer"),
    [
        ({}, {"name": "adam"}),
        ({"interaction": "dcn"}, {"name": "adagrad", "learning_rate": 0.05, "l1": 0.1}),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (
                    {"interaction": "dlrm", "column_dims": ()},
                    {"warmup_steps": 50, "schedule": "cosine", "decay_steps": 100},
                ),
                ({"column_dims": ("site:6", "kind:3")}, {"clip_norm": 0.5}),
                ({"tpu_table_ids": 0, "crosses": ()}, {"averaging": 0.9}),
            )
        ),
    ],
)
def test_the_loss_curve_is_that_of_stacked_tables_over_200_steps(fields, optimizer):
    stacked_fields = {k: v for k, v in fields.items() if k != "tpu_table_ids"}
    stacked = WideDeep(SCHEMA, dataclasses.replace(STACKED, **stacked_fields))
    model = WideDeep(SCHEMA, dataclasses.replace(TPU, **fields), seed=1)
    copy_weights(stacked, model)
    expected = losses(learner_of(stacked, **optimizer), rows(6400))
    found = losses(learner_of(model, **optimizer), rows(6400))
    assert expected.size == 200
    assert expected[-50:].mean() < expected[:10].mean() - 0.02
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    logits = [m(next(iter(rows(32, seed=1))).features) for m in (model, stacked)]
    np.testing.assert_allclose(*logits, rtol=2e-2, atol=2e-3)


def test_rows_are_the_tables_and_of_several_values_their_sum():
    layer = TPUTables(large_tables(SCHEMA, TPU), SCHEMA, stddev=1.0)
    (batch,) = rows(32)
    found = layer(batch.features)
    assert {name: rows.shape[1] for name, rows in found.items()} == {
        "wide/site": 1,
        "wide/ad": 1,
        "wide/tags": 1,
        "deep/site": 4,
        "deep/ad": 4,
        "deep/tags": 4,
    }
    deep = {name: table_of(layer, f"deep/{name}").numpy() for name in ("site", "tags")}
    ids = batch.features["ids"].numpy()
    np.testing.assert_array_equal(found["deep/site"], deep["site"][ids[:, 1]])
    tags = batch.features["tags"].numpy()
    padded = np.concatenate([deep["tags"], np.zeros([1, 4], "f")])
    expected = padded[tags].sum(axis=1)
    np.testing.assert_allclose(found["deep/tags"], expected, rtol=1e-5, atol=1e-6)


def test_what_the_host_prepares_gives_the_same_rows():
    model = WideDeep(SCHEMA, TPU)
    (batch,) = rows(32)
    prepared = {**batch.features, **model.tpu_tables.lookups(batch.features)}
    assert prepared["lookup/site"].shape == [32]
    assert isinstance(prepared["lookup/tags"], tf.SparseTensor)
    np.testing.assert_array_equal(model(prepared), model(batch.features))


def test_rows_that_features_have_are_not_looked_up():
    model = WideDeep(SCHEMA, TPU)
    (batch,) = rows(32)
    given = {**batch.features, **model.tpu_tables(batch.features)}
    expected = model(batch.features)
    for table in model.tpu_tables.weights:
        table.assign(tf.fill(table.shape, np.nan))
    np.testing.assert_array_equal(model(given), expected)


def test_unknown_ids_are_taken_before_the_lookup():
    schema = Schema(
        "v",
        numeric=(),
        categorical=(Categorical("site", vocabulary=tuple(map(str, range(500)))),),
    )
    config = dataclasses.replace(TPU, crosses=(), unknown_rate=0.9)
    model = WideDeep(schema, config)
    site = table_of(model, "deep/site")
    ids = tf.constant([[7]] * 64)
    with tf.GradientTape() as tape:
        logits = model({"numeric": tf.zeros([64, 0]), "ids": ids}, training=True)
    rows_hit = set(tape.gradient(logits, site).indices.numpy().tolist())
    assert rows_hit == {1, 7}


def test_no_large_column_means_no_tables():
    config = dataclasses.replace(TPU, tpu_table_ids=1000)
    assert WideDeep(SCHEMA, config).tpu_tables is None


def test_weights_have_the_names_of_their_columns():
    model = WideDeep(SCHEMA, TPU)
    paths = list(ModelWeights(model))
    assert "deep/site" in paths
    assert "wide/tags" in paths
    assert not any("tpu" in path for path in paths)
    kernel = column_layouts(model)["deep/mlp/hidden_0/kernel"][0]
    assert [name for name, _ in kernel][2:] == ["kind", "site", "ad", "tags"]
    assert " tables " in parameter_table(model)


@pytest.mark.parametrize("rule", ["adam", "adagrad"])
def test_what_a_tpu_keeps_of_rows_are_slots_of_the_optimizer(rule):
    # Elsewhere the layer makes them in the same way, given the rules.
    optimizer = WideDeepOptimizer.of(OptimizerConfig(name=rule, wide_accumulator=0.3))
    layer = TPUTables(large_tables(SCHEMA, TPU), SCHEMA, optimizer=optimizer)
    (batch,) = rows(32)
    layer(batch.features)
    site = {part: table_of(layer, f"{part}/site") for part in ("wide", "deep")}
    names = {"adam": ["m", "v"], "adagrad": ["accumulator"]}[rule]
    expected = {"wide": ["accumulator", "linear"], "deep": names}
    for part, variable in site.items():
        slots = optimizer._slots[variable._unique_id]
        assert sorted(slots) == sorted(expected[part])
        assert {tuple(slot.shape) for slot in slots.values()} == {tuple(variable.shape)}
    kept = optimizer.get_slot(site["wide"], "accumulator").numpy()
    np.testing.assert_array_equal(kept, np.float32(0.3))


def test_rules_are_those_of_the_optimizer():
    config = OptimizerConfig(
        learning_rate=0.25, wide_learning_rate=0.5, l1=0.125, l2=2.0
    )
    optimizer = WideDeepOptimizer.of(config)
    wide, deep = (table_optimizer(optimizer, part) for part in ("wide", "deep"))
    assert isinstance(wide, tf.tpu.experimental.embedding.FTRL)
    assert wide.learning_rate == 0.5
    assert wide.l1_regularization_strength == 0.125
    assert wide.l2_regularization_strength == 2.0
    assert isinstance(deep, tf.tpu.experimental.embedding.Adam)
    assert deep.learning_rate == 0.25
    assert deep.lazy_adam
    assert not deep.sum_inside_sqrt
    config = OptimizerConfig(name="adagrad", adagrad_accumulator=0.5, warmup_steps=4)
    optimizer = WideDeepOptimizer.of(config)
    deep = table_optimizer(optimizer, "deep")
    assert isinstance(deep, tf.tpu.experimental.embedding.Adagrad)
    assert deep.initial_accumulator_value == 0.5
    rates = []
    for step in (0, 3, 9):
        optimizer.iterations.assign(step)
        rates.append(float(deep.learning_rate()))
    np.testing.assert_allclose(rates, [0.0005, 0.002, 0.002], rtol=1e-6)


def test_pieces_of_a_table_begin_with_other_numbers():
    class Piece:
        shape, offset = (3, 4), (6, 0)

    normal = _Normal(0.5, seed=7)
    whole = normal((9, 4)).numpy()
    piece = normal((9, 4), shard_info=Piece()).numpy()
    assert whole.shape == (9, 4)
    assert piece.shape == (3, 4)
    assert not np.isin(piece, whole).any()
    np.testing.assert_array_equal(whole, _Normal(0.5, seed=7)((9, 4)))
    assert 0.2 < whole.std() < 0.8
    # What TensorFlow's sharded variables ask of an initializer.
    from tensorflow.python.util import tf_inspect

    asked = functools.partial(normal, (9, 4), dtype=tf.float32)
    assert "shard_info" in tf_inspect.getargspec(asked).args


def test_a_sparse_core_takes_the_tables():
    """The layout that TensorFlow computes for v5p's SparseCores, without one."""
    v3 = pytest.importorskip("tensorflow.python.tpu.tpu_embedding_v3")
    from smelu_tf.models.tpu_embeddings import _sparse_core_config

    tables = (
        LargeTable("wide", "site", 100_003, 1),
        LargeTable("deep", "site", 100_003, 12),
        LargeTable("deep", "tags", 5000, 16, 3),
    )
    embedding = tf.tpu.experimental.embedding
    optimizer = WideDeepOptimizer.of(OptimizerConfig())
    features = {
        table.name: embedding.FeatureConfig(
            embedding.TableConfig(
                table.num_ids,
                table.dim,
                initializer=_Normal(0.1, 1),
                optimizer=table_optimizer(optimizer, table.part),
                combiner="sum",
                name=table.name,
            ),
            output_shape=[256],
            name=table.name,
        )
        for table in tables
    }
    config = _sparse_core_config(tables, 256)
    stacked = v3._stack_tables_with_same_table_dim_and_optimizer(
        [feature.table for feature in features.values()],
        list(features.items()),
        4,
        4,
        config,
    )
    # Named as they are, so that the buffers' sizes are found by these names.
    assert set(stacked.stacked_table_to_tables) == {table.name for table in tables}
    assert config.max_ids_per_table == {
        "wide/site": 256,
        "deep/site": 256,
        "deep/tags": 768,
    }
    assert config.max_unique_ids_per_table == config.max_ids_per_table
    widths = [feature.table.dim for feature in features.values()]
    assert widths == [8, 16, 16]  # padded to a multiple of 8
