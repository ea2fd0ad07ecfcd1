"""models/onnx_export.py: an ONNX file scores as the SavedModel that it is made of."""

import sys

import numpy as np
import pytest
import tensorflow as tf
from served_models import (
    SCHEMAS,
    SHAPES,
    check_file,
    film_features,
    random_features,
    random_model,
)

from smelu_tf.models.onnx_export import export_onnx, load_onnx


def test_a_file_scores_as_the_saved_model(tmp_path):
    schema, features = film_features()
    model = random_model(schema, **SHAPES["crosses"])
    path = check_file("onnx", model, features, tmp_path)
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    assert [each.name for each in session.get_outputs()] == ["logit", "probability"]
    assert {each.name for each in session.get_inputs()} == {"genres", "ids", "numeric"}
    arrays = {name: value.numpy() for name, value in features.items()}
    logit, probability = session.run(None, arrays)
    expected = 1 / (1 + np.exp(-logit.astype(np.float64)))
    np.testing.assert_allclose(probability, expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape, tmp_path):
    schema, features = film_features()
    check_file("onnx", random_model(schema, **SHAPES[shape]), features, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEMAS)
def test_every_kind_of_schema(name, tmp_path):
    make, settings = SCHEMAS[name]
    schema = make()
    check_file(
        "onnx", random_model(schema, **settings), random_features(schema, 200), tmp_path
    )


def test_an_operation_that_onnx_lacks_is_refused_and_nothing_written(tmp_path):
    schema, _ = film_features()
    model = random_model(schema, activation=tf.math.bessel_i0e)
    message = "expected operations that ONNX has, received others: .*BesselI0e"
    with pytest.raises(ValueError, match=message):
        export_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    for content in (None, b"no model"):
        if content:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path}: expected an ONNX file, receiv"):
            load_onnx(path)


@pytest.mark.parametrize(
    ("package", "function"),
    [("tf2onnx", lambda path: export_onnx(path, path)), ("onnxruntime", load_onnx)],
)
def test_without_a_package_the_command_is_named(
    package, function, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"the package {package} .*pip install 'smelu-tf\[onnx\]'"
    with pytest.raises(ImportError, match=message):
        function(tmp_path / "model.onnx")
