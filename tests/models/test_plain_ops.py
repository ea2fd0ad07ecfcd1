"""models/plain_ops.py: a model's function without variables and rare operations."""

import math
import shutil

import numpy as np
import pytest
import tensorflow as tf
from served_models import film_features, random_model

from smelu_tf.models import WideDeep, export_saved_model, plain_ops
from smelu_tf.models.plain_ops import plain_function


@pytest.fixture(scope="module")
def films():
    return film_features()


@pytest.fixture(scope="module")
def exported(films, tmp_path_factory):
    """A model and its SavedModel."""
    model = random_model(films[0], activation="gsmelu")
    return model, export_saved_model(model, tmp_path_factory.mktemp("export"))


def operations(function):
    """The types of the operations of a traced function."""
    return {op.type for op in function.get_concrete_function().graph.get_operations()}


def test_it_scores_as_the_model_and_holds_constants_alone(films, exported):
    _, features = films
    expected = exported[0](features, training=False)[:, 0]
    for source in exported:
        function = plain_function(source)
        scores = function(features)
        np.testing.assert_allclose(scores["logit"], expected, rtol=1e-5, atol=1e-6)
        probability = 1 / (1 + np.exp(-expected.numpy().astype(np.float64)))
        np.testing.assert_allclose(scores["probability"], probability, rtol=1e-5)
        types = operations(function)
        assert not {"MulNoNan", "ReadVariableOp", "ResourceGather"} & types
        assert not [name for name in types if "Call" in name]
        assert function.get_concrete_function().captured_inputs == []


def test_half_precision_is_computed_in_float32(films):
    schema, features = films
    model = random_model(schema)
    half = WideDeep(schema, model.config, dtype="mixed_bfloat16")
    half.set_weights(model.get_weights())
    function = plain_function(half)
    dtypes = {
        tensor.dtype
        for op in function.get_concrete_function().graph.get_operations()
        for tensor in op.outputs
    }
    assert tf.bfloat16 not in dtypes
    expected = model(features, training=False)[:, 0]
    np.testing.assert_allclose(function(features)["logit"], expected, atol=1e-5)


def test_erfc_is_that_of_mathematics():
    x = np.concatenate([np.linspace(-6, 9, 4001), [-np.inf, np.inf]]).astype("f")
    expected = np.array([math.erfc(value) for value in x.tolist()])
    got = plain_ops._erfc(tf.constant(x)).numpy()
    np.testing.assert_allclose(got, expected, atol=5e-7)
    near = np.abs(x) < 2
    np.testing.assert_allclose(got[near], expected[near], rtol=1e-6)
    assert np.isnan(plain_ops._erfc(tf.constant([np.nan])).numpy()[0])


def test_log1p_is_exact_for_small_numbers():
    u = np.concatenate([[0.0], np.geomspace(1e-30, 1e6, 2001)]).astype("f")
    expected = np.log1p(u.astype(np.float64))
    got = plain_ops._log1p(tf.constant(u))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_softplus_does_not_overflow():
    x = np.linspace(-80, 200, 2001).astype("f")
    expected = np.logaddexp(0, x.astype(np.float64))
    got = plain_ops._softplus(tf.constant(x))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_product_with_0_is_0():
    x = tf.constant([np.inf, np.nan, 2.0])
    got = plain_ops._multiply_no_nan(x, tf.constant([0.0, 0.0, 3.0]))
    np.testing.assert_array_equal(got, [0, 0, 6])


def test_what_is_no_saved_model_of_ours_is_refused(tmp_path):
    message = f"{tmp_path}: expected a SavedModel of smelu-tf, received none"
    with pytest.raises(ValueError, match=message):
        plain_function(tmp_path)


def test_a_saved_model_without_a_function_of_features_is_refused(exported, tmp_path):
    version = tmp_path / "1"
    tf.saved_model.save(tf.Module(), str(version))
    shutil.copytree(exported[1] / "assets.extra", version / "assets.extra")
    with pytest.raises(ValueError, match="expected a SavedModel that scores features"):
        plain_function(version)


def test_weights_beyond_a_file_s_size_are_refused(exported, monkeypatch):
    monkeypatch.setattr(plain_ops, "MAX_BYTES", 1000)
    for source in exported:
        with pytest.raises(ValueError, match="expected weights of less than 1,000 byt"):
            plain_function(source)
