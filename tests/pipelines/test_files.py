"""pipelines/files.py: files are named when they cannot be read, and written whole."""

import pytest

from smelu_tf.pipelines import expand_files, replacing


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
