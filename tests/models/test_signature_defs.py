"""models/signature_defs.py: methods and defaults in a saved proto."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from smelu_tf.models.signature_defs import finish_signatures


def saved(path, *names):
    """A SavedModel whose signatures, of these names, double `x-1`."""
    module = tf.Module()
    spec = tf.TensorSpec([None], tf.float32, name="x-1")

    def doubled(values):
        return {"y": 2 * values["x-1"]}

    module.functions = {
        name: tf.function(doubled, input_signature=[{"x-1": spec}]) for name in names
    }
    tf.saved_model.save(module, str(path), signatures=module.functions)
    return path


def test_any_name_of_a_column_may_have_a_default(tmp_path):
    version = saved(tmp_path / "1", "serving_default", "regress", "classify")
    finish_signatures(version, {"serving_default": {"x-1": tf.constant([0.5])}})
    text = (version / "saved_model.pb").read_bytes()
    proto = saved_model_pb2.SavedModel.FromString(text)
    signatures = proto.meta_graphs[0].signature_def
    (default,) = signatures["serving_default"].defaults.values()
    np.testing.assert_array_equal(tf.make_ndarray(default), np.float32([0.5]))
    assert not signatures["regress"].defaults
    assert signatures["serving_default"].method_name == "tensorflow/serving/predict"
    assert signatures["classify"].method_name == "tensorflow/serving/classify"
    # It loads as before.
    for signature in tf.saved_model.load(str(version)).signatures.values():
        result = signature(**{"x-1": tf.constant([1.0, 2.0])})["y"]
        np.testing.assert_array_equal(result, [2.0, 4.0])


def test_a_signature_that_is_not_there_is_named(tmp_path):
    version = saved(tmp_path / "1", "serving_default", "regress", "classify")
    before = (version / "saved_model.pb").read_bytes()
    with pytest.raises(KeyError, match="expected a signature predict, received none"):
        finish_signatures(version, {"predict": {}})
    assert (version / "saved_model.pb").read_bytes() == before
