"""models/warmup.py: what TensorFlow Serving runs before it serves."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.models import WideDeep, WideDeepConfig, export_saved_model
from smelu_tf.models.warmup import write_warmup_requests
from smelu_tf.pipelines import Categorical, MultiValued, Numeric, Schema

SCHEMA = Schema(
    "small",
    numeric=(Numeric("age"),),
    categorical=(Categorical("site", buckets=30),),
    multivalued=(MultiValued("words", buckets=9),),
    delimiter=",",
)


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    pytest.importorskip("tensorflow_serving")
    model = WideDeep(SCHEMA, WideDeepConfig(embedding_dim=2, hidden_units=(4,)))
    return export_saved_model(model, tmp_path_factory.mktemp("export"))


def requests_of(version):
    """The requests of a version's file, each as (signature, inputs)."""
    from tensorflow_serving.apis import prediction_log_pb2

    path = version / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        kind = log.WhichOneof("log_type")
        request = getattr(log, kind).request
        if kind == "predict_log":
            inputs = {name: tf.make_ndarray(t) for name, t in request.inputs.items()}
        else:
            examples = request.input.example_list.examples
            inputs = {"inputs": np.array([e.SerializeToString() for e in examples])}
        yield request.model_spec.signature_name, inputs


def test_every_signature_answers_its_requests(version):
    signatures = tf.saved_model.load(str(version)).signatures
    seen = set()
    for name, inputs in requests_of(version):
        scores = signatures[name](
            **{key: tf.constant(value) for key, value in inputs.items()}
        )
        num_rows = len(next(iter(inputs.values())))
        seen.add((name, num_rows))
        for values in scores.values():
            assert values.shape[0] == num_rows
    assert seen == {(name, size) for name in signatures for size in (1, 64)}


def test_without_the_package_its_command_is_named(version, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"pip install 'smelu-tf\[serving\]'"):
        write_warmup_requests(tmp_path, SCHEMA)
    assert not any(tmp_path.iterdir())
