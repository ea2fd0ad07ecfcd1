"""models/evaluation.py: what a report says, of any form of model and rows."""

import json

import pytest

from smelu_tf.models import (
    Scorer,
    ScoringJob,
    WideDeep,
    WideDeepConfig,
    evaluate,
    export_saved_model,
)
from smelu_tf.models.evaluation import evaluation_report
from smelu_tf.pipelines import CRITEO, complete_schema_from, convert, open_rows

COLUMNS = ("C1", "C9", "I3")


@pytest.fixture(scope="module")
def model(criteo_dir):
    schema = complete_schema_from(criteo_dir / "day_[0-5].tsv", CRITEO)
    return WideDeep(schema, WideDeepConfig(embedding_dim=2, hidden_units=(4,)))


def report_of(scorer, data):
    rows = open_rows(data)
    batches = rows.batches(scorer.schema, 1000, transform=scorer.transform)
    return evaluation_report(scorer, batches, slices=COLUMNS)


@pytest.fixture(scope="module")
def report(model, criteo_dir):
    return report_of(Scorer.of(model), criteo_dir / "day_6.tsv")


def test_a_report_begins_with_the_figures_of_evaluate(report, model, criteo_dir):
    scorer = Scorer.of(model)
    rows = open_rows(criteo_dir / "day_6.tsv")
    figures = evaluate(scorer, rows.batches(scorer.schema, 1000))
    assert {name: report[name] for name in figures} == figures


def test_every_slice_s_rows_are_all_rows(report):
    assert list(report["slices"]) == list(COLUMNS)
    for slices in report["slices"].values():
        assert sum(row["num_examples"] for row in slices) == report["num_examples"]
        loss = sum(row["log_loss"] * row["weight"] for row in slices)
        assert loss / report["weight"] == pytest.approx(report["log_loss"], rel=1e-9)


def test_the_bins_of_a_report_are_all_its_weight(report):
    assert sum(row["weight"] for row in report["reliability"]) == report["weight"]
    assert 0 <= report["calibration_error"] <= 1
    assert json.dumps(report, allow_nan=False)


def test_blocks_are_reported_like_their_text(report, model, criteo_dir, tmp_path):
    convert(criteo_dir / "day_6.tsv", model.schema, tmp_path / "blocks")
    assert report_of(Scorer.of(model), tmp_path / "blocks") == report


@pytest.mark.slow
def test_an_exported_model_is_reported_like_its_model(
    report, model, criteo_dir, tmp_path
):
    version = export_saved_model(model, tmp_path / "export")
    job = ScoringJob.open(version, criteo_dir / "day_6.tsv", 1000)
    got = evaluation_report(job.scorer, job.batches, slices=COLUMNS)
    for name in COLUMNS:
        for ours, theirs in zip(
            got["slices"][name], report["slices"][name], strict=True
        ):
            assert ours["value"] == theirs["value"]
            assert ours["num_examples"] == theirs["num_examples"]
            assert ours["log_loss"] == pytest.approx(theirs["log_loss"], rel=1e-5)


def test_without_columns_a_report_has_no_slices(model, criteo_dir):
    scorer = Scorer.of(model)
    rows = open_rows(criteo_dir / "day_6.tsv")
    report = evaluation_report(scorer, rows.batches(scorer.schema, 3000))
    assert "slices" not in report


def test_no_rows_are_an_error(model):
    with pytest.raises(ValueError, match="data: expected rows, received none"):
        evaluation_report(Scorer.of(model), [])


@pytest.mark.parametrize(
    "batch_size", [1000, pytest.param(7, marks=pytest.mark.slow), 4096]
)
def test_evaluation_does_not_depend_on_the_batch_size(
    small_run, criteo_dir, batch_size
):
    figures = []
    for size in (512, batch_size):
        job = ScoringJob.open(small_run[1], criteo_dir / "day_6.tsv", size)
        figures.append(evaluate(job.scorer, job.batches))
    for name, value in figures[0].items():
        assert figures[1][name] == pytest.approx(value, rel=1e-5), name


def test_blocks_evaluate_like_their_text(small_run, small_blocks, criteo_dir):
    _, model_dir = small_run
    figures = []
    for data in (small_blocks, criteo_dir / "day_[0-5].tsv"):
        job = ScoringJob.open(model_dir, data, batch_size=1000)
        with job.rows.errors():
            figures.append(evaluate(job.scorer, job.batches))
    assert figures[0] == figures[1]
