"""models/publishing.py: from a trained model to a version that is served."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_rows import SCHEMA, write_rows

from smelu_tf.models import (
    DataConfig,
    OptimizerConfig,
    PromotionBounds,
    PromotionError,
    PublishOptions,
    Scorer,
    ScoringJob,
    TrainConfig,
    WideDeepConfig,
    evaluate,
    export_model_dir,
    load_model,
    predict,
    publish,
    train,
    with_seed,
)
from smelu_tf.models.recalibration import Recalibration
from smelu_tf.pipelines import Categorical

# A table that is most of a model's file.
LARGE = dataclasses.replace(
    SCHEMA, categorical=(Categorical("site", buckets=20_000), SCHEMA.categorical[1])
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two trainings that differ in the seed, and rows that they have not seen."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "schema.json").write_text(LARGE.to_json())
    for seed, name in enumerate(("trained", "held_out", "recalibration")):
        write_rows(folder / f"{name}.tsv", 1000, seed)
    config = TrainConfig(
        data=DataConfig(schema=str(folder / "schema.json"), batch_size=50),
        model=WideDeepConfig(embedding_dim=4, hidden_units=(16, 8)),
        optimizer=OptimizerConfig(learning_rate=0.02, wide_learning_rate=0.5),
    )
    for seed in (0, 1):
        train(with_seed(config, seed), folder / "trained.tsv", folder / str(seed))
    return folder


@pytest.fixture(scope="module")
def first(models, tmp_path_factory):
    """A folder with one version: the first training's."""
    folder = tmp_path_factory.mktemp("served")
    export_model_dir(models / "0", folder)
    return folder


@pytest.fixture
def served(first, tmp_path):
    """A copy of it, for another version to come."""
    return Path(shutil.copytree(first, tmp_path / "served"))


@pytest.fixture
def data(models):
    return str(models / "held_out.tsv")


@pytest.fixture
def other_rows(models):
    return str(models / "recalibration.tsv")


def card_of(version):
    return json.loads((version / "assets.extra" / "model_card.json").read_text())


def evaluated(model, data):
    job = ScoringJob.open(model, data)
    return evaluate(job.scorer, job.batches)


def test_the_first_version_is_compared_with_none(models, data, tmp_path):
    options = PublishOptions(data=data, bounds=PromotionBounds(max_pd=0.0))
    published = publish(models / "0", tmp_path, options)
    assert published.version == tmp_path / "1"
    assert published.comparisons == {}
    assert evaluated(published.version, data) == evaluated(models / "0", data)


def test_a_version_within_the_bounds_follows_and_its_card_says_how_far_it_is(
    models, served, data
):
    told = []

    class Shown:
        def __init__(self, *arguments):
            told.append(arguments)

        def __enter__(self):
            return lambda done, log_loss: told.append(done)

        def __exit__(self, *_):
            pass

    options = PublishOptions(data=data, bounds=PromotionBounds(1.9, 0.5))
    published = publish(models / "1", served, options, Shown)
    assert published.version == served / "2"
    report = published.comparisons["previous"]
    own, previous = (evaluated(models / name, data) for name in "10")
    assert report.candidate["log_loss"] == pytest.approx(own["log_loss"])
    assert report.previous["log_loss"] == pytest.approx(previous["log_loss"])
    assert report.prediction_difference > 0.001
    card = card_of(published.version)
    assert card["comparisons"] == {"previous": report.figures()}
    assert card["config"]["train"]["seed"] == 1
    assert told == [("previous", 1000), 1000]


@pytest.mark.parametrize(
    "bounds, message",
    [
        (PromotionBounds(max_pd=0.0001), "a prediction difference of at most 0.0001"),
        (PromotionBounds(max_log_loss_increase=-0.5), "a log loss of at most -0.5"),
    ],
)
def test_a_version_that_breaks_a_bound_is_not_written(
    models, served, data, bounds, message
):
    with pytest.raises(PromotionError, match=message):
        publish(models / "1", served, PublishOptions(data=data, bounds=bounds))
    assert [path.name for path in served.iterdir()] == ["1"]


@pytest.mark.slow
def test_the_previous_model_may_be_anywhere(models, first, data, tmp_path):
    bounds = PromotionBounds(max_pd=1e-6)
    for previous in (models / "0", first, first / "1"):
        options = PublishOptions(data=data, previous=str(previous), bounds=bounds)
        published = publish(models / "0", tmp_path / "new", options)
        report = published.comparisons["previous"]
        assert report.log_loss_increase == pytest.approx(0, abs=1e-7)
        assert report.prediction_difference < 1e-6
    missing = PublishOptions(data=data, previous=str(tmp_path / "none"))
    with pytest.raises(ValueError, match="none: expected a version, a folder of"):
        publish(models / "0", tmp_path / "new", missing)


@pytest.mark.parametrize(
    "kind", ["platt", pytest.param("isotonic", marks=pytest.mark.slow)]
)
def test_what_is_served_is_recalibrated(models, data, other_rows, tmp_path, kind):
    options = PublishOptions(recalibration=kind, recalibration_data=other_rows)
    version = publish(models / "0", tmp_path, options).version
    # On the rows that it was taken from, the mean prediction is the mean label.
    assert evaluated(version, other_rows)["calibration"] == pytest.approx(1, abs=1e-3)
    assert abs(evaluated(models / "0", other_rows)["calibration"] - 1) > 1e-3
    own, served = (
        next(iter(predict(job.scorer, job.batches))).logit
        for job in (ScoringJob.open(model, data) for model in (models / "0", version))
    )
    recalibration = Recalibration.from_dict(card_of(version)["recalibration"])
    np.testing.assert_array_equal(served, recalibration(tf.constant(own)))
    # Features score like the signatures.
    job = ScoringJob.open(models / "0", data)
    features = next(iter(job.batches)).features
    loaded = tf.saved_model.load(str(version))
    np.testing.assert_array_equal(loaded.score_features(features), served)


def test_bfloat16_is_compared_with_float32(models, data, tmp_path):
    options = PublishOptions(data=data, compute_dtype="bfloat16")
    published = publish(models / "0", tmp_path, options)
    report = published.comparisons["float32"]
    assert 0 < report.prediction_difference < 0.02
    assert abs(report.log_loss_increase) < 0.001
    card = card_of(published.version)
    assert card["compute_dtype"] == "bfloat16"
    assert card["comparisons"]["float32"] == report.figures()
    logits = [
        next(iter(predict(job.scorer, job.batches))).logit
        for job in (
            ScoringJob.open(published.version, data),
            ScoringJob.open(models / "0", data),
        )
    ]
    assert logits[0].dtype == np.float32
    assert 1e-5 < np.abs(logits[0] - logits[1]).max() < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_files_for_other_runtimes_travel_along_and_are_compared(
    models, data, other_rows, tmp_path, kind
):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("onnxruntime")
    options = PublishOptions(
        data=data,
        recalibration=kind,
        recalibration_data=other_rows,
        formats=("litert", "litert_quantized", "onnx"),
    )
    published = publish(models / "0", tmp_path, options)
    extra = published.version / "assets.extra"
    sizes = [
        (extra / name).stat().st_size
        for name in ("model.tflite", "model_quantized.tflite", "model.onnx")
    ]
    assert sizes[1] < sizes[0] / 2
    reports = published.comparisons
    assert list(reports) == ["litert", "litert_quantized", "onnx"]
    served = evaluated(published.version, data)
    for name, report in reports.items():
        assert report.previous["log_loss"] == pytest.approx(served["log_loss"])
        bound = 0.05 if name == "litert_quantized" else 1e-5
        assert report.prediction_difference < bound
    assert reports["litert_quantized"].prediction_difference > 1e-5
    card = card_of(published.version)
    assert card["comparisons"] == {n: r.figures() for n, r in reports.items()}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"formats": ("coreml",)}, "expected one of litert, litert_quantized, onnx"),
        ({"bounds": PromotionBounds(max_pd=0.1)}, "data: expected held-out rows"),
        ({"previous": "served"}, "data: expected held-out rows"),
        ({"recalibration": "beta"}, "expected one of none, platt, isotonic"),
        ({"recalibration": "platt"}, "recalibration_data, received platt with none"),
        ({"recalibration_data": "rows.tsv"}, "received none with rows.tsv"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        publish(tmp_path / "model", tmp_path / "served", PublishOptions(**options))
    assert not any(tmp_path.iterdir())


def test_a_scorer_of_a_recalibrated_model_scores_what_is_served(models, data):
    model = load_model(models / "0")
    scorer, plain = Scorer.of(model, lambda logit: 2 * logit), Scorer.of(model)
    job = ScoringJob.open(models / "0", data)
    features = next(iter(job.batches)).features
    np.testing.assert_allclose(
        scorer.logit(features), 2 * plain.logit(features), rtol=1e-6
    )
