"""smelu_tf/_layer_parameters.py: fixed and trained parameters, in both Kerases."""

import numpy as np
import pytest
import tensorflow as tf
from activation_layers import X, model_of


def test_trained_parameters_move_and_are_found_again(flavour, tmp_path):
    k, ours = flavour
    layers = {
        "one": ours.SmeLU(0.7, trainable_parameters=True),
        "many": ours.GSmeLU(trainable_parameters=["beta", "t"], shared_axes=[]),
        "wide": ours.RESCU(2.0, "logistic", trainable_parameters=True),
    }
    model = k.Sequential([k.layers.Input((3,)), k.layers.Dense(4), *layers.values()])
    start = {name: layer.parameters() for name, layer in layers.items()}
    np.testing.assert_allclose(start["one"]["beta"], 0.7, rtol=1e-6)
    np.testing.assert_allclose(start["many"]["beta"], np.ones(4), rtol=1e-6)
    model.compile("adam", "mse")
    model.fit(X, np.tile(X[:, :1], 4), epochs=5, verbose=0)
    assert float(layers["one"].beta) != pytest.approx(0.7, rel=1e-5)
    assert np.all(np.abs(layers["many"].parameters()["t"]) > 1e-5)
    assert layers["many"].parameters()["alpha"] == 1.0  # not among the trained
    assert float(layers["wide"].beta) != pytest.approx(2.0, rel=1e-5)
    model.save(str(tmp_path / "model.keras"))
    again = k.models.load_model(str(tmp_path / "model.keras"))
    for layer, loaded in zip(layers.values(), again.layers[1:], strict=True):
        for name, value in layer.parameters().items():
            np.testing.assert_array_equal(loaded.parameters()[name], value)


@pytest.mark.parametrize("raw", [-1e30, -100.0, 0.0, 100.0, 1e30])
def test_no_weight_makes_a_width_invalid(flavour, raw):
    _, ours = flavour
    for layer in (
        ours.SmeLU(trainable_parameters=True),
        ours.GSmeLU(trainable_parameters=["alpha", "beta"]),
        ours.RESCU(density="squareplus", trainable_parameters=True),
    ):
        layer.build((None, 3))
        layer.set_weights([np.float32(raw) for _ in layer.get_weights()])
        x = tf.constant([[-2.0, 0.0, 2.0]])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        assert 1e-3 <= float(layer.parameters()["beta"]) < np.inf
        assert np.all(np.isfinite(y))
        assert np.all(np.isfinite(tape.gradient(y, x)))


def test_shapes_of_trained_parameters(flavour):
    _, ours = flavour
    by_axes = {(): (4, 5, 3), (1, 2): (1, 1, 3), (-1,): (4, 5, 1), 1: (1, 5, 3)}
    for axes, shape in {None: (), **by_axes}.items():
        layer = ours.SmeLU(0.5, trainable_parameters=True, shared_axes=axes)
        layer(tf.zeros([2, 4, 5, 3]))
        assert tuple(layer.weights[0].shape) == shape
    # A list gives each channel its own beginning, trained or fixed.
    for trained in (False, True):
        layer = ours.SmeLU([0.5, 1.0, 2.0], trained, shared_axes=[1, 2])
        got = layer(tf.zeros([2, 4, 5, 3]))
        np.testing.assert_allclose(got[0, 0, 0], [0.125, 0.25, 0.5], rtol=1e-6)


def test_the_regularizer_sees_the_parameter_and_not_its_weight(flavour):
    k, ours = flavour
    layer = ours.SmeLU(2.0, True, regularizer=k.regularizers.L2(0.1))
    layer(tf.constant(X))
    assert float(layer.losses[0]) == pytest.approx(0.1 * 2.0**2, rel=1e-5)
    model = model_of(k, ours.SmeLU(2.0, True, regularizer=k.regularizers.L1(100.0)))
    model.compile(k.optimizers.SGD(1e-3), "mse")
    model.fit(X, X[:, :1], epochs=3, verbose=0)
    assert float(model.layers[1].beta) < 1.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: o.SmeLU(tf.constant(1.0)), "expected a number or a list of numbers"),
        (lambda o: o.SmeLU(0.0, True), "beta: expected more than 0.001 where it is"),
        (
            lambda o: o.GSmeLU(-0.5, trainable_parameters="alpha"),
            "alpha: expected more",
        ),
        (lambda o: o.GSmeLU(0.5, -1.0), r"alpha \+ beta: expected 0 or more"),
        (
            lambda o: o.GSmeLU(trainable_parameters="gamma"),
            "among alpha, beta, .*'gamma'",
        ),
        (lambda o: o.RESCU(density="box"), "density: expected one of uniform"),
        (
            lambda o: o.GSmeLU(1.0, -0.5, trainable_parameters="alpha"),
            "beta: expected 0 or more where alpha is trained, received -0.5",
        ),
        (lambda o: o.SmeLU([], True), "beta: expected a finite number"),
        (lambda o: o.SmeLU(1.0, None), "expected True, False or names .*received None"),
        (lambda o: o.SmeLU(1.0, True, "a"), "shared_axes: expected None or whole num"),
        (lambda o: o.SmeLU(1.0, True, [1.5]), "shared_axes: .*received .1.5."),
        (
            lambda o: o.SmeLU(1.0, True, shared_axes=[0])(X),
            r"shared_axes: expected different axes from 1 to 1 of inputs of shape "
            r"\(32, 3\), received \[0\]",
        ),
        (
            lambda o: o.SmeLU(1.0, True, shared_axes=[2])(X),
            "shared_axes: expected diff",
        ),
        (
            lambda o: o.SmeLU(1.0, True, shared_axes=[]).build((None, None, 3)),
            "shared_axes: expected all axes whose size is not known",
        ),
        (
            lambda o: o.SmeLU([1.0, 2.0], True, shared_axes=[])(X),
            r"beta: expected a shape that broadcasts to the parameter's, \(3,\), "
            r"received \(2,\)",
        ),
    ],
)
def test_what_layers_do_not_take_is_refused(flavour, make, message):
    with pytest.raises(ValueError, match=message):
        make(flavour[1])


def test_a_name_that_is_given_twice_is_one_parameter(flavour, tmp_path):
    k, ours = flavour
    layer = ours.GSmeLU(trainable_parameters=["beta", "t", "beta"], regularizer="l2")
    model = k.Sequential([k.layers.Input((3,)), layer])
    assert layer.trainable_parameters == ["t", "beta"]
    assert len(layer.weights) == len(layer.losses) == 2
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)
    model.save(str(tmp_path / "model.h5"))  # Keras 3 could not write two of a name
    again = k.models.load_model(str(tmp_path / "model.h5"), compile=False)
    for name, value in layer.parameters().items():
        np.testing.assert_array_equal(again.layers[-1].parameters()[name], value)
