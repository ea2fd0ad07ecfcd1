"""models/training.py and training_loop.py: a run from rows to figures."""

import dataclasses
import json
import signal
import subprocess
import sys

import pytest
import small_runs
from same_weights import assert_same_weights

from smelu_tf.models import (
    BinaryMetrics,
    DataConfig,
    OptimizerConfig,
    ScoringJob,
    TrainConfig,
    WideDeep,
    WideDeepOptimizer,
    evaluate,
    train,
    training_loop,
)
from smelu_tf.pipelines import BadRowError, Schema, read_text

SMALL = small_runs.CROSSED


def test_model_dir_holds_what_the_design_says(small_run):
    result, model_dir = small_run
    names = {path.name for path in model_dir.iterdir()}
    assert names == {
        "config.json",
        "schema.json",
        "environment.json",
        "metrics.json",
        "progress.jsonl",
        "checkpoints",
        "tensorboard",
    }
    assert TrainConfig.load(model_dir / "config.json") == SMALL
    assert Schema.load(model_dir / "schema.json") == result.model.schema
    progressive = json.loads((model_dir / "metrics.json").read_text())["progressive"]
    assert progressive == {**result.progressive, "num_bad_rows": 0}
    assert progressive["num_examples"] == 18_000


def test_figures_are_of_predictions_made_before_learning(small_run, criteo_dir):
    """Against a loop that predicts, measures, then learns, batch by batch."""
    result, _ = small_run
    schema = result.model.schema
    model = WideDeep(schema, SMALL.model, SMALL.train.seed)
    model.compile(WideDeepOptimizer.of(SMALL.optimizer))
    metrics = BinaryMetrics()
    batches = read_text(criteo_dir / "day_[0-5].tsv", schema, SMALL.data.batch_size)
    for batch in batches.take(20):
        metrics.update_state(batch.label, model(batch.features), batch.weight)
        model.train_on_batch(batch.features, batch.label)
    losses = {}
    one = dataclasses.replace(
        SMALL, train=dataclasses.replace(SMALL.train, steps_per_execution=20)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_loop, "_REPORT_ROWS", 1)

        def stop(rows, log_loss, _):
            losses[rows] = log_loss
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(
                one,
                criteo_dir / "day_[0-5].tsv",
                small_run[1].parent / "x",
                progress=stop,
            )
    ((rows, log_loss),) = losses.items()
    assert rows == 20 * SMALL.data.batch_size
    assert log_loss == pytest.approx(metrics.figures()["log_loss"], rel=1e-5)


def test_it_learns(small_run, criteo_dir):
    result, model_dir = small_run
    job = ScoringJob.open(model_dir, criteo_dir / "day_6.tsv")
    figures = evaluate(job.scorer, job.batches)
    assert figures["num_examples"] == 3000
    assert figures["auc"] > 0.65
    assert figures["normalized_entropy"] < 0.97
    assert result.rows_per_second > 0


def test_a_run_that_has_ended_returns_at_once(small_run, criteo_dir):
    result, model_dir = small_run
    again = train(SMALL, criteo_dir / "day_[0-5].tsv", model_dir)
    assert again.rows_per_second is None
    assert again.progressive == result.progressive
    assert_same_weights(again.model, result.model)


KILLED = """
import json, os, signal, sys
from smelu_tf.models import TrainConfig, train

config, files, model_dir, rows = sys.argv[1:]

def kill(seen, *_):
    if seen > int(rows):
        os.kill(os.getpid(), signal.SIGKILL)

train(TrainConfig.from_dict(json.loads(config)), files, model_dir, progress=kill)
"""


def test_a_killed_run_goes_on_and_ends_with_the_bits_of_one_that_was_not(
    small_run, criteo_dir, tmp_path
):
    files = criteo_dir / "day_[0-5].tsv"
    for rows in (4000, 11_000):
        arguments = [SMALL.to_json(), files, tmp_path / "model", str(rows)]
        done = subprocess.run([sys.executable, "-c", KILLED, *arguments])
        assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "model" / "metrics.json").exists()
    resumed = train(SMALL, files, tmp_path / "model")
    whole, _ = small_run
    assert resumed.progressive == whole.progressive
    assert_same_weights(resumed.model, whole.model)


def test_bad_input_leaves_no_model_dir(criteo_dir, tmp_path):
    bad = tmp_path / "bad.tsv"
    bad.write_text((criteo_dir / "day_0.tsv").read_text() + "1\t2\n")
    with pytest.raises(BadRowError, match=r"bad\.tsv, line 3001: expected 40"):
        train(SMALL, bad, tmp_path / "model")
    with pytest.raises(ValueError, match="learning_rate: expected a number above 0"):
        config = dataclasses.replace(SMALL, optimizer=OptimizerConfig(learning_rate=-1))
        train(config, bad, tmp_path / "model")
    with pytest.raises(ValueError, match="schema: expected a preset"):
        config = dataclasses.replace(SMALL, data=DataConfig(schema="nothing"))
        train(config, criteo_dir / "day_0.tsv", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_bad_rows_are_counted_and_kept_in_the_model_dir(criteo_dir, tmp_path):
    lines = (criteo_dir / "day_0.tsv").read_text().splitlines()
    lines[5:5] = ["spoilt"]
    lines.append("1\t2")
    bad = tmp_path / "bad.tsv"
    bad.write_text("\n".join(lines))
    result = train(SMALL, bad, tmp_path / "model", max_bad_rows=2)
    assert result.num_bad_rows == 2
    assert result.progressive["num_examples"] == 3000
    rejects = (tmp_path / "model" / "rejects.txt").read_text()
    assert rejects.splitlines() == ["spoilt", "1\t2"]
    again = train(SMALL, bad, tmp_path / "model", max_bad_rows=2)
    assert again.num_bad_rows == 2
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert metrics["progressive"]["num_bad_rows"] == 2


def test_rows_of_which_none_parses_are_an_error_and_leave_no_model_dir(tmp_path):
    (tmp_path / "bad.tsv").write_text("x\ny\n")
    with pytest.raises(ValueError, match="data: expected rows, received none that"):
        train(
            small_runs.hashed(SMALL, tmp_path),
            tmp_path / "bad.tsv",
            tmp_path / "model",
            max_bad_rows=2,
        )
    assert not (tmp_path / "model").exists()


def test_progress_ends_with_all_rows_though_their_number_is_estimated(
    criteo_dir, tmp_path
):
    lines = (criteo_dir / "day_0.tsv").read_text().splitlines()
    short = "0" + "\t" * 39  # far shorter than those that the estimate is made of
    lines = [*lines, *lines, *[short] * 9000]
    (tmp_path / "rows.tsv").write_text("\n".join(lines) + "\n")
    shown = []
    train(
        SMALL,
        tmp_path / "rows.tsv",
        tmp_path / "model",
        progress=lambda num_rows, *_: shown.append(num_rows),
    )
    assert shown == sorted(shown)
    assert shown[-1] == 15_000
