"""models/mlp.py: layers, normalised, activated, with dropout."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.models.mlp import MLP

X = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)


def _ref_smelu(x, beta):
    return np.where(x < -beta, 0, np.where(x > beta, x, (x + beta) ** 2 / (4 * beta)))


def _ref_norm(x):
    mean = x.mean(axis=1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


def randomise(layer):
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(0, 0.5, w.shape) for w in layer.get_weights()])


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_the_output_is_the_formula_s(normalization, dtype):
    mlp = MLP((8, 4), ("smelu:0.5", "relu"), normalization=normalization, dtype=dtype)
    parts = [X[:, :3], X[:, 3:]]
    mlp(parts)
    randomise(mlp)
    x = X.astype(np.float64)
    for i, function in enumerate((lambda x: _ref_smelu(x, 0.5), lambda x: x.clip(0))):
        x = x @ mlp.hidden[i].kernel.numpy()
        if normalization == "layer":
            x = _ref_norm(x) * mlp.norms[i].gamma.numpy() + mlp.norms[i].beta.numpy()
        else:
            x = x + mlp.hidden[i].bias.numpy()
        x = function(x)
    got = mlp(parts)
    assert got.dtype == mlp.compute_dtype
    tolerance = 1e-4 if dtype == "float32" else 0.15
    np.testing.assert_allclose(tf.cast(got, tf.float32), x, atol=tolerance)


def test_normalisation_is_float32_under_mixed_precision():
    mlp = MLP((4,), ("relu",), normalization="layer", dtype="mixed_bfloat16")
    x = tf.cast(X[:2], tf.bfloat16)
    assert mlp.norms[0](mlp.hidden[0](x)).dtype == tf.float32
    assert mlp(x).dtype == tf.bfloat16
    assert {w.dtype for w in mlp.weights} == {tf.float32}


def test_gradients_match_finite_differences():
    mlp = MLP((6, 3), ("smelu:1", "tanh"), normalization="layer", dtype="float64")
    x = X[:4].astype(np.float64)

    def loss():
        return tf.reduce_sum(tf.sin(mlp(x)))

    with tf.GradientTape() as tape:
        value = loss()
    kernel = mlp.hidden[0].kernel
    gradient = tape.gradient(value, kernel).numpy()
    step = np.zeros(kernel.shape)
    step[2, 3] = 1e-6
    before = kernel.numpy()
    kernel.assign(before + step)
    above = loss()
    kernel.assign(before - step)
    slope = float(above - loss()) / 2e-6
    assert gradient[2, 3] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("rank", [0, 2])
def test_he_keeps_the_size_of_the_signal_behind_relu(rank):
    x = np.random.default_rng(0).normal(size=(400, 256)).astype(np.float32)
    mlp = MLP((256,) * 4, ("relu",) * 4, rank=64 if rank else 0)
    ratio = np.mean(np.square(mlp(x))) / np.mean(np.square(np.maximum(x, 0)))
    assert 0.4 < ratio < 3


def test_signal_preserving_kernels_know_the_activation_before_them():
    mlp = MLP(
        (300, 300), ("smelu:0.5", "relu"), initializer="signal_preserving", seed=3
    )
    mlp(tf.ones([1, 400]))
    for dense, before in zip(mlp.hidden, ("linear", "smelu:0.5"), strict=True):
        kernel = dense.kernel.numpy()
        np.testing.assert_allclose(kernel.sum(axis=0), 0, atol=1e-4)
        gain = smelu_tf.initializers.gain(before)
        assert kernel.std() * len(kernel) ** 0.5 == pytest.approx(gain, rel=0.02)


@pytest.mark.parametrize("initializer", ["he", "signal_preserving"])
def test_one_seed_decides_all_weights(initializer):
    def weights(seed):
        mlp = MLP((8, 8), ("relu",) * 2, rank=2, initializer=initializer, seed=seed)
        mlp(X)
        return [w for w in mlp.get_weights() if w.ndim == 2]

    for same, again, other in zip(weights(0), weights(0), weights(1), strict=True):
        np.testing.assert_array_equal(same, again)
        assert np.all(same != other)
    kernels = [kernel.ravel()[:10] for kernel in weights(0)]
    assert len({float(kernel[0]) for kernel in kernels}) == len(kernels) == 4


def test_dropout_acts_in_training_alone_and_follows_from_the_seed():
    first, again, other = (
        MLP((200,), ("relu",), dropout=0.4, seed=seed) for seed in (0, 0, 1)
    )
    whole = first(X).numpy()
    for mlp in (again, other):
        mlp(X)
        mlp.set_weights(first.get_weights())
    one, two, three = (mlp(X, training=True).numpy() for mlp in (first, again, other))
    np.testing.assert_array_equal(one, two)
    assert np.any(one != three)
    is_kept = one != 0
    np.testing.assert_allclose(one[is_kept], whole[is_kept] / 0.6, rtol=1e-5)
    assert np.mean(is_kept[whole > 0]) == pytest.approx(0.6, abs=0.02)
    np.testing.assert_array_equal(first(X), whole)


def test_a_bottleneck_has_fewer_weights():
    mlp = MLP((64, 8), ("relu",) * 2, rank=4)
    mlp(X)
    shapes = [tuple(w.shape) for w in mlp.weights if len(w.shape) == 2]
    assert shapes == [(10, 4), (4, 64), (64, 4), (4, 8)]


def test_a_layer_as_activation_has_weights_for_each_hidden_layer():
    mlp = MLP((8, 4), (tf_keras.layers.PReLU(),) * 2, name="mlp")
    mlp(X)
    names = [w.name for w in mlp.trainable_variables if "alpha" in w.name]
    assert names == [f"mlp/activation_{i}/alpha:0" for i in range(2)]


@pytest.mark.parametrize(
    "activations",
    [
        ("smelu:0.5", "swish"),
        (tf_keras.layers.PReLU(), tf.nn.relu),
        (smelu_tf.get("smelu:2"), smelu_tf.SmeLU(0.5)),
    ],
)
def test_config_round_trip(activations):
    mlp = MLP((8, 4), activations, rank=2, normalization="layer", dropout=0.1, seed=4)
    again = MLP.from_config(mlp.get_config())
    y = mlp(X)
    np.testing.assert_array_equal(again(X), y)
    without = [{**each.get_config(), "activations": None} for each in (mlp, again)]
    assert without[0] == without[1]


def test_its_state_is_checkpointed(tmp_path):
    mlp, again = (MLP((4,), (smelu_tf.SmeLU(0.5),), dropout=0.5) for _ in range(2))
    mlp(X, training=True)
    again(X)
    path = tf.train.Checkpoint(mlp=mlp).save(tmp_path / "checkpoint")
    tf.train.Checkpoint(mlp=again).restore(path).assert_consumed()
    np.testing.assert_array_equal(again(X, training=True), mlp(X, training=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activations": ("relu",)}, "activations: expected one for each of 2 layers"),
        ({"activations": ("relu", "what")}, "activation: expected one of"),
        ({"normalization": "batch"}, "normalization: expected one of none, layer"),
        ({"initializer": "she"}, "initializer: expected one of he, signal_preserving"),
        ({"dropout": 1.0}, "rate: expected 0 <= rate < 1"),
        (
            {"activations": (tf.nn.relu, "relu"), "initializer": "signal_preserving"},
            "activations: expected names with initializer=signal_preserving",
        ),
    ],
)
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLP((8, 4), **{"activations": ("relu", "relu"), **arguments})


def test_parameters_of_named_activations_are_trained_one_a_layer():
    mlp = MLP(
        (8, 4),
        ("smelu:0.5", "rescu:2:normal"),
        trainable_parameters=("beta",),
        name="mlp",
    )
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(mlp(X) ** 2)
    raw = [w for w in mlp.trainable_weights if "raw_beta" in w.name]
    assert [w.name for w in raw] == [f"mlp/activation_{i}/raw_beta:0" for i in range(2)]
    assert all(g is not None and g.numpy() != 0 for g in tape.gradient(total, raw))
    values = [float(function.beta) for function in mlp.functions]
    np.testing.assert_allclose(values, [0.5, 2.0], rtol=1e-6)
    again = MLP.from_config(mlp.get_config())
    again(X)
    again.set_weights(mlp.get_weights())
    np.testing.assert_array_equal(again(X), mlp(X))


def test_fixed_parameters_make_no_weights():
    fixed, trained = (
        MLP((4,), ("smelu:1",), trainable_parameters=names, seed=1)
        for names in ((), ("beta",))
    )
    np.testing.assert_allclose(fixed(X), trained(X), rtol=1e-5, atol=1e-6)
    assert len(trained.weights) == len(fixed.weights) + 1


def test_other_activations_have_no_parameters_to_train():
    with pytest.raises(ValueError, match="expected none for the activation relu"):
        MLP((4,), ("relu",), trainable_parameters=("beta",))
