"""scripts/schema.py and scripts/join_movielens.py as a user runs them."""

import json

import pytest
from script_runs import run

from smelu_tf.pipelines import Schema


@pytest.fixture
def folder(tmp_path):
    """A folder with x.csv, of three columns."""
    lines = [f"{i % 2},{i % 7},{'a' if i % 3 else 'b'}" for i in range(60)]
    (tmp_path / "x.csv").write_text("\n".join(["click,n,site", *lines]))
    return tmp_path


def test_a_schema_is_proposed_and_shown(folder):
    code, out, err = run("schema.py", "--data=x.csv", cwd=folder)
    assert (code, err) == (0, "")
    shown = {line.split()[0]: line.split()[1] for line in out.splitlines() if line}
    assert shown["click"] == "label" and shown["site"] == "categorical"
    assert "--config.data.schema=schema.json" in out
    schema = Schema.load(folder / "schema.json")
    assert schema.label.name == "click"


@pytest.mark.slow
def test_a_schema_is_not_written_over(folder):
    (folder / "schema.json").write_text("edited")
    code, out, err = run("schema.py", "--data=x.csv", cwd=folder)
    assert code == 2 and out == ""
    assert "schema.json: expected a new file" in err and err.count("\n") == 1
    assert (folder / "schema.json").read_text() == "edited"
    code, out, err = run(
        "schema.py", "--data=x.csv", "--overwrite", "--json", cwd=folder
    )
    assert code == 0
    assert json.loads(out)["num_rows"] == 60


@pytest.mark.slow
def test_a_file_to_look_at_has_to_be_named(tmp_path):
    code, out, err = run("schema.py", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err == "schema.py: --data: expected a file to look at, received none.\n"


@pytest.mark.slow
def test_a_folder_that_is_not_movielens_is_one_line(tmp_path):
    code, out, err = run("join_movielens.py", "--data=.", cwd=tmp_path)
    assert code == 2 and out == ""
    assert "expected the folder of MovieLens" in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
