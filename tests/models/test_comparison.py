"""models/comparison.py: the prediction difference from a model that is being served."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

import smelu_tf
from smelu_tf.models import (
    DataConfig,
    EvalConfig,
    OptimizerConfig,
    ScoringJob,
    SlidingWindow,
    TrainConfig,
    TrainOptions,
    WideDeepConfig,
    evaluate,
    evaluation_report,
    export_model_dir,
    load_logit,
    load_metrics,
    predict,
    train,
    training_loop,
)
from smelu_tf.models.comparison import Comparison, DifferenceCounts, Differences

NAMES = ("prediction_difference", "absolute_prediction_difference")
CONFIG = TrainConfig(
    model=WideDeepConfig(embedding_dim=4, hidden_units=(16, 8)),
    train=TrainOptions(checkpoint_steps=8, steps_per_execution=4),
    eval=EvalConfig(window_rows=2000),
)
OTHER = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, seed=1))


def _ref_differences(p, q, weight):
    p, q = p.astype(float), q.astype(float)
    relative = 2 * np.abs(p - q) / (p + q)
    return np.average(relative, weights=weight), np.average(abs(p - q), weights=weight)


def test_counts_of_batches_are_the_mean_over_rows():
    random = np.random.default_rng(0)
    logits = random.normal(-3, 2, size=(2, 100))
    weight = random.integers(0, 4, 100).astype(float)
    differences = Differences()
    for part in np.split(np.arange(100), [7, 50]):
        differences.update_state(*logits[:, part], weight[part])
    counts = differences.counts()
    assert counts.num_examples == 100
    p = 1 / (1 + np.exp(-logits))
    expected = _ref_differences(*p, weight)
    figures = counts.figures()
    assert [figures[name] for name in NAMES] == pytest.approx(expected, rel=1e-12)
    assert figures[NAMES[0]] == pytest.approx(
        smelu_tf.prediction_difference(p, weight), rel=1e-12
    )
    shown = differences.result()
    assert {name: float(value) for name, value in shown.items()} == pytest.approx(
        figures
    )
    differences.reset_state()
    assert differences.counts().figures() == dict.fromkeys(NAMES)


def test_the_window_is_of_the_latest_rows():
    window = SlidingWindow(4, DifferenceCounts.zero())
    total = np.zeros(4)
    for value in (1.0, 1.0, 0.1, 0.2):
        total = total + 2 * np.array([1.0, 1.0, value, value / 2])
        figures = window.update(DifferenceCounts(total))
    assert figures[NAMES[0]] == pytest.approx(0.15)


def test_a_comparison_asks_the_served_model():
    comparison = Comparison(lambda features: features["x"])
    comparison.update({"x": tf.constant([0.0])}, tf.constant([0.0]), tf.ones([1]))
    assert comparison.differences.counts().figures() == dict.fromkeys(NAMES, 0.0)


@pytest.fixture(scope="module")
def served(criteo_dir, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("runs") / "served"
    train(CONFIG, criteo_dir / "day_[0-2].tsv", model_dir)
    export_model_dir(model_dir, model_dir.parent / "export")
    return model_dir


@pytest.fixture(scope="module")
def compared(served, criteo_dir):
    result = train(
        OTHER,
        criteo_dir / "day_[0-2].tsv",
        served.parent / "compared",
        validation_files=criteo_dir / "day_3.tsv",
        compare_to=served,
    )
    return result, served.parent / "compared"


def probabilities(path, file):
    job = ScoringJob.open(path, file)
    return np.concatenate([p.probability for p in predict(job.scorer, job.batches)])


@pytest.mark.slow
def test_figures_are_in_every_place(compared, served, criteo_dir):
    result, model_dir = compared
    metrics = load_metrics(model_dir)
    lines = [*map(json.loads, (model_dir / "progress.jsonl").read_text().splitlines())]
    for section in ("progressive", "window", "validation"):
        for name in NAMES:
            value = metrics[section][name]
            assert value == getattr(result, section)[name] == lines[-1][section][name]
            assert 0 < value < 1
    assert metrics["window"] == lines[-1]["window"]
    # The new model comes nearer to the other one.
    assert metrics["window"][NAMES[0]] < metrics["progressive"][NAMES[0]]
    predictions = [
        probabilities(path, criteo_dir / "day_3.tsv") for path in (model_dir, served)
    ]
    expected = _ref_differences(*predictions, np.ones(3000))
    found = [metrics["validation"][name] for name in NAMES]
    assert found == pytest.approx(expected, rel=1e-4)
    events = [*(model_dir / "tensorboard").iterdir()]
    tags = {
        value.tag
        for path in events
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert {f"window/{name}" for name in NAMES} <= tags


@pytest.mark.slow
def test_the_comparison_changes_nothing_in_the_model(compared, criteo_dir, tmp_path):
    result, _ = compared
    alone = train(OTHER, criteo_dir / "day_[0-2].tsv", tmp_path / "model")
    assert NAMES[0] not in alone.progressive
    shared = {name: result.progressive[name] for name in alone.progressive}
    assert shared == alone.progressive


@pytest.mark.slow
def test_a_run_that_goes_on_counts_on(compared, served, criteo_dir, tmp_path):
    result, _ = compared
    arguments = (OTHER, criteo_dir / "day_[0-2].tsv", tmp_path / "model")
    seen = []

    def stop(rows, log_loss, entropy, difference):
        seen.append(difference)
        if rows > 5000:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_loop, "_REPORT_ROWS", 1000)
        with pytest.raises(KeyboardInterrupt):
            train(*arguments, compare_to=served, progress=stop)
    assert 0 < seen[-1] < seen[0] < 2
    again = train(*arguments, compare_to=served)
    for name in NAMES:
        assert again.progressive[name] == pytest.approx(
            result.progressive[name], rel=1e-9
        )


@pytest.mark.slow
def test_a_model_does_not_differ_from_itself(served, criteo_dir):
    job = ScoringJob.open(served, criteo_dir / "day_3.tsv")
    for path in (served, served.parent / "export" / "1"):
        other = load_logit(path, job.scorer.schema, "compare_to")
        figures = evaluate(job.scorer, job.batches, compare_to=other)
        assert figures[NAMES[0]] < 1e-6
        report = evaluation_report(job.scorer, job.batches, compare_to=other)
        assert report[NAMES[0]] == figures[NAMES[0]]
    exported = ScoringJob.open(served.parent / "export" / "1", criteo_dir / "day_3.tsv")
    figures = evaluate(exported.scorer, exported.batches, compare_to=other)
    assert figures[NAMES[0]] < 1e-6


@pytest.mark.slow
def test_with_averages_the_validation_is_theirs(served, criteo_dir, tmp_path):
    config = dataclasses.replace(OTHER, optimizer=OptimizerConfig(averaging=0.95))
    result = train(
        config,
        criteo_dir / "day_[0-2].tsv",
        tmp_path / "model",
        validation_files=criteo_dir / "day_3.tsv",
        compare_to=served,
    )
    expected = _ref_differences(
        probabilities(tmp_path / "model", criteo_dir / "day_3.tsv"),
        probabilities(served, criteo_dir / "day_3.tsv"),
        np.ones(3000),
    )
    assert result.validation[NAMES[0]] == pytest.approx(expected[0], rel=1e-4)


@pytest.mark.slow
def test_another_schema_is_refused_with_what_to_do(served, criteo_dir, tmp_path):
    with pytest.raises(ValueError, match=r"compare_to: expected .* data\.schema="):
        train(OTHER, criteo_dir / "day_[3-5].tsv", tmp_path / "m", compare_to=served)
    config = dataclasses.replace(
        OTHER, data=DataConfig(schema=str(served / "schema.json"))
    )
    result = train(config, criteo_dir / "day_3.tsv", tmp_path / "m", compare_to=served)
    assert 0 < result.window[NAMES[0]] < 2
