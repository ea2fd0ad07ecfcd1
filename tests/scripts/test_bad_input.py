"""What the scripts say of bad input: one line, and exit code 2."""

import re
import subprocess
import sys

import pytest
from script_runs import SCRIPTS, TINY, run

BAD = {
    "missing file": (
        "train.py",
        ["--data=nothing.tsv", "--model_dir=new"],
        r"nothing\.tsv: expected a file, received none",
    ),
    "empty file": (
        "train.py",
        ["--data=empty.tsv", "--model_dir=new"],
        r"empty\.tsv: expected rows, received an empty file",
    ),
    "column count": (
        "train.py",
        ["--data=bad.tsv", "--model_dir=new"],
        r"bad\.tsv, line 3: expected 40 tab-separated fields \(criteo\), received 39",
    ),
    "label": (
        "evaluate.py",
        ["--data=label.tsv"],
        r"label\.tsv, line 1: field label: expected 0 or 1, received '2'",
    ),
    "integer": (
        "predict.py",
        ["--data=integer.tsv", "--output=new"],
        r"^predict\.py: integer\.tsv, line 1: field I1: "
        "expected an integer .* received 'nan'",
    ),
    "negative beta": (
        "train.py",
        ["--config.model.activation=smelu:-1", "--model_dir=new"],
        "beta: expected a finite number of 0 or more, .* received -1",
    ),
    "NaN beta": (
        "train.py",
        ["--config.model.activation=smelu:nan", "--model_dir=new"],
        "beta: expected a finite number of 0 or more, .* received nan",
    ),
    "infinite beta": (
        "train.py",
        ["--config.model.activation=smelu:inf", "--model_dir=new"],
        "beta: expected a finite number of 0 or more, .* received inf",
    ),
    "activation": (
        "train.py",
        ["--config.model.activation=rleu", "--model_dir=new"],
        "received 'rleu'; the nearest is relu",
    ),
    "config key": (
        "train.py",
        ["--config.optimizer.learning_rat=1", "--model_dir=new"],
        "received config.optimizer.learning_rat; "
        "the nearest is config.optimizer.learning_rate",
    ),
    "config section": (
        "train.py",
        ["--config.model=3", "--model_dir=new"],
        "config.model: expected a field of this section to be set .wide, deep, ",
    ),
    "config key twice": (
        "train.py",
        [*TINY, "--config.model.hidden_units=(4,)", "--model_dir=new"],
        "config.model.hidden_units: expected once, received again",
    ),
    "wide beta": (
        "train.py",
        ["--config.model.activation=smelu:1e39", "--model_dir=new"],
        r"beta: expected a finite number of 0 or more, .* received 1e\+39",
    ),
    "hexadecimal id": (
        "train.py",
        ["--data=id.tsv", "--model_dir=new"],
        r"id\.tsv, line 1: field C1: expected 8 hexadecimal digits .* received 'XY'",
    ),
    "bytes that are no text": (
        "evaluate.py",
        ["--data=bytes.tsv"],
        r"bytes\.tsv, line 1: expected UTF-8 text",
    ),
    "schema": (
        "train.py",
        ["--config.data.schema=spoilt.json", "--model_dir=new"],
        r"spoilt\.json: schema.numeric: expected a list, received 5",
    ),
    "schema's name": (
        "convert.py",
        ["--schema=criterio", "--output_dir=new"],
        r"schema: expected a preset \(criteo, ",
    ),
    "too large a table": (
        "train.py",
        ["--config.model.embedding_dim=1000000000", "--model_dir=new"],
        "OOM|memory|allocat",
    ),
    "predictions into a folder": (
        "predict.py",
        ["--output=demo"],
        "demo: expected a file to write, received a folder",
    ),
    "rejects into a folder": (
        "evaluate.py",
        ["--data=bad.tsv", "--max_bad_rows=1", "--rejects=demo"],
        "demo: expected a file that rejects can be written to",
    ),
    "config value": (
        "train.py",
        ["--config.optimizer.learning_rate=fast", "--model_dir=new"],
        "could not convert string to float: 'fast'",
    ),
    "preset": (
        "train.py",
        ["--config=nothing", "--model_dir=new"],
        "expected one of criteo_small, criteo_kaggle, .*, received 'nothing'",
    ),
    "another model's dir": (
        "train.py",
        [*TINY, "--config.model.activation=relu"],
        "model.activation is 'smelu:1' there, 'relu' here",
    ),
    "no model": (
        "export.py",
        ["--model_dir=nothing", "--output_dir=new"],
        "nothing: expected a model_dir, received a path without config.json",
    ),
    "unknown flag": ("evaluate.py", ["--modle=x"], "Unknown command line flag 'modle'"),
    "stray argument": ("evaluate.py", ["x"], "expected flags only .* received 'x'"),
    "number of rows": (
        "generate.py",
        ["--num_rows=3", "--output_dir=new"],
        "expected .* received 3",
    ),
}


# A process each: the others, whose sentences the library's own tests check, take longer
# than they tell.
QUICK = (
    "missing file",
    "config key",
    "unknown flag",
    "stray argument",
)


@pytest.mark.parametrize(
    "case",
    [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in BAD],
)
def test_bad_input_gives_one_clear_line_and_exit_code_2(work, case):
    name, arguments, message = BAD[case]
    good = (work / "demo" / "data" / "day_0.tsv").read_text().splitlines()
    fields = good[0].split("\t")
    (work / "empty.tsv").touch()
    (work / "bad.tsv").write_text("\n".join([*good[:2], "\t".join(fields[:-1])]))
    (work / "label.tsv").write_text("\t".join(["2", *fields[1:]]))
    (work / "id.tsv").write_text("\t".join([*fields[:14], "XY", *fields[15:]]))
    (work / "bytes.tsv").write_bytes(b"\t".join([b"1", b"\xff", *[b""] * 38]))
    (work / "spoilt.json").write_text(
        '{"version": 1, "name": "x", "numeric": 5, "categorical": []}'
    )
    (work / "integer.tsv").write_text("\t".join(["1", "nan", *fields[2:]]))
    before = sorted(path.name for path in work.iterdir())
    code, out, err = run(name, *arguments, cwd=work)
    assert code == 2, err
    assert out == ""
    quoted = "bad row passed over: "
    lines = [line for line in err.splitlines() if not line.startswith(quoted)]
    assert len(lines) == 1, err
    (line,) = lines
    assert line.startswith(f"{name}: ")
    assert re.search(message, line), line
    assert sorted(path.name for path in work.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "output"), [("export.py", "--output_dir=x"), ("predict.py", "--output=x")]
)
@pytest.mark.slow
def test_no_space_is_one_clear_line_and_leaves_nothing(work, tmp_path, name, output):
    command = f"ulimit -f 8; exec {sys.executable} {SCRIPTS / name} {output} "
    command += f"--model{'_dir' if name == 'export.py' else ''}={work}/demo/model "
    if name == "predict.py":
        command += f"--data={work}/demo/data/day_6.tsv"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if "rows" not in line]
    assert len(lines) == 1, done.stderr
    assert re.search("x.*could not be written|File too large", lines[0])
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
