"""pipelines/files.py: files are named when they cannot be read, and written whole."""

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.pipelines import expand_files
from smelu_tf.pipelines.files import reading, reason_of, replacing, writing


@pytest.mark.parametrize("kind", ["missing", "empty", "folder"])
def test_files_that_cannot_be_read_are_named(tmp_path, kind):
    path = tmp_path / "day.tsv"
    if kind == "empty":
        path.touch()
    if kind == "folder":
        path.mkdir()
    with pytest.raises(ValueError, match=r"day\.tsv: expected .* received"):
        expand_files(path)


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
