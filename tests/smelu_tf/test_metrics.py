"""smelu_tf.metrics.PredictionDifference in both Kerases, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from python_code import run_code

import smelu_tf
from smelu_tf import DifferenceKind, keras_metrics, tf_keras_metrics
from smelu_tf.difference_counts import PredictionDifferenceCounts
from smelu_tf.difference_kinds import KINDS

FLAVOURS = {
    "keras": (keras, keras_metrics.PredictionDifference),
    "tf_keras": (tf_keras, tf_keras_metrics.PredictionDifference),
}


@pytest.fixture(params=FLAVOURS)
def flavour(request):
    return FLAVOURS[request.param]


def sample(num_examples=60, num_models=3, num_labels=None, seed=0):
    """Predictions, batch first, and weights."""
    random = np.random.default_rng(seed)
    labels = () if num_labels is None else (num_labels,)
    p = random.random((num_examples, num_models, *labels))
    return p, random.choice([0.0, 0.5, 3.0], num_examples)


def expected_of(p, w=None, kind="relative"):
    return PredictionDifferenceCounts.of(np.swapaxes(p, 0, 1), w, kind).result()


def update_of(metric, **options):
    """The update as a traced function of predictions and weights, without a value."""

    @tf.function(**options)
    def update(p, w):
        metric.update_state(tf.zeros_like(w), p, w)

    return update


def test_metrics_is_of_the_keras_that_tensorflow_has_loaded():
    assert smelu_tf.metrics.PredictionDifference is FLAVOURS["tf_keras"][1]


@pytest.mark.parametrize("num_labels", [None, 1, 4])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_the_result_is_numpy_s(flavour, name, from_logits, num_labels):
    p, w = sample(num_labels=num_labels)
    p = 4 * p - 2 if from_logits else p
    metric = flavour[1](3, name, from_logits)
    metric.update_state(None, p, w)
    expected = expected_of(p, w, DifferenceKind(name, from_logits))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-12)


def test_a_threshold_is_heeded(flavour):
    p, w = sample()
    metric = flavour[1](3, "hamming", threshold=0.9)
    metric.update_state(None, p, w)
    expected = expected_of(p, w, DifferenceKind("hamming", threshold=0.9))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-12)


def test_float32_predictions_are_compared_in_float64(flavour):
    p = sample()[0].astype(np.float32)
    metric = flavour[1](3)
    metric.update_state(None, tf.constant(p))
    assert float(metric.result()) == pytest.approx(expected_of(p), rel=1e-12)
    assert {tf.as_dtype(v.dtype) for v in metric.variables} == {tf.float64}


def test_float32_sums_are_nearly_the_same(flavour):
    p, w = sample()
    for name in KINDS:
        metric = flavour[1](3, name, dtype="float32")
        update_of(metric)(tf.constant(p), tf.constant(w))
        assert {tf.as_dtype(v.dtype) for v in metric.variables} == {tf.float32}
        expected = expected_of(p, w, name)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5), name


def test_counts_beyond_float32_stay_exact(flavour):
    metric = flavour[1](2)
    metric.totals.assign([2.0**24, 2.0**24])
    metric.update_state(None, [[0.1, 0.1]])
    assert metric.counts().num_examples == 2**24 + 1


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_batches_in_a_traced_function_add_up(flavour, shape):
    p, w = sample(100)
    metric = flavour[1](3)
    add = update_of(metric, reduce_retracing=True)
    for rows in np.split(np.arange(100), [1, 8, 60]):
        add(tf.constant(p[rows]), tf.constant(w[rows].reshape(shape)))
    assert float(metric.result()) == pytest.approx(expected_of(p, w), rel=1e-12)
    traced = tf.function(metric.result)()
    assert float(traced) == pytest.approx(expected_of(p, w), rel=1e-12)


def test_it_compiles_with_xla(flavour):
    p, w = sample()
    for name in KINDS:
        metric = flavour[1](3, name)
        update_of(metric, jit_compile=True)(tf.constant(p), tf.constant(w))
        expected = expected_of(p, w, name)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-9), name


@settings(deadline=None, max_examples=8)
@given(
    st.sampled_from(sorted(FLAVOURS)),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
    st.randoms(),
)
def test_merged_states_are_the_whole_in_any_order(k, sizes, shuffle):
    p, w = sample(sum(sizes))
    parts = []
    for rows in np.split(np.arange(len(p)), np.cumsum(sizes)[:-1]):
        parts.append(FLAVOURS[k][1](3))
        parts[-1].update_state(None, p[rows], w[rows])
    shuffle.shuffle(parts)
    merged = FLAVOURS[k][1](3)
    merged.merge_state(parts)
    expected = expected_of(p, w)
    got = float(merged.result())
    assert got == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert merged.counts().num_examples == len(p)


def test_equal_models_have_exactly_0_and_no_examples_nan(flavour):
    metric = flavour[1](3)
    assert np.isnan(float(metric.result()))
    metric.update_state(None, np.repeat(sample()[0][:, :1], 3, axis=1))
    assert float(metric.result()) == 0
    metric.reset_state()
    assert np.isnan(float(metric.result()))


def test_counts_are_those_of_numpy(flavour):
    p, w = sample()
    metric = flavour[1](3, "absolute")
    metric.update_state(None, p, w)
    counts = metric.counts()
    expected = PredictionDifferenceCounts.of(p.T, w, "absolute")
    np.testing.assert_allclose(counts.pair_sums, expected.pair_sums, rtol=1e-12)
    assert counts.to_dict()["kind"] == expected.to_dict()["kind"]
    assert (counts.weight, counts.num_examples) == (expected.weight, 60)
    metric.reset_state()
    assert counts.num_examples == 60


def test_config_round_trip(flavour):
    k, cls = flavour
    metric = cls(4, "hamming", True, 0.02, name="pd", dtype="float32")
    again = cls.from_config(metric.get_config())
    assert again.get_config() == metric.get_config()
    assert (again.name, again.num_models) == ("pd", 4)
    saved = k.saving.serialize_keras_object(metric)
    assert "smelu_tf" in str(saved)
    loaded = k.saving.deserialize_keras_object(saved)
    assert type(loaded) is cls
    assert loaded.get_config() == metric.get_config()


def model_of(flavour, jit_compile):
    """A model whose outputs side by side are those of two models."""
    k, cls = flavour
    k.utils.set_random_seed(0)
    x = k.layers.Input((3,))
    heads = [k.layers.Dense(1, activation="sigmoid")(x) for _ in range(2)]
    model = k.Model(x, k.layers.Concatenate()(heads))
    model.compile(
        k.optimizers.SGD(0.1),
        "mse",
        metrics=[cls(2)],
        weighted_metrics=[cls(2, "logit", name="weighted")],
        jit_compile=jit_compile,
    )
    return model


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_it_works_in_fit_and_evaluate_of_a_compiled_model(flavour, jit_compile):
    random = np.random.default_rng(0)
    x, w = random.normal(size=(50, 3)), random.random(50)
    y = np.zeros((50, 2))
    model = model_of(flavour, jit_compile)
    got = model.evaluate(x, y, 16, 0, sample_weight=w, return_dict=True)
    p = model.predict(x, verbose=0)
    assert got["prediction_difference"] == pytest.approx(expected_of(p), rel=1e-5)
    assert got["weighted"] == pytest.approx(expected_of(p, w, "logit"), rel=1e-4)
    history = model.fit(x, y, 16, epochs=2, verbose=0, validation_data=(x, y)).history
    assert len(history["val_prediction_difference"]) == 2
    p = model.predict(x, verbose=0)
    last = history["val_prediction_difference"][-1]
    assert last == pytest.approx(expected_of(p), rel=1e-5)


def test_a_saved_model_is_loaded_with_its_metric(flavour, tmp_path):
    k, cls = flavour
    model = model_of(flavour, False)
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.zeros((20, 2))
    before = model.evaluate(x, y, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    loaded = k.models.load_model(tmp_path / "model.keras")
    after = loaded.evaluate(x, y, verbose=0, return_dict=True)
    assert after == pytest.approx(before, rel=1e-6)


@pytest.mark.slow
def test_replicas_of_a_mirrored_strategy_count_together():
    code = """
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import smelu_tf
random = np.random.default_rng(0)
p, w = random.random((64, 3)), random.random(64)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    metric = smelu_tf.metrics.PredictionDifference(3)
rows = tf.data.Dataset.from_tensor_slices((p, w)).batch(16)

@tf.function
def add(p, w):
    strategy.run(metric.update_state, args=(None, p, w))

for batch in strategy.experimental_distribute_dataset(rows):
    add(*batch)
expected = smelu_tf.PredictionDifferenceCounts.of(p.T, w)
np.testing.assert_allclose(metric.result(), expected.result(), rtol=1e-12)
np.testing.assert_allclose(
    metric.counts().pair_sums, expected.pair_sums, rtol=1e-12
)
assert metric.counts().num_examples == 64
metric.reset_state()
assert metric.counts().num_examples == 0
"""
    returncode, output = run_code(code, TF_USE_LEGACY_KERAS="1")
    assert returncode == 0, output


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 4), (5, 3, 2, 2)])
def test_predictions_of_another_shape_are_refused(flavour, shape):
    metric = flavour[1](3)
    with pytest.raises(ValueError, match=r"y_pred: expected shape \(batch, 3"):
        metric.update_state(None, np.ones(shape))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(num_models=1), "num_models: expected 2 or more, received 1"),
        (dict(num_models=2, kind="no"), "kind: expected one of relative"),
        (dict(num_models=2, threshold=0.5), "threshold: expected None"),
        (
            dict(num_models=2, dtype="float16"),
            "dtype: expected one of float64, float32",
        ),
    ],
)
def test_a_metric_that_is_none_is_refused(flavour, arguments, message):
    with pytest.raises(ValueError, match=message):
        flavour[1](**arguments)


def test_states_of_another_kind_are_not_merged(flavour):
    _, cls = flavour
    for other in (cls(2), cls(3, "logit"), cls(3, from_logits=True)):
        with pytest.raises(ValueError, match="metrics: expected those of 3 models"):
            cls(3).merge_state([other])
