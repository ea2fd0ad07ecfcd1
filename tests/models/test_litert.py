"""models/litert.py: a LiteRT file scores as the SavedModel that it is made of."""

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

from smelu_tf.models import (
    Scorer,
    TrainConfig,
    compare_versions,
    evaluate,
    export_model_dir,
    train,
)
from smelu_tf.models.litert import export_litert, load_litert
from smelu_tf.pipelines import open_rows, read_text


def operations(path):
    """The names of a file's operations."""
    from ai_edge_litert.interpreter import Interpreter

    found = Interpreter(str(path))._get_ops_details()
    return {each["op_name"] for each in found}


def check(model, features, tmp_path):
    """Compares the file of a model's SavedModel with that SavedModel."""
    path = check_file("litert", model, features, tmp_path)
    assert not [name for name in operations(path) if "Flex" in name]
    return path


def test_a_file_scores_as_the_saved_model_with_built_in_operations(tmp_path):
    schema, features = film_features()
    model = random_model(schema, **SHAPES["crosses"])
    path = check(model, features, tmp_path)
    from ai_edge_litert.interpreter import Interpreter

    score = Interpreter(str(path)).get_signature_runner()
    scores = score(**{name: value.numpy() for name, value in features.items()})
    expected = 1 / (1 + np.exp(-scores["logit"].astype(np.float64)))
    np.testing.assert_allclose(scores["probability"], expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape, tmp_path):
    schema, features = film_features()
    check(random_model(schema, **SHAPES[shape]), features, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEMAS)
def test_every_kind_of_schema(name, tmp_path):
    make, settings = SCHEMAS[name]
    schema = make()
    check(random_model(schema, **settings), random_features(schema, 200), tmp_path)


@pytest.mark.slow
def test_quantised_weights_move_a_trained_model_s_scores_little(criteo_dir, tmp_path):
    train(TrainConfig(), f"{criteo_dir}/day_[0-5].tsv", tmp_path / "model")
    version = export_model_dir(tmp_path / "model", tmp_path / "export")
    paths = tmp_path / "plain.tflite", tmp_path / "quantised.tflite"
    for path in paths:
        export_litert(version, path, quantize=path == paths[1])
    assert paths[1].stat().st_size < 0.3 * paths[0].stat().st_size
    scorer = Scorer.load(tmp_path / "model")
    plain, quantized = (
        Scorer(scorer.schema, scorer.transform, load_litert(path)) for path in paths
    )
    report = compare_versions(quantized, plain, open_rows(criteo_dir / "day_6.tsv"))
    assert report.num_examples == 3000
    assert 0 < report.prediction_difference < 0.03
    assert abs(report.log_loss_increase) < 0.001
    own = evaluate(scorer, read_text(criteo_dir / "day_6.tsv", scorer.schema, 500))
    assert report.previous["log_loss"] == pytest.approx(own["log_loss"], rel=1e-6)


def test_an_operation_that_litert_lacks_is_named_and_nothing_written(tmp_path):
    schema, _ = film_features()
    model = random_model(schema, activation=tf.math.bessel_i0e)
    path = tmp_path / "model.tflite"
    message = "expected operations that LiteRT has, received BesselI0e"
    with pytest.raises(ValueError, match=message):
        export_litert(model, path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "model.tflite"
    for content in (None, b"no model"):
        if content:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path}: expected a LiteRT file, rec"):
            load_litert(path)


def test_without_the_package_the_command_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match=r"pip install 'smelu-tf\[litert\]'"):
        load_litert(tmp_path / "model.tflite")
