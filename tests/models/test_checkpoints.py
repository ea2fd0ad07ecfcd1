"""models/checkpoints.py: whose a model_dir is, and what of it is spoilt."""

import dataclasses
import resource
import shutil
from pathlib import Path

import pytest
import small_runs
import tensorflow as tf
from same_weights import assert_same_weights

from smelu_tf.models import load_model, train
from smelu_tf.pipelines import Schema

SMALL = small_runs.CROSSED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "relu"}, "model.activation is 'smelu:0.5' there, 'relu' here"),
        ({"hidden_units": (16, 9)}, "model.hidden_units"),
    ],
)
def test_a_model_dir_of_another_model_is_refused(
    small_run, criteo_dir, change, message
):
    other = dataclasses.replace(SMALL, model=dataclasses.replace(SMALL.model, **change))
    with pytest.raises(ValueError, match=message):
        train(other, criteo_dir / "day_[0-5].tsv", small_run[1])


def test_a_model_dir_of_other_data_s_vocabularies_is_refused(small_run, criteo_dir):
    with pytest.raises(ValueError, match="schema differs in C1.vocabulary, "):
        train(SMALL, criteo_dir / "day_6.tsv", small_run[1])


def test_a_folder_of_something_else_is_refused_and_untouched(criteo_dir, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="expected a new or empty folder"):
        train(SMALL, criteo_dir / "day_0.tsv", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_a_run_killed_at_its_start_leaves_is_no_hindrance(criteo_dir, tmp_path):
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    (model_dir / "schema.json").write_text("{")
    (model_dir / ".config.json.0a1b2c3d.123.partial").write_text("{")
    train(small_runs.hashed(SMALL, tmp_path), criteo_dir / "day_6.tsv", model_dir)
    assert Schema.load(model_dir / "schema.json").name == "criteo"


@pytest.fixture
def copied(small_run, tmp_path):
    """A copy of the trained model_dir, to be spoilt."""
    return shutil.copytree(small_run[1], tmp_path / "copied")


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
def test_a_checkpoint_that_nothing_names_is_found(small_run, copied, criteo_dir, what):
    """A run killed just before it names its first checkpoint leaves the like."""
    spoil(copied, what)
    (copied / "checkpoints" / "ckpt-9999_temp").mkdir()  # killed while saving
    again = train(SMALL, criteo_dir / "day_[0-5].tsv", copied)
    assert again.rows_per_second is None
    for model in (again.model, load_model(copied)):
        assert_same_weights(model, small_run[0].model)


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
    config = small_runs.hashed(SMALL, tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large|could not be written") as got:
            train(config, criteo_dir / "day_0.tsv", tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(got.value)
    assert not (tmp_path / "model").exists()


def test_a_loaded_model_is_the_trained_one(small_run):
    result, model_dir = small_run
    assert_same_weights(load_model(model_dir), result.model)
