"""The scripts from end to end, as a user calls them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
TINY = ("--config.model.hidden_units=(8,4)", "--config.model.embedding_dim=4")
# Each script's process may not grow without bound when a test goes wrong.
TIMEOUT = 200


def run(name, *arguments, cwd, **environment):
    """A script's exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / name, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with demo/data, demo/model and demo/export, made by the scripts."""
    folder = tmp_path_factory.mktemp("work")
    for name, *arguments in (
        ("generate.py", "--num_rows=14000"),
        ("train.py", *TINY),
        ("export.py",),
    ):
        code, out, err = run(name, *arguments, cwd=folder)
        assert code == 0, err
    return folder


def test_generate_writes_days_and_the_truth(work):
    files = sorted(path.name for path in (work / "demo" / "data").iterdir())
    assert files == [*(f"day_{i}.tsv" for i in range(7)), "truth.json"]


def test_train_s_figures_are_in_metrics_json_and_on_stdout(work):
    code, out, err = run("train.py", *TINY, "--json", cwd=work)  # ended: at once
    assert code == 0, err
    shown = json.loads(out)
    metrics = json.loads((work / "demo" / "model" / "metrics.json").read_text())
    assert metrics["progressive"]["num_examples"] == 12_000
    assert {name: shown[name] for name in metrics["progressive"]} == metrics[
        "progressive"
    ]


def test_convert_makes_blocks_and_returns_at_once_when_called_again(work):
    for _ in range(2):
        code, out, err = run("convert.py", "--rows_per_block=512", "--json", cwd=work)
        assert code == 0, err
        figures = json.loads(out)
        assert figures["num_rows"] == 12_000
        assert figures["num_bad_rows"] == 0
    code, out, err = run("convert.py", "--rows_per_block=500", cwd=work)
    assert code == 2
    assert "which differs in rows_per_block (500, not 512)" in err
    code, out, err = run("convert.py", "--schema=criterio", cwd=work)
    assert code == 2
    assert "schema: expected a preset (criteo, " in err


@pytest.mark.parametrize("model", ["demo/model", "demo/export/1"])
def test_evaluate_and_predict_a_model_dir_or_a_saved_model(work, model, tmp_path):
    code, out, err = run("evaluate.py", f"--model={model}", "--json", cwd=work)
    assert code == 0, err
    figures = json.loads(out)
    assert figures["num_examples"] == 2000
    assert 0.3 < figures["log_loss"] < 0.7
    metrics = json.loads((work / "demo" / "model" / "metrics.json").read_text())
    assert ("evaluation" in metrics) or model == "demo/export/1"
    parquet = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / "predictions.parquet"
    code, out, err = run(
        "predict.py", f"--model={model}", f"--output={output}", cwd=work
    )
    assert code == 0, err
    table = parquet.read_table(output)
    probability = table["probability"].to_numpy().astype(np.float64)
    label = table["label"].to_numpy()
    loss = -np.mean(np.log(np.where(label == 1, probability, 1 - probability)))
    assert loss == pytest.approx(figures["log_loss"], rel=1e-5)


def test_lines_are_scored_by_a_process_that_has_only_tensorflow(work, tmp_path):
    sys.path.insert(0, str(SCRIPTS))
    try:
        import isolation
    finally:
        sys.path.remove(str(SCRIPTS))
    code = "import importlib.util as u; print([m for m in ('smelu_tf', 'tf_keras', \
'tensorflow_recommenders', 'pandas', 'ml_collections', 'pip') if u.find_spec(m)])"
    output = isolation.run_with_tensorflow_only(tmp_path / "site", ["-c", code])
    assert output.strip() == b"[]"
    lines = (work / "demo" / "data" / "day_6.tsv").read_bytes().splitlines()
    unlabelled = b"\n".join(line.partition(b"\t")[2] for line in lines)
    scores = isolation.run_with_tensorflow_only(
        tmp_path / "again",
        [str(SCRIPTS / "score_lines.py"), str(work / "demo" / "export" / "1")],
        unlabelled,
    )
    served = np.array([line.split() for line in scores.splitlines()], np.float32)
    from smelu_tf.models import ScoringJob, predict

    job = ScoringJob.open(work / "demo" / "model", work / "demo" / "data" / "day_6.tsv")
    own = np.concatenate([c.probability for c in predict(job.scorer, job.batches)])
    np.testing.assert_allclose(served[:, 0], own, rtol=1e-5)


def score_lines(model, stdin, cwd):
    """The exit code, standard output and the last line of standard error."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / "score_lines.py", model],
        input=stdin,
        cwd=cwd,
        capture_output=True,
        timeout=TIMEOUT,
    )
    return done.returncode, done.stdout, done.stderr.decode().splitlines()[-1]


def test_a_line_that_cannot_be_scored_is_named(work):
    good = b"\t" * 38 + b"\n"
    model = work / "demo" / "export" / "1"
    code, out, message = score_lines(model, good * 5000 + b"\t\n" + good, work)
    assert code == 2
    assert out.count(b"\n") == 4096  # whole batches before it
    expected = "line 5001: expected 39 fields (criteo), received 2."
    assert message == f"score_lines.py: {expected}"
    code, out, message = score_lines("nothing", good, work)
    assert (code, out) == (2, b"")
    assert re.match("score_lines.py: SavedModel file does not exist at: no", message)


def test_a_reader_of_scores_may_stop_early(work):
    command = f"yes '{chr(9) * 38}' | head -20000 | {sys.executable} "
    command += f"{SCRIPTS / 'score_lines.py'} demo/export/1 | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=work, capture_output=True, timeout=TIMEOUT
    )
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


NAMES = sorted(
    path.name
    for path in SCRIPTS.glob("*.py")
    if "__main__" in path.read_text() and path.name != "score_lines.py"
)


@pytest.mark.parametrize("name", NAMES)
def test_help_is_the_docstring_and_every_flag(name, tmp_path):
    code, out, err = run(name, "--help", cwd=tmp_path)
    assert code == 0
    source = (SCRIPTS / name).read_text()
    assert source.split('"""')[1].splitlines()[0] in out
    flags = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source))
    if "define_scoring_flags" in source:
        flags |= {"model", "data", "max_bad_rows", "rejects", "batch_size"}
    if "define_config" in source:
        flags.add("config")
    assert [flag for flag in flags if not re.search(rf"--(\[no\])?{flag}:", out)] == []


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
        "expected one of criteo_small, received 'nothing'",
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
    "column count",
    "integer",
    "config key",
    "schema",
    "another model's dir",
    "no model",
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


def test_figures_are_shown_even_where_they_cannot_be_kept(work, tmp_path):
    model = shutil.copytree(work / "demo" / "model", tmp_path / "model")
    (model / "metrics.json").write_text("[]")
    code, out, err = run("evaluate.py", f"--model={model}", "--json", cwd=work)
    assert code == 2
    assert json.loads(out)["num_examples"] == 2000
    assert "metrics.json: expected a JSON object" in err.splitlines()[-1]


def test_keras_3_is_refused_by_the_scripts(work):
    code, out, err = run("evaluate.py", cwd=work, TF_USE_LEGACY_KERAS="0")
    assert code == 2
    (line,) = err.splitlines()
    assert "expected tf.keras to be tf-keras" in line
    assert "TF_USE_LEGACY_KERAS=1" in line


def test_bad_rows_are_passed_over_on_request(work, tmp_path):
    good = (work / "demo" / "data" / "day_6.tsv").read_text().splitlines()[:50]
    (tmp_path / "day.tsv").write_text("\n".join(["1\t2", *good, "x"]))
    arguments = [f"--model={work}/demo/model", "--data=day.tsv", "--json"]
    code, out, err = run("evaluate.py", *arguments, "--max_bad_rows=2", cwd=tmp_path)
    assert code == 0, err
    assert json.loads(out)["num_bad_rows"] == 2
    assert "day.tsv, line 1: expected 40" in err
    assert (tmp_path / "rejects.txt").read_text() == "1\t2\nx\n"
    code, out, err = run("evaluate.py", *arguments, "--max_bad_rows=1", cwd=tmp_path)
    assert code == 2
    assert "line 52" in err.splitlines()[-1]


@pytest.mark.slow
def test_crlf_lines_are_fine(work, tmp_path):
    lines = (work / "demo" / "data" / "day_6.tsv").read_text().splitlines()
    (tmp_path / "day.tsv").write_text("\r\n".join(lines), newline="")
    model = f"--model={work}/demo/model"
    figures = []
    for data in (work / "demo" / "data" / "day_6.tsv", "day.tsv"):
        code, out, _ = run(
            "evaluate.py", model, f"--data={data}", "--json", cwd=tmp_path
        )
        assert code == 0
        figures.append(json.loads(out))
    assert figures[0] == figures[1]


def test_the_demo_ends_with_its_table(tmp_path):
    code, out, err = run("demo.py", "--num_rows=21000", cwd=tmp_path)
    assert code == 0, err
    assert re.search(r"log loss +0\.\d+ +0\.\d+ +0\.\d+ +0\.\d+", out)
    assert re.search(r"prediction difference, seeds +[\d.]+% +[\d.]+%", out)
    (difference,) = re.findall(r"probabilities (\S+)\.\n", out)
    assert float(difference) < 1e-5


def test_scripts_have_a_short_main():
    for name in NAMES:
        source = (SCRIPTS / name).read_text()
        body = re.split(r"def main\(.*\) -> None:", source)[1].split("\n\n\n")[0]
        assert len(body.splitlines()) <= 40, name
