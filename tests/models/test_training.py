"""models/training.py, checkpoints.py and evaluation.py: a run from rows to figures."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.models import (
    BinaryMetrics,
    DataConfig,
    OptimizerConfig,
    Scorer,
    ScoringJob,
    TrainConfig,
    TrainOptions,
    WideDeep,
    WideDeepConfig,
    WideDeepOptimizer,
    evaluate,
    load_model,
    predict,
    train,
    write_predictions,
)
from smelu_tf.models import training as training_module
from smelu_tf.pipelines import (
    CRITEO,
    BadRowError,
    Categorical,
    Schema,
    convert,
    read_blocks,
    read_text,
)

SMALL = TrainConfig(
    model=WideDeepConfig(
        embedding_dim=4,
        hidden_units=(16, 8),
        activation="smelu:0.5",
        crosses=("C9*C6",),
    ),
    train=TrainOptions(checkpoint_steps=8, steps_per_execution=4),
)


@pytest.fixture(scope="module")
def trained(criteo_dir, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("runs") / "model"
    return train(SMALL, criteo_dir / "day_[0-5].tsv", model_dir), model_dir


def test_model_dir_holds_what_the_design_says(trained):
    result, model_dir = trained
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


def test_figures_are_of_predictions_made_before_learning(trained, criteo_dir):
    """Against a loop that predicts, measures, then learns, batch by batch."""
    result, _ = trained
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
        patch.setattr(training_module, "_REPORT_ROWS", 1)

        def stop(rows, log_loss, _):
            losses[rows] = log_loss
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(
                one,
                criteo_dir / "day_[0-5].tsv",
                trained[1].parent / "x",
                progress=stop,
            )
    ((rows, log_loss),) = losses.items()
    assert rows == 20 * SMALL.data.batch_size
    assert log_loss == pytest.approx(metrics.figures()["log_loss"], rel=1e-5)


def test_it_learns(trained, criteo_dir):
    result, model_dir = trained
    job = ScoringJob.open(model_dir, criteo_dir / "day_6.tsv")
    figures = evaluate(job.scorer, job.batches)
    assert figures["num_examples"] == 3000
    assert figures["auc"] > 0.65
    assert figures["normalized_entropy"] < 0.97
    assert result.rows_per_second > 0


@pytest.fixture(scope="module")
def blocks(criteo_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks") / "rows"
    convert(criteo_dir / "day_[0-5].tsv", CRITEO, folder, rows_per_block=1000)
    return folder


def test_training_on_blocks_is_training_on_the_text(trained, blocks, tmp_path):
    result, _ = trained
    got = train(SMALL, blocks, tmp_path / "model")
    assert got.progressive == result.progressive
    for ours, theirs in zip(
        got.model.get_weights(), result.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_on_blocks_goes_on_without_reading_what_it_has_learned(
    trained, blocks, tmp_path, monkeypatch
):
    def stop(rows, *_):
        if rows > 10_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, blocks, tmp_path / "model", progress=stop)
    starts = []

    def read(*args, start, **kwargs):
        starts.append(start)
        return read_blocks(*args, start=start, **kwargs)

    monkeypatch.setattr("smelu_tf.pipelines.sources.read_blocks", read)
    result = train(SMALL, blocks, tmp_path / "model")
    assert starts[0] > 8000
    assert result.progressive == trained[0].progressive


SHUFFLED = dataclasses.replace(
    SMALL, data=dataclasses.replace(SMALL.data, epochs=2, shuffle=True, shuffle_seed=3)
)


def test_shuffled_epochs_end_with_the_same_bits_wherever_they_stop(
    trained, blocks, tmp_path
):
    whole = train(SHUFFLED, blocks, tmp_path / "whole")
    assert whole.progressive["num_examples"] == 2 * 18_000

    def stop(rows, *_):
        if rows > 25_000:  # in the second pass
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SHUFFLED, blocks, tmp_path / "stopped", progress=stop)
    again = train(SHUFFLED, blocks, tmp_path / "stopped")
    assert again.progressive == whole.progressive
    for a, b in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # Another order than the text's.
    assert whole.progressive["log_loss"] != trained[0].progressive["log_loss"]


def test_a_data_service_s_workers_read_every_row_once(blocks, tmp_path):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.removeprefix("grpc://")
    workers = [service.WorkerServer(service.WorkerConfig(address)) for _ in range(2)]
    got = train(SMALL, blocks, tmp_path / "model", data_service=dispatcher.target)
    assert got.progressive["num_examples"] == 18_000
    assert len(workers) == 2


def test_what_takes_blocks_is_refused_of_text(criteo_dir, tmp_path):
    with pytest.raises(ValueError, match=r"expected a folder of blocks .* row files"):
        train(SHUFFLED, criteo_dir / "day_0.tsv", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_blocks_evaluate_like_their_text(trained, blocks, criteo_dir):
    _, model_dir = trained
    figures = []
    for data in (blocks, criteo_dir / "day_[0-5].tsv"):
        job = ScoringJob.open(model_dir, data, batch_size=1000)
        with job.rows.errors():
            figures.append(evaluate(job.scorer, job.batches))
    assert figures[0] == figures[1]


def test_blocks_that_are_others_or_damaged_are_refused(blocks, tmp_path):
    config = hashed_config(tmp_path)
    with pytest.raises(ValueError, match="which differs in C1.buckets"):
        train(config, blocks, tmp_path / "model")
    damaged = shutil.copytree(blocks, tmp_path / "damaged")
    shard = damaged / "shard-00000.blocks"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match="shard-00000.blocks, block .*a whole block"):
        train(SMALL, damaged, tmp_path / "model")


def test_a_run_that_has_ended_returns_at_once(trained, criteo_dir):
    result, model_dir = trained
    again = train(SMALL, criteo_dir / "day_[0-5].tsv", model_dir)
    assert again.rows_per_second is None
    assert again.progressive == result.progressive
    for a, b in zip(result.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


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
    trained, criteo_dir, tmp_path
):
    files = criteo_dir / "day_[0-5].tsv"
    for rows in (4000, 11_000):
        arguments = [SMALL.to_json(), files, tmp_path / "model", str(rows)]
        done = subprocess.run([sys.executable, "-c", KILLED, *arguments])
        assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "model" / "metrics.json").exists()
    resumed = train(SMALL, files, tmp_path / "model")
    whole, _ = trained
    assert resumed.progressive == whole.progressive
    weights = [run.model.get_weights() for run in (resumed, whole)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "relu"}, "model.activation is 'smelu:0.5' there, 'relu' here"),
        ({"hidden_units": (16, 9)}, "model.hidden_units"),
    ],
)
def test_a_model_dir_of_another_model_is_refused(trained, criteo_dir, change, message):
    other = dataclasses.replace(SMALL, model=dataclasses.replace(SMALL.model, **change))
    with pytest.raises(ValueError, match=message):
        train(other, criteo_dir / "day_[0-5].tsv", trained[1])


def test_a_model_dir_of_other_data_s_vocabularies_is_refused(trained, criteo_dir):
    with pytest.raises(ValueError, match="schema differs in C1.vocabulary, "):
        train(SMALL, criteo_dir / "day_6.tsv", trained[1])


def test_a_folder_of_something_else_is_refused_and_untouched(criteo_dir, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="expected a new or empty folder"):
        train(SMALL, criteo_dir / "day_0.tsv", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


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


def hashed_config(folder):
    """A configuration whose schema needs no pass over the data to be counted."""
    columns = tuple(Categorical(c.name, buckets=50) for c in CRITEO.categorical)
    schema = dataclasses.replace(CRITEO, categorical=columns)
    (folder / "hashed.json").write_text(schema.to_json())
    data = DataConfig(schema=str(folder / "hashed.json"))
    return dataclasses.replace(SMALL, data=data)


def test_rows_of_which_none_parses_are_an_error_and_leave_no_model_dir(tmp_path):
    (tmp_path / "bad.tsv").write_text("x\ny\n")
    with pytest.raises(ValueError, match="data: expected rows, received none that"):
        train(
            hashed_config(tmp_path),
            tmp_path / "bad.tsv",
            tmp_path / "model",
            max_bad_rows=2,
        )
    assert not (tmp_path / "model").exists()


def test_what_a_run_killed_at_its_start_leaves_is_no_hindrance(criteo_dir, tmp_path):
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    (model_dir / "schema.json").write_text("{")
    (model_dir / ".config.json.0a1b2c3d.123.partial").write_text("{")
    train(hashed_config(tmp_path), criteo_dir / "day_6.tsv", model_dir)
    assert Schema.load(model_dir / "schema.json").name == "criteo"


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of the trained model_dir, to be spoilt."""
    return shutil.copytree(trained[1], tmp_path / "copied")


def spoil(model_dir, what):
    folder = model_dir / "checkpoints"
    newest = Path(tf.train.latest_checkpoint(folder)).name
    if what == "state lost":
        (folder / "checkpoint").unlink()
    elif what == "state spoilt":
        (folder / "checkpoint").write_text("garbage")
    elif what == "index lost":
        (folder / f"{newest}.index").unlink()
    else:
        kind = what.removesuffix(" cut")
        (path,) = folder.glob(f"{newest}.{kind}*")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("what", ["index lost", "index cut", "data cut"])
def test_a_spoilt_checkpoint_is_named_and_never_trained_over(copied, criteo_dir, what):
    spoil(copied, what)
    before = sorted(path.name for path in (copied / "checkpoints").iterdir())
    for use in (
        lambda: load_model(copied),
        lambda: train(SMALL, criteo_dir / "day_[0-5].tsv", copied),
    ):
        with pytest.raises(ValueError, match=r"copied/checkpoints.*: expected") as got:
            use()
        assert "\n" not in str(got.value)
    assert sorted(path.name for path in (copied / "checkpoints").iterdir()) == before


@pytest.mark.parametrize("what", ["state lost", "state spoilt"])
def test_a_checkpoint_that_nothing_names_is_found(trained, copied, criteo_dir, what):
    """A run killed just before it names its first checkpoint leaves the like."""
    spoil(copied, what)
    (copied / "checkpoints" / "ckpt-9999_temp").mkdir()  # killed while saving
    again = train(SMALL, criteo_dir / "day_[0-5].tsv", copied)
    assert again.rows_per_second is None
    expected = trained[0].model.get_weights()
    for model in (again.model, load_model(copied)):
        for a, b in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["config.json", "schema.json", "metrics.json"])
@pytest.mark.parametrize("text", ["[]", "{"])
def test_a_spoilt_json_file_is_named(copied, criteo_dir, name, text):
    (copied / name).write_text(text)
    with pytest.raises(ValueError, match=rf"copied/{name}: expected (a )?JSON"):
        train(SMALL, criteo_dir / "day_[0-5].tsv", copied)


@pytest.mark.parametrize("limit", [100, 20_000])
def test_no_space_for_a_checkpoint_is_one_line_and_leaves_nothing(
    criteo_dir, tmp_path, limit
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    config = hashed_config(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large|could not be written") as got:
            train(config, criteo_dir / "day_0.tsv", tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(got.value)
    assert not (tmp_path / "model").exists()


def test_divergence_is_an_error(criteo_dir, tmp_path):
    config = dataclasses.replace(SMALL, optimizer=OptimizerConfig(learning_rate=1e30))
    with pytest.raises(ArithmeticError, match="expected a finite log loss"):
        train(config, criteo_dir / "day_[0-5].tsv", tmp_path / "model")


def test_a_loaded_model_is_the_trained_one(trained):
    result, model_dir = trained
    again = load_model(model_dir)
    for a, b in zip(result.model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["nothing", "no checkpoint"])
def test_what_is_no_model_is_refused(trained, tmp_path, kind):
    if kind == "no checkpoint":
        for name in ("config.json", "schema.json"):
            (tmp_path / name).write_text((trained[1] / name).read_text())
    with pytest.raises(
        ValueError, match=r"expected a (model_dir|checkpoint), received"
    ):
        Scorer.load(tmp_path)


@pytest.mark.parametrize("batch_size", [1000, 7, 4096])
def test_evaluation_does_not_depend_on_the_batch_size(trained, criteo_dir, batch_size):
    figures = []
    for size in (512, batch_size):
        job = ScoringJob.open(trained[1], criteo_dir / "day_6.tsv", size)
        figures.append(evaluate(job.scorer, job.batches))
    for name, value in figures[0].items():
        assert figures[1][name] == pytest.approx(value, rel=1e-5), name


def test_predictions_are_in_input_order_as_parquet(trained, criteo_dir, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    job = ScoringJob.open(trained[1], criteo_dir / "day_6.tsv", 1000)
    path = tmp_path / "out" / "predictions.parquet"
    assert write_predictions(path, predict(job.scorer, job.batches)) == 3000
    table = parquet.read_table(path).to_pandas()
    assert list(table.columns) == ["row", "label", "probability", "logit"]
    assert table.row.tolist() == list(range(3000))
    lines = (criteo_dir / "day_6.tsv").read_text().splitlines()
    assert table.label.tolist() == [float(line[0]) for line in lines]
    logit = table.logit.to_numpy().astype(np.float64)
    np.testing.assert_allclose(table.probability, 1 / (1 + np.exp(-logit)), rtol=1e-6)
    assert os.listdir(path.parent) == ["predictions.parquet"]


def test_a_failing_prediction_leaves_no_file(tmp_path):
    pytest.importorskip("pyarrow")

    def failing():
        raise ValueError("no more rows")
        yield

    with pytest.raises(ValueError, match="no more rows"):
        write_predictions(tmp_path / "predictions.parquet", failing())
    assert list(tmp_path.iterdir()) == []


def test_keras_3_is_refused_in_one_sentence():
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", "import smelu_tf.models"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert (
        "ImportError: smelu_tf.models: expected tf.keras to be tf-keras" in done.stderr
    )
    assert "TF_USE_LEGACY_KERAS=1" in done.stderr


def test_tensorboard_events_hold_the_figures(trained):
    _, model_dir = trained
    paths = [str(path) for path in (model_dir / "tensorboard").iterdir()]
    tags = {
        value.tag
        for record in tf.data.TFRecordDataset(paths).as_numpy_iterator()
        for value in tf.compat.v1.Event.FromString(record).summary.value
    }
    assert "progressive/log_loss" in tags
