"""pipelines/files.py: files are named when they cannot be read, and written whole."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.pipelines import expand_files
from smelu_tf.pipelines.files import (
    reading,
    reason_of,
    remove_leftovers,
    replacing,
    writing,
)


@pytest.mark.parametrize("kind", ["missing", "empty", "folder"])
def test_files_that_cannot_be_read_are_named(tmp_path, kind):
    path = tmp_path / "day.tsv"
    if kind == "empty":
        path.touch()
    if kind == "folder":
        path.mkdir()
    with pytest.raises(ValueError, match=r"day\.tsv: expected .* received"):
        expand_files(path)


def test_no_file_at_all_is_an_error():
    with pytest.raises(ValueError, match=r"^files: expected one or more, received no"):
        expand_files([])


def test_globs_are_sorted_and_commas_separate(tmp_path):
    for name in ("b1", "b0", "a"):
        (tmp_path / name).write_text("x")
    got = expand_files(f"{tmp_path}/b*,{tmp_path}/a")
    assert [path[-2:] for path in got] == ["b0", "b1", "/a"]


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "figures.json"
    with replacing(path) as temporary:
        temporary.write_text("{}")
        assert not path.exists()
    assert path.read_text() == "{}"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_error_leaves_what_was_there(tmp_path, kind):
    path = tmp_path / "figures.json"
    path.write_text("old")
    with pytest.raises(KeyError), replacing(path) as temporary:
        if kind == "folder":
            temporary.mkdir()
            (temporary / "part").write_text("new")
        else:
            temporary.write_text("new")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    with pytest.raises(ValueError, match="expected a file to write, received a folder"):
        with replacing(tmp_path):
            raise AssertionError("nothing is written")


def test_errors_of_tensorflow_name_the_path_in_one_line(tmp_path):
    checkpoint = tf.train.Checkpoint(value=tf.Variable(np.zeros(1000)))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"/file: could not be written: .+\.$") as caught:
        with writing(tmp_path / "file"):
            checkpoint.write(str(tmp_path / "file" / "ckpt"))
    assert "\n" not in str(caught.value)
    prefix = checkpoint.write(str(tmp_path / "ckpt"))
    data = tmp_path / "ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:4000])
    with pytest.raises(ValueError, match="expected weights, received one that cannot"):
        with reading(prefix, "weights"):
            checkpoint.read(prefix)


def test_an_error_without_a_path_gets_one(tmp_path):
    with pytest.raises(OSError, match="No space left on device: '.*/figures.json'"):
        with replacing(tmp_path / "figures.json"):
            raise OSError(28, "No space left on device")


def test_the_reason_of_a_long_error_is_its_sentence():
    @tf.function
    def fails(x):
        return tf.debugging.check_numerics(tf.math.log(x), "no logarithm")

    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        fails(tf.constant(-1.0))
    assert reason_of(caught.value) == "no logarithm : Tensor had NaN values."
    assert reason_of(ValueError("one\ntwo")) == "one."
    assert reason_of(KeyError()) == "KeyError."


def leave(folder, process, origin=None, name="7"):
    """A folder that a process of a number was writing, and another one's origin."""
    with replacing(folder / "probe") as probe:
        *_, mine, _, _ = probe.name.split(".")
        probe.touch()
    (folder / "probe").unlink()
    left = folder / f".{name}.{origin or mine}.{process}.partial"
    left.mkdir(parents=True)
    (left / "part").write_text("x")
    return left


@pytest.fixture
def dead_process():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_dead_processes_of_this_machine_are_removed(
    tmp_path, dead_process
):
    dead = leave(tmp_path, dead_process)
    living = leave(tmp_path, os.getppid(), name="8")
    own = leave(tmp_path, os.getpid(), name="9")
    elsewhere = leave(tmp_path, dead_process, origin="01234567")
    others = [tmp_path / "1", tmp_path / ".hidden", tmp_path / "x.partial"]
    for path in others:
        path.mkdir()
    remove_leftovers(tmp_path)
    assert not dead.exists()
    assert {*tmp_path.iterdir()} == {living, own, elsewhere, *others}


def test_leftovers_without_a_change_for_a_day_are_removed(tmp_path, dead_process):
    old, young, mixed = (
        leave(tmp_path, dead_process, origin=f"0123456{i}") for i in range(3)
    )
    for path in (old, old / "part", mixed):
        os.utime(path, (time.time() - 90_000,) * 2)
    remove_leftovers(tmp_path)
    assert {*tmp_path.iterdir()} == {young, mixed}


def test_what_changes_while_it_is_looked_at_is_no_leftover(tmp_path, monkeypatch):
    left = leave(tmp_path, 1, origin="01234567")
    for path in (left / "part", left):
        os.utime(path, (time.time() - 90_000,) * 2)

    def vanishing(folder, pattern):
        raise FileNotFoundError(2, "No such file or directory", str(folder / "part"))

    monkeypatch.setattr(Path, "rglob", vanishing)
    remove_leftovers(tmp_path)
    assert left.exists()


def test_what_an_earlier_process_of_this_number_left_is_not_written_into(tmp_path):
    left = leave(tmp_path, os.getpid())
    with replacing(tmp_path / "7") as temporary:
        assert temporary == left
        temporary.mkdir()
    assert [*(tmp_path / "7").iterdir()] == []
