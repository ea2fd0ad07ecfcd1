"""The requests of docs/serving.md are such as the signatures take."""

import json
import re
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from smelu_tf.models import WideDeep, WideDeepConfig, export_saved_model
from smelu_tf.models.warmup import missing_values
from smelu_tf.pipelines import CRITEO, open_rows

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")


@pytest.fixture(scope="module")
def version(criteo_dir, tmp_path_factory):
    schema = open_rows(criteo_dir / "day_0.tsv").complete(CRITEO)
    model = WideDeep(schema, WideDeepConfig(embedding_dim=2, hidden_units=(4,)))
    return export_saved_model(model, tmp_path_factory.mktemp("export"))


def signature_def(version, name):
    text = (version / "saved_model.pb").read_bytes()
    saved_model = saved_model_pb2.SavedModel.FromString(text)
    return saved_model.meta_graphs[0].signature_def[name]


def test_examples_of_the_rest_api_are_ones_that_the_signature_reads(version):
    """As the server makes Examples of JSON: whole numbers are int64, text is bytes."""
    from tensorflow_serving.apis import regression_pb2

    (text,) = re.findall(r"curl -d '(\{.*\})'", PAGE)
    request = regression_pb2.RegressionRequest()
    for values in json.loads(text)["examples"]:
        example = request.input.example_list.examples.add()
        for name, value in values.items():
            feature = example.features.feature[name]
            if isinstance(value, str):
                feature.bytes_list.value.append(value.encode())
            else:
                feature.int64_list.value.append(value)
    signature = signature_def(version, "regress")
    assert signature.method_name == "tensorflow/serving/regress"
    assert list(signature.inputs) == ["inputs"]
    assert list(signature.outputs) == ["outputs"]
    rows = [e.SerializeToString() for e in request.input.example_list.examples]
    loaded = tf.saved_model.load(str(version))
    outputs = loaded.signatures["regress"](inputs=tf.constant(rows))["outputs"]
    raw = missing_values(CRITEO, 2)
    raw["I1"] = tf.constant([3.0, float("nan")], tf.float64)
    raw["I2"] = tf.constant([float("nan"), 5.0], tf.float64)
    raw["C1"] = tf.constant(["68fd1e64", ""])
    expected = loaded.signatures["serving_default"](**raw)["probability"]
    assert outputs.numpy().tolist() == expected.numpy().tolist()


def test_columns_of_the_rest_api_with_the_defaults_are_a_whole_request(version):
    (text,) = re.findall(r"```json\n(.*)\n```", PAGE)
    columns = json.loads(text)["inputs"]
    signature = signature_def(version, "serving_default")
    assert set(columns) <= set(signature.inputs)
    inputs = {
        name: tf.constant(tf.make_ndarray(value))
        for name, value in signature.defaults.items()
    }
    for name, values in columns.items():
        inputs[name] = tf.constant(values, tf.as_dtype(signature.inputs[name].dtype))
    loaded = tf.saved_model.load(str(version))
    scores = loaded.signatures["serving_default"](**inputs)
    assert scores["probability"].shape == (2,)
    whole = {name: tf.repeat(v, 2)[:2] for name, v in inputs.items()} | {
        name: inputs[name] for name in columns
    }
    expected = loaded.signatures["serving_default"](**whole)["logit"]
    assert scores["logit"].numpy().tolist() == expected.numpy().tolist()


def test_the_batching_parameters_are_ones_that_the_server_knows():
    blocks = re.findall(r"```\n(max_batch_size.*?)```", PAGE, re.DOTALL)
    names = re.findall(r"^(\w+) \{ value: \d+ \}$", blocks[0], re.MULTILINE)
    assert names == [
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
    ]
