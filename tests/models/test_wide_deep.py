"""models/wide_deep.py: the two parts, and the model as an ordinary Keras model."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.models import WideDeep, WideDeepConfig
from smelu_tf.models.wide import Wide
from smelu_tf.pipelines import (
    Categorical,
    Numeric,
    Schema,
    complete_schema,
    raw_columns,
)

SCHEMA = Schema(
    name="ads",
    numeric=(Numeric("age", binned=True), Numeric("price", "float64", "none")),
    categorical=(
        Categorical("site", buckets=20),
        Categorical("kind", vocabulary=("a", "b", "c")),
    ),
)
SMALL = WideDeepConfig(embedding_dim=3, hidden_units=(8, 4), crosses=("site*kind",))


def data(n=256, seed=0):
    random = np.random.default_rng(seed)
    raw = {
        "age": random.integers(0, 90, n).astype(object),
        "price": random.normal(size=n),
        "site": random.choice(["s1", "s2", "s3"], n).astype(object),
        "kind": random.choice(["a", "b", "zzz"], n).astype(object),
    }
    raw["age"][::7] = None
    raw["site"][::5] = None
    label = ((raw["price"] > 0) ^ (raw["kind"] == "a")).astype(np.float32)
    return raw, label


def some_features(model, n=10):
    raw, _ = data(n)
    return model.transform(raw_columns(raw, SCHEMA))


def randomise(model):
    random = np.random.default_rng(0)
    weights = [random.normal(0, 0.3, w.shape) for w in model.get_weights()]
    model.set_weights(weights)


def _ref_logit(model, features):
    """The formulas of the docstrings in NumPy, float64."""
    weight = {v.name: v.numpy().astype(np.float64) for v in model.variables}

    def named(end):
        (value,) = [v for name, v in weight.items() if name.endswith(end + ":0")]
        return value

    numeric = features["numeric"].numpy().astype(np.float64)
    ids = features["ids"].numpy().astype(np.int64)
    offsets = np.cumsum([0, *SCHEMA.num_ids])
    wide = numeric @ named("wide/numeric/kernel") + named("wide/bias")
    table = named("wide/ids/table")
    wide = wide + sum(table[offsets[c] + ids[:, c]] for c in range(ids.shape[1]))
    crosses = named("wide/crosses/table")
    wide = wide + crosses[ids[:, 0] * SCHEMA.num_ids[1] + ids[:, 1]]
    table = named("deep/embeddings/table")
    rows = [table[offsets[c] + ids[:, c]] for c in range(ids.shape[1])]
    x = np.concatenate([numeric / 4, *rows], axis=1)
    for i in range(2):
        x = x @ named(f"hidden_{i}/kernel") + named(f"hidden_{i}/bias")
        x = np.where(x < -1, 0, np.where(x > 1, x, (x + 1) ** 2 / 4))
    return wide + x @ named("deep/logit/kernel") + named("deep/logit/bias")


def test_the_logit_is_the_formula_s():
    model = WideDeep(SCHEMA, SMALL)
    randomise(model)
    features = some_features(model)
    got = model(features).numpy()
    assert got.shape == (10, 1)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, _ref_logit(model, features), rtol=1e-5, atol=1e-5)


def test_either_part_can_stand_alone():
    both = WideDeep(SCHEMA, SMALL)
    wide = WideDeep(SCHEMA, dataclasses.replace(SMALL, deep=False))
    deep = WideDeep(SCHEMA, dataclasses.replace(SMALL, wide=False))
    assert len(both.variables) == len(wide.variables) + len(deep.variables)
    randomise(both)
    wide.set_weights(both.wide.get_weights())
    deep.set_weights(both.deep.get_weights())
    features = some_features(both)
    total = wide(features) + deep(features)
    np.testing.assert_allclose(both(features), total, rtol=1e-6, atol=1e-6)


def test_crosses_that_do_not_fit_are_folded():
    wide = Wide(SCHEMA, [("site", "kind"), ("site", "kind", "age_bin")], 30)
    ids = tf.constant([[19, 4, 70], [3, 2, 0]])
    first, second = (cross.numpy().ravel() for cross in wide._cross_ids(ids))
    assert first.tolist() == [(19 * 5 + 4) % 30, (3 * 5 + 2) % 30]
    bins = SCHEMA.num_ids[2]
    expected = [((19 * 5 + 4) * bins + 70) % 30, ((3 * 5 + 2) * bins) % 30]
    assert second.tolist() == expected


def test_seeds_decide_the_initial_weights_alone():
    first, again, other = (WideDeep(SCHEMA, SMALL, seed) for seed in (0, 0, 1))
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    pairs = zip(first.deep.weights, other.deep.weights, strict=True)
    same = [a.name for a, b in pairs if np.array_equal(a, b)]
    assert all("/bias" in name for name in same)


@pytest.mark.parametrize(
    "kind", [pytest.param("dict", marks=pytest.mark.slow), "frame"]
)
def test_it_fits_evaluates_and_predicts_raw_columns(kind):
    raw, label = data(1024)
    if kind == "frame":
        raw = pytest.importorskip("pandas").DataFrame(raw)
    model = WideDeep(SCHEMA, SMALL)
    model.compile()
    before = model.evaluate(raw, label, verbose=0, return_dict=True)
    history = model.fit(
        raw, label, epochs=20, verbose=0, validation_data=(raw, label), batch_size=32
    )
    after = model.evaluate(raw, label, verbose=0, return_dict=True)
    assert after["log_loss"] < 0.7 * before["log_loss"]
    assert history.history["val_log_loss"][-1] == pytest.approx(after["log_loss"])
    logits = model.predict(raw, verbose=0)
    assert logits.shape == (1024, 1)
    np.testing.assert_array_equal(logits, model.predict(dict(raw), verbose=0))


def test_keras_s_own_optimizers_and_metrics_work_too():
    raw, label = data(128)
    model = WideDeep(SCHEMA, SMALL)
    model.compile("sgd", metrics=["accuracy"])
    history = model.fit(raw, label, verbose=0)
    assert set(history.history) == {"loss", "accuracy"}


def test_example_weights_count():
    raw, label = data(128)
    model = WideDeep(SCHEMA, SMALL)
    model.compile()
    weight = np.arange(128, dtype=np.float32)
    got = model.evaluate(raw, label, sample_weight=weight, verbose=0, return_dict=True)
    assert got["weight"] == weight.sum()


@pytest.mark.parametrize("activation", ["relu", "smelu:0.5", "swish", "layer", "call"])
def test_activations_by_name_function_or_layer(activation):
    given = {
        "layer": tf_keras.layers.PReLU(),
        "call": lambda x: smelu_tf.smelu(x, 0.25),
    }.get(activation, activation)
    raw, label = data(64)
    model = WideDeep(SCHEMA, dataclasses.replace(SMALL, activation=given))
    model.compile()
    model.fit(raw, label, verbose=0)
    # A layer's weights belong to one hidden layer each.
    slopes = [v for v in model.trainable_variables if "alpha" in v.name]
    assert [v.shape for v in slopes] == ([(8,), (4,)] if activation == "layer" else [])


def test_the_model_survives_keras_s_own_format(tmp_path):
    raw, label = data(64)
    model = WideDeep(SCHEMA, SMALL)
    model.compile()
    model.fit(raw, label, verbose=0)
    model.save(tmp_path / "model.keras")
    again = tf_keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        model.predict(raw, verbose=0), again.predict(raw, verbose=0)
    )


@pytest.mark.parametrize("cross", ["site", "site*nothing", "*", "site*site"])
def test_a_cross_of_unknown_columns_is_refused(cross):
    with pytest.raises(ValueError, match=r"model\.crosses: expected distinct id colu"):
        WideDeep(SCHEMA, dataclasses.replace(SMALL, crosses=(cross,)))


def test_columns_of_one_kind_alone():
    raw, label = data(64)
    for schema in (
        dataclasses.replace(SCHEMA, numeric=()),
        dataclasses.replace(SCHEMA, categorical=(), numeric=SCHEMA.numeric[1:]),
    ):
        model = WideDeep(schema, dataclasses.replace(SMALL, crosses=()))
        model.compile()
        model.fit(raw, label, verbose=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wide": False, "deep": False}, "model.wide or model.deep"),
        ({"embedding_dim": 0}, "model.embedding_dim: expected an integer of 1"),
        ({"cross_buckets": 0}, "model.cross_buckets: expected an integer of 1"),
        ({"hidden_units": ()}, "model.hidden_units: expected positive integers"),
        ({"crosses": "site*kind"}, "model.crosses: expected a tuple of texts"),
    ],
)
def test_an_impossible_shape_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        WideDeep(SCHEMA, dataclasses.replace(SMALL, **change))


def test_labels_that_are_no_probabilities_are_refused():
    raw, label = data()
    model = WideDeep(SCHEMA, SMALL)
    model.compile()
    for wrong in (2 * label - 1, np.full_like(label, np.nan)):
        with pytest.raises(ValueError, match="labels: expected values from 0 to 1"):
            model.fit(raw, wrong, verbose=0)


def test_a_vocabulary_is_counted_on_a_frame():
    raw, label = data(128)
    schema = dataclasses.replace(
        SCHEMA, categorical=(Categorical("kind", min_count=2),)
    )
    counted = complete_schema(schema, raw)
    assert set(counted.categorical[0].vocabulary) == {"a", "b", "zzz"}
    model = WideDeep(counted, dataclasses.replace(SMALL, crosses=()))
    model.compile()
    model.fit(raw, label, verbose=0)


def test_scores_are_the_logits_of_scoring_one_a_row():
    model = WideDeep(SCHEMA, dataclasses.replace(SMALL, dropout=0.5))
    features = some_features(model)
    model.scores(features)
    randomise(model)
    scores = model.scores(features)
    assert scores.shape == (10,) and scores.dtype == tf.float32
    expected = _ref_logit(model, features)[:, 0]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
