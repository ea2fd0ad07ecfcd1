"""models/run_record.py: what a run depended on is written beside it."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from smelu_tf.models import run_record
from smelu_tf.models.run_record import (
    data_summary,
    git_state,
    machine,
    record_run,
    versions,
)
from smelu_tf.pipelines import CRITEO, Categorical, Schema, convert

SCHEMA = Schema("ads", (), (Categorical("site", buckets=10),))


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("1\ta\n0\tb\n")
    return path


def runs_of(model_dir):
    return json.loads((model_dir / "environment.json").read_text())["runs"]


def test_a_run_has_these_keys(tmp_path, rows):
    record_run(tmp_path / "model", schema=SCHEMA, data=rows)
    (run,) = runs_of(tmp_path / "model")
    assert list(run) == [
        "started",
        "command",
        "first_step",
        "warm_start",
        "versions",
        "git",
        "machine",
        "strategy",
        "table_device",
        "compute_dtype",
        "tensor_float_32",
        "schema",
        "data",
        "validation_data",
    ]
    assert run["command"] == sys.argv
    assert run["schema"] == {"name": "ads", "fingerprint": SCHEMA.fingerprint()}


def test_a_run_that_goes_on_is_a_second_entry(tmp_path, rows):
    for first_step in (0, 40):
        record_run(tmp_path, schema=SCHEMA, data=rows, first_step=first_step)
    assert [run["first_step"] for run in runs_of(tmp_path)] == [0, 40]


def test_validation_files_are_told_beside_the_data(tmp_path, rows):
    record_run(tmp_path, schema=SCHEMA, data=rows, validation_data=[str(rows)])
    (run,) = runs_of(tmp_path)
    assert run["validation_data"] == run["data"] == data_summary(rows)


def test_the_start_is_utc(tmp_path, rows):
    record_run(tmp_path, schema=SCHEMA, data=rows)
    assert runs_of(tmp_path)[0]["started"].endswith("+00:00")


def test_no_other_file_is_left(tmp_path, rows):
    record_run(tmp_path / "model", schema=SCHEMA, data=rows)
    assert os.listdir(tmp_path / "model") == ["environment.json"]


def test_no_environment_variable_and_no_user_s_name_is_written(
    tmp_path, rows, monkeypatch
):
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("USER", "someone-by-name")
    monkeypatch.setattr(sys, "argv", ["train.py"])
    record_run(tmp_path / "model", schema=SCHEMA, data=rows)
    text = (tmp_path / "model" / "environment.json").read_text()
    assert "hunter2" not in text
    assert "someone-by-name" not in text


def test_the_strategy_is_that_in_force(tmp_path, rows):
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        record_run(tmp_path, schema=SCHEMA, data=rows)
    assert runs_of(tmp_path)[0]["strategy"] == {
        "name": "OneDeviceStrategy",
        "num_replicas": 1,
    }


@pytest.mark.parametrize("is_allowed", [True, False])
def test_whether_float32_may_be_tf32_is_told(tmp_path, rows, is_allowed):
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(is_allowed)
    try:
        record_run(tmp_path, schema=SCHEMA, data=rows)
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
    assert runs_of(tmp_path)[0]["tensor_float_32"] is is_allowed


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": 3}'])
def test_a_spoilt_file_is_named_and_kept(tmp_path, rows, text):
    (tmp_path / "environment.json").write_text(text)
    with pytest.raises(ValueError, match=r"environment\.json: .*expected .*received"):
        record_run(tmp_path, schema=SCHEMA, data=rows)
    assert (tmp_path / "environment.json").read_text() == text


def test_versions_are_those_of_the_packages():
    found = versions()
    assert found["tensorflow"] == tf.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert None not in found.values()


def test_an_absent_package_has_no_version(monkeypatch):
    monkeypatch.setattr(run_record, "_PACKAGES", ("no-such-package",))
    assert versions()["no-such-package"] is None


def test_a_machine_without_accelerators_has_none():
    found = machine()
    assert found["accelerators"] == []
    assert 1 <= found["num_usable_cores"] <= found["num_cores"]


def test_files_are_told_by_name_and_size(rows):
    expected = [{"name": str(rows), "num_bytes": 8}]
    assert data_summary(rows) == {"num_bytes": 8, "files": expected}


def test_files_of_a_pattern_are_all_told(rows, tmp_path):
    (tmp_path / "more.tsv").write_text("1\ta\n")
    summary = data_summary(f"{tmp_path}/*.tsv")
    assert summary["num_bytes"] == 12
    assert [os.path.basename(f["name"]) for f in summary["files"]] == [
        "more.tsv",
        "rows.tsv",
    ]


def test_blocks_are_told_by_their_manifest_s_checksum(tmp_path, criteo_dir):
    columns = tuple(Categorical(c.name, buckets=9) for c in CRITEO.categorical)
    schema = dataclasses.replace(CRITEO, categorical=columns)
    convert(criteo_dir / "day_0.tsv", schema, tmp_path / "blocks")
    manifest = json.loads((tmp_path / "blocks" / "manifest.json").read_text())
    assert data_summary(tmp_path / "blocks") == {
        "blocks": str(tmp_path / "blocks"),
        "num_rows": 3000,
        "checksum": manifest["checksum"],
    }


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "code.py").write_text("x = 1\n")
    name = ("-c", "user.name=a", "-c", "user.email=a@b")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "one")):
        subprocess.run(["git", "-C", folder, *name, *arguments], check=True)
    return folder


def test_a_commit_is_told(repository):
    head = subprocess.run(
        ["git", "-C", repository, "rev-parse", "HEAD"], capture_output=True, text=True
    )
    expected = {"commit": head.stdout.strip(), "is_dirty": False}
    assert git_state(repository) == expected


def test_a_changed_file_makes_the_tree_dirty(repository):
    (repository / "code.py").write_text("x = 2\n")
    assert git_state(repository)["is_dirty"]


def test_the_repository_is_the_working_directory_s(
    repository, tmp_path, rows, monkeypatch
):
    monkeypatch.chdir(repository)
    record_run(tmp_path / "model", schema=SCHEMA, data=rows)
    assert runs_of(tmp_path / "model")[0]["git"] == git_state(repository)


def test_there_is_no_commit_outside_a_repository(tmp_path):
    assert git_state(tmp_path) is None


def test_a_run_is_recorded_without_git(tmp_path, rows, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    record_run(tmp_path / "model", schema=SCHEMA, data=rows)
    assert runs_of(tmp_path / "model")[0]["git"] is None


def test_a_git_that_hangs_is_not_waited_for(tmp_path, rows, monkeypatch):
    slow = tmp_path / "git"
    slow.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(run_record, "_GIT_SECONDS", 0.2)
    record_run(tmp_path / "model", schema=SCHEMA, data=rows)
    assert runs_of(tmp_path / "model")[0]["git"] is None
