"""scripts/reproducibility.py, as a user calls it."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from script_runs import command, run

from smelu_tf.pipelines import generate

TINY = (
    "--config.model.hidden_units=(4,)",
    "--config.model.embedding_dim=2",
    "--replicas=3",
    "--learning_rates=0.01",
)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with demo/data and a study of it, made by the script."""
    folder = tmp_path_factory.mktemp("work")
    generate(folder / "demo" / "data", num_rows=3500)
    code, out, err = run(
        "reproducibility.py", *TINY, "--activations=relu,smelu:1", cwd=folder
    )
    assert code == 0, err
    (folder / "out.txt").write_text(out)
    (folder / "err.txt").write_text(err)
    return folder


def test_the_table_and_the_report_have_the_chosen_cells(work):
    lines = (work / "out.txt").read_text().splitlines()
    assert lines[0].split()[:3] == ["activation", "technique", "rate"]
    assert [line.split()[0] for line in lines[1:3]] == ["relu", "smelu:1"]
    assert lines[-1] == "wrote demo/reproducibility/report.html"
    folder = work / "demo" / "reproducibility"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["cells", "report.html", "report.json", "study.json"]
    report = json.loads((folder / "report.json").read_text())
    assert [cell["activation"] for cell in report["best"]] == ["relu", "smelu:1"]
    assert report["num_rows"] == {"train": 3000, "validation": 300, "test": 500}
    assert report["config"]["model"]["hidden_units"] == [4]
    pd = report["best"][1]["pd"]
    assert f"{pd['mean']:.4f} [{pd['low']:.4f}, {pd['high']:.4f}]" in lines[2]
    assert 0 < pd["mean"] < 1
    progress = (work / "err.txt").read_text().splitlines()
    assert progress[-1].startswith("study: 18,000 examples, ")


@pytest.mark.slow
def test_the_same_command_again_keeps_the_cells(work):
    folder = work / "demo" / "reproducibility"
    before = {p: p.stat().st_mtime_ns for p in (folder / "cells").iterdir()}
    (folder / "report.html").unlink()
    arguments = (*TINY, "--activations=relu,smelu:1", "--json")
    code, out, err = run("reproducibility.py", *arguments, cwd=work)
    assert code == 0, err
    assert json.loads(out) == json.loads((folder / "report.json").read_text())
    assert (folder / "report.html").exists()
    assert {p: p.stat().st_mtime_ns for p in (folder / "cells").iterdir()} == before


BAD = {
    "rate": (["--learning_rates=fast"], "--learning_rates: expected numbers, received"),
    "activation": (["--activations=rleu"], "received 'rleu'; the nearest is relu"),
    "technique": (
        ["--techniques=magic"],
        "technique: expected one of none, layer_norm",
    ),
    "source": (["--varies=weather"], "varies: expected one of init, order"),
    "none": (["--activations="], "activations: expected one or more"),
    "replicas": (["--replicas=1"], "replicas"),
    "missing": (["--data=nothing.tsv"], "nothing.tsv: expected a file, received none"),
    "row": (["--test_data=bad.tsv"], "bad.tsv, line 1: expected 40 tab-separated"),
    "another": (["--replicas=4"], "num_replicas is 3 there, 4 here"),
    "folder": (["--output_dir=demo"], "demo: expected a new or empty folder"),
    "diverged": (
        [
            *TINY[:2],
            "--learning_rates=1e6",
            "--replicas=2",
            "--activations=relu",
            "--output_dir=new/study",
        ],
        r"cell relu_none_1e\+06_init: expected a finite .* diverged",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_clear_line_and_exit_code_2(work, case):
    arguments, message = BAD[case]
    (work / "bad.tsv").write_text("1\t2\n")
    code, out, err = run("reproducibility.py", *arguments, cwd=work)
    assert (code, out) == (2, "")
    lines = [line for line in err.splitlines() if not line.startswith("study: ")]
    assert len(lines) == 1 and re.search(message, lines[0]), err
    assert not any(work.glob("new/study/cells/*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_study_that_is_stopped_leaves_whole_files_and_goes_on(work, tmp_path, number):
    data = work / "demo" / "data"
    arguments = [
        *TINY,
        f"--data={data}/day_[0-5].tsv",
        f"--test_data={data}/day_6.tsv",
        "--activations=relu,smelu:1,smelu:2,gelu",
        f"--output_dir={tmp_path / 'study'}",
    ]
    cells = tmp_path / "study" / "cells"
    program = command("reproducibility.py", *arguments)
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        try:
            end = time.monotonic() + 120
            while not any(cells.glob("*.npz")):
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.02)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "reproducibility.py: interrupted."
    assert "Traceback" not in err
    kept = {path: path.stat().st_mtime_ns for path in cells.iterdir()}
    assert 1 <= len(kept) < 4
    assert not [p for p in (tmp_path / "study").rglob("*") if "partial" in p.name]
    done = subprocess.run(program, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
    assert len([*cells.iterdir()]) == 4


@pytest.mark.slow
def test_a_study_of_threads_runs_from_the_command_line(work):
    arguments = (*TINY[:2], "--replicas=2", "--activations=relu")
    code, out, err = run(
        "reproducibility.py",
        *arguments,
        "--learning_rates=0.01",
        "--varies=threads",
        "--config.train.deterministic=true",
        "--output_dir=threads",
        "--json",
        cwd=work,
    )
    assert code == 0, err
    assert json.loads(out)["best"][0]["pd"]["mean"] == 0
    assert not [line for line in err.splitlines() if not line.startswith("study: ")]


@pytest.mark.slow
def test_without_matplotlib_the_command_that_installs_it_is_named_at_once(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('none')")
    done = subprocess.run(
        command("reproducibility.py"),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "pip install 'smelu-tf[plot]'" in line
