"""models/deep.py: embeddings, interaction and MLP as one logit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from smelu_tf.models import WideDeepConfig
from smelu_tf.models.deep import Deep
from smelu_tf.models.tables import embedding_dims
from smelu_tf.pipelines import Categorical, MultiValued, Numeric, Schema

SCHEMA = Schema(
    name="ads",
    numeric=(Numeric("age"), Numeric("price", "float64", "none")),
    categorical=(
        Categorical("site", buckets=20),
        Categorical("kind", vocabulary=("a", "b", "c")),
        Categorical("place", buckets=10),
    ),
    multivalued=(MultiValued("tags", buckets=15, max_values=3),),
)
SMALL = WideDeepConfig(embedding_dim=3, hidden_units=(8, 4), bottom_units=(5,))
INTERACTIONS = ("none", "dcn", "dlrm")


def batch(schema=SCHEMA, size=10, seed=0):
    random = np.random.default_rng(seed)
    features = {
        "numeric": random.normal(size=(size, 2 * len(schema.numeric))),
        "ids": np.array(
            [random.integers(0, n, size) for n in schema.num_ids], np.int32
        ).T.reshape(size, len(schema.num_ids)),
    }
    for column in schema.multivalued:
        ids = random.integers(-1, column.num_ids, (size, column.max_values))
        features[column.name] = -np.sort(-ids).astype(np.int32)
    features["numeric"] = features["numeric"].astype(np.float32)
    return {name: tf.constant(value) for name, value in features.items()}


def changed(**changes):
    return dataclasses.replace(SMALL, **changes)


def built(config=SMALL, seed=0, schema=SCHEMA, **kwargs):
    deep = Deep(schema, config, seed, **{"name": "deep", **kwargs})
    deep(batch(schema))
    return deep


def _ref_embeddings(deep, features):
    """Table by table, each column's rows or sums of rows, in NumPy."""
    parts = []
    for columns, layer in deep.tables:
        table = layer.table.numpy().astype(np.float64)
        offset = 0
        for name, num_ids in zip(columns, layer.num_ids, strict=True):
            if name in SCHEMA.id_columns:
                place = SCHEMA.id_columns.index(name)
                ids = features["ids"].numpy()[:, place : place + 1]
            else:
                ids = features[name].numpy()
            rows = table[np.maximum(ids, 0) + offset] * (ids >= 0)[..., np.newaxis]
            parts.append(rows.sum(axis=1))
            offset += num_ids
    return parts


def _ref_smelu(x):
    return np.where(x < -1, 0, np.where(x > 1, x, (x + 1) ** 2 / 4))


def _ref_logit(deep, features):
    x = np.concatenate(
        [features["numeric"].numpy() / 4, *_ref_embeddings(deep, features)], axis=1
    )
    for dense in deep.mlp.hidden:
        x = _ref_smelu(x @ dense.kernel.numpy() + dense.bias.numpy())
    return x @ deep.logit.kernel.numpy() + deep.logit.bias.numpy()


@pytest.mark.parametrize("column_dims", [(), ("kind:5", "tags:2", "place:5")])
def test_the_logit_is_the_formula_s(column_dims):
    deep = built(changed(column_dims=column_dims))
    random = np.random.default_rng(1)
    deep.set_weights([random.normal(0, 0.4, w.shape) for w in deep.get_weights()])
    features = batch()
    got = deep(features)
    assert got.shape == (10, 1)
    np.testing.assert_allclose(got, _ref_logit(deep, features), rtol=1e-4, atol=1e-5)


def test_columns_of_one_width_share_a_table():
    deep = built(changed(column_dims=("kind:5", "tags:2", "place:5", "site:3")))
    assert [(c, t.name, t.dim, t.num_values) for c, t in deep.tables] == [
        (("site",), "embeddings", 3, (1,)),
        (("tags",), "embeddings_2", 2, (3,)),
        (("kind", "place"), "embeddings_5", 5, (1, 1)),
    ]


def test_names_of_weights_say_where_they_belong():
    names = {w.name for w in built(changed(interaction="dlrm")).weights}
    assert {
        "deep/embeddings/table:0",
        "deep/interaction/bottom/hidden_0/kernel:0",
        "deep/mlp/hidden_1/bias:0",
        "deep/logit/kernel:0",
    } <= names


def test_dlrm_s_logit_is_that_of_the_products():
    deep = built(changed(interaction="dlrm"))
    features = batch()
    x = features["numeric"].numpy() / 4
    for dense in deep.interaction.bottom.hidden:
        x = _ref_smelu(x @ dense.kernel.numpy() + dense.bias.numpy())
    vectors = [x, *_ref_embeddings(deep, features)]
    pairs = [
        np.sum(vectors[i] * vectors[j], axis=1, keepdims=True)
        for i in range(len(vectors))
        for j in range(i)
    ]
    x = np.concatenate([x, *pairs], axis=1)
    for dense in deep.mlp.hidden:
        x = _ref_smelu(x @ dense.kernel.numpy() + dense.bias.numpy())
    expected = x @ deep.logit.kernel.numpy() + deep.logit.bias.numpy()
    np.testing.assert_allclose(deep(features), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("interaction", INTERACTIONS)
def test_it_learns_in_keras_s_fit(interaction):
    class Model(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.deep = Deep(SCHEMA, changed(interaction=interaction, dropout=0.1))

        def call(self, features, training=None):
            return self.deep(features, training=training)

    features = batch(size=512)
    label = tf.cast(features["numeric"][:, :1] > 0, tf.float32)
    model = Model()
    loss = tf_keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.legacy.Adam(0.02), loss)
    model.fit(features, label, epochs=12, batch_size=64, verbose=0)
    assert model.evaluate(features, label, verbose=0) < 0.45
    assert {int(each.num_calls) for each in model.deep.mlp.dropouts} == {96}


@pytest.mark.parametrize("interaction", INTERACTIONS)
def test_the_logit_and_all_weights_are_float32_under_mixed_precision(interaction):
    config = changed(
        interaction=interaction,
        normalization="layer",
        dropout=0.1,
        bottleneck=2,
        cross_rank=2,
    )
    whole = built(config)
    half = built(config, dtype="mixed_bfloat16")
    half.set_weights(whole.get_weights())
    with tf.GradientTape() as tape:
        logit = half(batch(), training=True)
    assert logit.dtype == tf.float32
    gradients = tape.gradient(logit, half.trainable_variables)
    assert {g.dtype for g in gradients} == {tf.float32}
    np.testing.assert_allclose(half(batch()), whole(batch()), atol=0.2)


@pytest.mark.parametrize("interaction", INTERACTIONS)
def test_one_seed_decides_the_initial_weights(interaction):
    config = changed(interaction=interaction, column_dims=())
    first, again, other = (built(config, seed).get_weights() for seed in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.ndim < 2 or np.all(a != c)


def test_a_column_s_own_width_leaves_the_rest_of_the_initial_weights():
    first = built()
    second = built(changed(column_dims=("kind:5",)))
    for a, b in zip(first.mlp.hidden[1:], second.mlp.hidden[1:], strict=True):
        np.testing.assert_array_equal(a.kernel, b.kernel)
    np.testing.assert_array_equal(first.logit.kernel, second.logit.kernel)


@pytest.mark.parametrize("interaction", INTERACTIONS)
@pytest.mark.parametrize("absent", ["numeric", "categorical", "multivalued"])
def test_columns_of_a_kind_may_be_absent(interaction, absent):
    schema = dataclasses.replace(SCHEMA, **{absent: ()})
    deep = built(changed(interaction=interaction), schema=schema)
    assert np.all(np.isfinite(deep(batch(schema))))


@pytest.mark.parametrize("interaction", ["none", "dcn"])
def test_numeric_columns_alone_do(interaction):
    schema = dataclasses.replace(SCHEMA, categorical=(), multivalued=())
    deep = built(changed(interaction=interaction), schema=schema)
    assert deep.tables == []
    assert deep(batch(schema)).shape == (10, 1)


def test_numeric_columns_alone_have_no_products():
    schema = dataclasses.replace(SCHEMA, categorical=(), multivalued=())
    with pytest.raises(ValueError, match="model.interaction: expected none or dcn for"):
        Deep(schema, changed(interaction="dlrm"))


def test_dlrm_s_embeddings_are_equally_wide():
    with pytest.raises(ValueError, match="model.column_dims: expected the width of"):
        Deep(SCHEMA, changed(interaction="dlrm", column_dims=("kind:5",)))


@pytest.mark.parametrize(
    ("column_dims", "message"),
    [
        (
            ("knd:5",),
            "expected a column with ids of ads, .*'knd:5'; the nearest is kind",
        ),
        (("age:5",), "expected a column with ids of ads, received 'age:5'"),
        (("kind",), "expected a column and a width of 1 or more, as site:32"),
        (
            ("kind:0",),
            "expected a column and a width of 1 or more, as site:32, received 'kind:0'",
        ),
        (("kind:5", "kind:6"), "expected kind once, received 'kind:6' as well"),
    ],
)
def test_widths_that_make_no_sense_are_refused(column_dims, message):
    with pytest.raises(ValueError, match=f"model.column_dims: {message}"):
        embedding_dims(SCHEMA, changed(column_dims=column_dims))


def test_a_width_where_there_are_no_ids_is_refused():
    schema = dataclasses.replace(SCHEMA, categorical=(), multivalued=())
    with pytest.raises(ValueError, match="a column with ids of ads, received 'kind:5'"):
        embedding_dims(schema, changed(column_dims=("kind:5",)))


@pytest.mark.parametrize("interaction", INTERACTIONS)
def test_a_saved_graph_has_plain_operations_and_the_same_logit(interaction, tmp_path):
    deep = built(changed(interaction=interaction))
    signature = {
        name: tf.TensorSpec([None, *value.shape[1:]], value.dtype, name)
        for name, value in batch().items()
    }
    module = tf.Module()
    module.weights = deep.weights
    module.score = tf.function(
        lambda features: deep(features, training=False), input_signature=[signature]
    )
    graph = module.score.get_concrete_function().graph
    assert "IdentityN" not in {op.type for op in graph.get_operations()}
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for size in (1, 7):
        features = batch(size=size)
        np.testing.assert_allclose(
            loaded.score(features), deep(features), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("interaction", INTERACTIONS)
def test_an_empty_batch_has_no_logits(interaction):
    deep = built(changed(interaction=interaction, normalization="layer", dropout=0.1))
    features = {name: value[:0] for name, value in batch().items()}
    with tf.GradientTape() as tape:
        logit = deep(features, training=True)
    assert logit.shape == (0, 1)
    for gradient in tape.gradient(logit, deep.mlp.trainable_variables):
        assert not np.any(gradient)
