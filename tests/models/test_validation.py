"""Rows held out, the best checkpoint, warm starts and what else `train` takes."""

import dataclasses
import json

import numpy as np
import pytest
import small_runs
from same_weights import assert_same_weights
from two_devices import run_on_two_devices

from smelu_tf.models import (
    DataConfig,
    EvalConfig,
    OptimizerConfig,
    ScoringJob,
    TrainOptions,
    WideDeep,
    evaluate,
    load_metrics,
    load_model,
    train,
)
from smelu_tf.pipelines import CRITEO, Blocks, convert, open_rows

SMALL = dataclasses.replace(
    small_runs.CONFIG,
    train=TrainOptions(checkpoint_steps=1000, steps_per_execution=4),
    eval=EvalConfig(every_steps=16),
)


@pytest.fixture(scope="module")
def blocks(criteo_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks") / "blocks"
    convert(str(criteo_dir / "day_[0-5].tsv"), CRITEO, folder)
    return folder


def validations(model_dir):
    lines = (model_dir / "progress.jsonl").read_text().splitlines()
    return [v for v in map(json.loads, lines) if "validation" in v]


@pytest.mark.parametrize(
    "metric", ["log_loss", pytest.param("auc", marks=pytest.mark.slow)]
)
def test_the_best_checkpoint_is_the_best_of_the_validations(
    criteo_dir, tmp_path, metric
):
    # Large steps: the course of the validations goes up and down.
    config = dataclasses.replace(
        SMALL,
        optimizer=OptimizerConfig(learning_rate=0.05),
        eval=EvalConfig(every_steps=8, best_metric=metric),
    )
    files, later = criteo_dir / "day_[0-4].tsv", criteo_dir / "day_5.tsv"
    result = train(config, files, tmp_path / "model", validation_files=later)
    lines = validations(tmp_path / "model")
    assert len(lines) >= 6
    assert lines[-1]["validation"] == result.validation
    assert load_metrics(tmp_path / "model")["validation"] == result.validation
    values = [line["validation"][metric] for line in lines]
    best = min(values) if metric == "log_loss" else max(values)
    assert best != values[-1]  # or newest and best would be the same
    for which, value in (("best", best), ("newest", values[-1])):
        job = ScoringJob.open(tmp_path / "model", later, checkpoint=which)
        figures = evaluate(job.scorer, job.batches)
        assert figures[metric] == pytest.approx(value, rel=1e-6)


def test_a_run_that_was_stopped_is_validated_where_it_would_have_been(
    criteo_dir, tmp_path
):
    options = TrainOptions(checkpoint_steps=8, steps_per_execution=4)
    validated = EvalConfig(every_steps=20)
    config = dataclasses.replace(SMALL, train=options, eval=validated)
    files, later = criteo_dir / "day_[0-5].tsv", criteo_dir / "day_6.tsv"
    train(config, files, tmp_path / "whole", validation_files=later)
    stopped = tmp_path / "stopped"
    small_runs.interrupt(7000, config, files, stopped, validation_files=later)
    train(config, files, stopped, validation_files=later)
    steps = {
        name: [line["step"] for line in validations(tmp_path / name)]
        for name in ("whole", "stopped")
    }
    assert steps["whole"] == steps["stopped"] == [20, 40, 60, 71]


def test_a_fraction_holds_out_the_last_rows_of_blocks(blocks, criteo_dir, tmp_path):
    config = dataclasses.replace(SMALL, data=DataConfig(validation_fraction=1 / 6))
    result = train(config, blocks, tmp_path / "model")
    assert result.progressive["num_examples"] == 15_000
    assert result.validation["num_examples"] == 3000
    # Of the day whose rows they are: generated days have the same number of rows.
    job = ScoringJob.open(tmp_path / "model", criteo_dir / "day_5.tsv")
    assert evaluate(job.scorer, job.batches)["log_loss"] == pytest.approx(
        result.validation["log_loss"], rel=1e-6
    )


def test_a_split_loses_no_row(blocks):
    first, last = Blocks(blocks).split(0.25)
    assert (first.estimated_rows(), last.estimated_rows()) == (13_500, 4500)
    schema = first.complete(CRITEO)
    labels = [
        np.concatenate([b.label for b in part.batches(schema, 1000)])
        for part in (first, last, Blocks(blocks))
    ]
    np.testing.assert_array_equal(np.concatenate(labels[:2]), labels[2])
    for fraction in (1e-6, 1 - 1e-6):
        with pytest.raises(ValueError, match="expected rows on both sides"):
            first.split(fraction)


def test_what_cannot_be_held_out_is_refused(blocks, criteo_dir, tmp_path):
    fraction = DataConfig(validation_fraction=0.1)
    text = criteo_dir / "day_0.tsv"
    with pytest.raises(ValueError, match="expected a folder of blocks"):
        train(dataclasses.replace(SMALL, data=fraction), text, tmp_path / "model")
    with pytest.raises(ValueError, match="expected 0 with validation files"):
        train(
            dataclasses.replace(SMALL, data=fraction),
            blocks,
            tmp_path / "model",
            validation_files=text,
        )
    shuffled = dataclasses.replace(fraction, shuffle=True)
    with pytest.raises(ValueError, match="expected 0 with data.shuffle"):
        train(dataclasses.replace(SMALL, data=shuffled), blocks, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.fixture(scope="module")
def trained(criteo_dir, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("runs") / "model"
    return train(SMALL, criteo_dir / "day_[0-2].tsv", model_dir), model_dir


def test_there_is_no_best_checkpoint_without_a_validation(trained):
    _, model_dir = trained
    with pytest.raises(ValueError, match="nothing has been validated"):
        load_model(model_dir, "best")
    with pytest.raises(ValueError, match="expected one of newest, best"):
        load_model(model_dir, "worst")


def test_a_warm_start_begins_with_what_another_run_learned(
    trained, criteo_dir, tmp_path
):
    cold_result, source = trained
    seen = []
    warm = train(
        SMALL,
        criteo_dir / "day_[3-5].tsv",
        tmp_path / "model",
        warm_start=source,
        built=seen.append,
    )
    cold = train(SMALL, criteo_dir / "day_[3-5].tsv", tmp_path / "cold")
    assert [type(model) for model in seen] == [WideDeep]
    assert warm.progressive["log_loss"] < cold.progressive["log_loss"] - 0.005
    (run,) = json.loads((tmp_path / "model/environment.json").read_text())["runs"]
    assert run["warm_start"] == str(source)
    again = train(
        SMALL, criteo_dir / "day_[3-5].tsv", tmp_path / "model", warm_start=source
    )
    assert again.progressive == warm.progressive  # its own weights, not the source's
    assert_same_weights(warm.model, again.model)


@pytest.mark.parametrize(
    "interaction",
    ["none", *(pytest.param(n, marks=pytest.mark.slow) for n in ("dcn", "dlrm"))],
)
def test_compiled_layers_learn_the_same(criteo_dir, tmp_path, interaction):
    model = dataclasses.replace(SMALL.model, interaction=interaction)
    config = dataclasses.replace(SMALL, model=model)
    plain, compiled = (
        train(config, criteo_dir / "day_0.tsv", tmp_path / str(jit), jit_compile=jit)
        for jit in (False, True)
    )
    ours, theirs = compiled.progressive, plain.progressive
    assert ours["log_loss"] == pytest.approx(theirs["log_loss"], abs=1e-6)


@pytest.mark.slow
def test_bfloat16_learns_nearly_the_same(criteo_dir, tmp_path):
    exact, rounded = (
        train(
            dataclasses.replace(SMALL, train=TrainOptions(compute_dtype=dtype)),
            criteo_dir / "day_[0-2].tsv",
            tmp_path / dtype,
        )
        for dtype in ("float32", "bfloat16")
    )
    assert rounded.progressive != exact.progressive
    assert rounded.progressive["log_loss"] == pytest.approx(
        exact.progressive["log_loss"], abs=1e-3
    )
    assert {w.dtype.name for w in rounded.model.trainable_variables} == {"float32"}
    assert {w.dtype.name for w in rounded.model.optimizer.variables()} <= {
        "float32",
        "int64",
    }


MIRRORED = """
import sys
from smelu_tf.models import TrainConfig, train

config = TrainConfig.load(sys.argv[1])
folder = sys.argv[2]
train(config, f"{folder}/day_0.tsv", sys.argv[3] + "/served")
found = {}
for name in ("one_device", "mirrored"):
    found[name] = train(
        config, f"{folder}/day_[0-1].tsv", sys.argv[3] + "/" + name, strategy=name,
        validation_files=f"{folder}/day_2.tsv", compare_to=sys.argv[3] + "/served",
    ).validation
for name, value in found["one_device"].items():
    assert abs(found["mirrored"][name] - value) <= 1e-2 * abs(value), (name, found)
assert found["mirrored"]["num_examples"] == 3000
assert found["mirrored"]["prediction_difference"] > 0
print("same")
"""


@pytest.mark.slow
def test_several_replicas_validate_and_compare_as_one_does(criteo_dir, tmp_path):
    schema = open_rows(criteo_dir / "day_[0-1].tsv").complete(CRITEO)
    (tmp_path / "schema.json").write_text(schema.to_json())
    config = dataclasses.replace(
        SMALL,
        data=DataConfig(schema=str(tmp_path / "schema.json")),
        eval=EvalConfig(every_steps=8),
    )
    (tmp_path / "config.json").write_text(config.to_json())
    printed = run_on_two_devices(
        MIRRORED, tmp_path / "config.json", criteo_dir, tmp_path
    )
    assert printed.strip() == "same"


def test_a_strategy_of_one_replica_validates(criteo_dir, tmp_path):
    rows = small_runs.first_rows(criteo_dir, tmp_path)
    found = [
        train(
            small_runs.CONFIG,
            rows,
            tmp_path / strategy,
            validation_files=rows,
            strategy=strategy,
        ).validation
        for strategy in ("one_device", "mirrored")
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-5)
