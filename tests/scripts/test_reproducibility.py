"""scripts/reproducibility.py: the command, its report, and the report in a browser."""

import dataclasses
import html
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_rows

from smelu_tf.models import Study, study_report

SCRIPTS = Path(__file__).parents[2] / "scripts"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TINY = (
    "--config.model.hidden_units=(4,)",
    "--config.model.embedding_dim=2",
    "--replicas=3",
    "--learning_rates=0.01",
)


def command(name, *arguments):
    return [sys.executable, SCRIPTS / name, *map(str, arguments)]


def run(name, *arguments, cwd):
    done = subprocess.run(
        command(name, *arguments), cwd=cwd, capture_output=True, text=True, timeout=200
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def figures(monkeypatch):
    """The package that draws."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(SCRIPTS)

    def named(name):
        return importlib.import_module(f"figures.{name}")

    return named


def made_report(study, num_models=5):
    """The report of a study whose results are made up."""
    results = {
        cell: small_rows.make_result(
            seed=i,
            spread=0.25 + 0.02 * (i * 7 % 11),
            strength=1 + 0.04 * (i * 5 % 13),
            num_models=num_models,
        )
        for i, cell in enumerate(study.cells())
    }
    report = {
        "study": dataclasses.asdict(study),
        "config": dataclasses.asdict(small_rows.CONFIG),
        "data": {"train": "logs/day_[0-5].tsv", "test": "logs/day_6.tsv"},
        **study_report(study, small_rows.make_study_rows(), results),
    }
    return json.loads(json.dumps(report))


@pytest.fixture(scope="module")
def report():
    """Of many cells with long names, and of two sources of variation."""
    return made_report(
        Study(
            ("relu", "smelu:0.25", "smelu:0.5", "smelu:1", "gsmelu:g_minus=0.2:t=-0.2"),
            ("none", "layer_norm+model.dropout=0.1"),
            (0.001, 0.002),
            ("init", "order"),
        )
    )


@pytest.fixture(scope="module")
def page(report):
    """The page of that report."""
    pytest.importorskip("matplotlib")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        return importlib.import_module("figures.reproducibility").page(report)


def small_report():
    return made_report(Study(("relu", "smelu:1"), learning_rates=(0.001, 0.002)))


# ----------------------------------------------------------------------- command


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with demo/data and a study of it, made by the script."""
    from smelu_tf.pipelines import generate

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


@pytest.mark.parametrize(
    "case",
    [
        case
        if case in ("rate", "another")
        else pytest.param(case, marks=pytest.mark.slow)
        for case in BAD
    ],
)
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


@pytest.mark.slow
def test_a_report_is_drawn_again(tmp_path):
    image = pytest.importorskip("matplotlib.image")
    (tmp_path / "report.json").write_text(json.dumps(small_report()))
    code, out, err = run(
        "draw_reproducibility.py", "--report=report.json", cwd=tmp_path
    )
    assert code == 0, err
    plots = ("tradeoff", "rates", "deciles", "course")
    names = [f"init_{plot}.png" for plot in plots]
    assert out.splitlines() == [f"wrote plots/{n}" for n in (*names, "report.html")]
    for name in names:
        pixels = image.imread(tmp_path / "plots" / name)[..., :3]
        assert pixels.std() > 0.05 and min(pixels.shape[:2]) >= 300
    (tmp_path / "report.json").write_text('{"cells": []}')
    code, out, err = run(
        "draw_reproducibility.py", "--report=report.json", cwd=tmp_path
    )
    assert code == 2
    assert "report.json: expected the report of a study, received no study." in err


# -------------------------------------------------------------------------- words


def comparison(ratio, loss):
    """A report of ReLU and one other, with these intervals (low, mean, high)."""
    study = Study(("relu", "smelu:1"), learning_rates=(0.001,))
    report = made_report(study)
    reference, other = report["best"]
    names = ("low", "mean", "high")
    reference["pd"] = dict(zip(names, (0.139, 0.143, 0.148), strict=True))
    compared = other["compared"]
    compared["pd_ratio"] = ratio and dict(zip(names, ratio, strict=True))
    compared["log_loss_difference"] = dict(zip(names, loss, strict=True))
    return report


def test_the_summary_says_what_the_figures_say(figures):
    first, second = figures("study_text").summary(
        comparison((0.64, 0.67, 0.7), (-0.0016, -0.0012, 0.001)), "init"
    )
    assert first == (
        "5 models of each kind that differ in the seed of their initial weights: two "
        "of ReLU differ by 14.3 % of their mean prediction (95 % interval: 13.9 % to "
        "14.8 %), averaged over 150 rows that none was trained on."
    )
    assert second == (
        "SmeLU 1 has 33 % less prediction difference than ReLU (95 % interval: 30 % to "
        "36 % less), at a log loss 0.0012 lower (0.0016 lower to 0.0010 higher)."
    )


@pytest.mark.parametrize(
    ("ratio", "loss", "expected"),
    [
        (
            (0.93, 0.97, 1.02),
            (0.0001, 0.0003, 0.0005),
            "SmeLU 1 has 3.0 % less prediction difference than ReLU, which may be "
            "chance (95 % interval: 7.0 % less to 2.0 % more), at a log loss 0.00030 "
            "higher (0.00010 to 0.00050 higher).",
        ),
        (
            (1.2, 1.4, 1.5),
            (-0.002, -0.0015, -0.001),
            "SmeLU 1 has 40 % more prediction difference than ReLU (95 % interval: "
            "20 % to 50 % more), at a log loss 0.0015 lower (0.0010 to 0.0020 lower).",
        ),
        (
            (None, 0.5, None),
            (-0.002, -0.0015, -0.001),
            "SmeLU 1 has 50 % less prediction difference than ReLU, at a log loss "
            "0.0015 lower (0.0010 to 0.0020 lower).",
        ),
    ],
)
def test_directions_and_chance_are_said(figures, ratio, loss, expected):
    assert figures("study_text").summary(comparison(ratio, loss), "init")[1] == expected


def test_models_that_agree_are_said_to(figures):
    report = comparison(None, (-0.1, 0.0, 0.1))
    for cell in report["best"]:
        cell["pd"] = {"mean": 0.0, "low": 0.0, "high": 0.0}
    first, second = figures("study_text").summary(report, "init")
    assert first.endswith("those of ReLU agree to the last bit.")
    assert second.startswith("Those of SmeLU 1 agree to the last bit, at a log loss")


def test_titles_are_those_of_the_literature(figures):
    title = figures("study_text").title
    assert title({"activation": "smelu:0.5", "technique": "none"}) == "SmeLU 0.5"
    mixed = {"activation": "smelu:1/relu", "technique": "layer_norm"}
    assert title(mixed) == "SmeLU 1 / ReLU, layer_norm"


def test_the_front_holds_what_nothing_betters(figures):
    front = figures("study_plots").pareto_front
    points = [(3, 1), (1, 3), (2, 2), (2, 3), (3, 2), (1, 3), (4, 1)]
    assert front(points) == [(1, 3), (2, 2), (3, 1)]
    assert front([(1, 1)]) == [(1, 1)]


# --------------------------------------------------------------------------- page


def test_the_page_needs_nothing_else(page):
    assert not re.search(r"<(script|link|img|iframe|object)|@import|\ssrc=", page)
    links = re.findall(r'(?:href="|url\()([^")]*)', page)
    assert links and all(link.startswith("#") for link in links)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    assert page.count("<svg") == 8 and page.count("<tr>") == 2 + 20 + 40
    assert '<meta name="viewport" content="width=device-width' in page


def test_all_text_is_escaped(figures):
    hostile = small_report()
    text = "<b>$x & \"y'$"
    for cell in (*hostile["cells"], *hostile["best"]):
        if cell["activation"] != "relu":
            cell["technique"] = text
    hostile["data"]["train"] = text
    page = figures("reproducibility").page(hostile)
    assert "<b>" not in page
    assert html.escape(text) in page


def test_two_replicas_and_one_rate_make_a_page_too(figures):
    study = Study(("relu", "smelu:1"), learning_rates=(0.001,), num_replicas=2)
    page = figures("reproducibility").page(made_report(study, num_models=2))
    assert page.count("<svg") == 3  # one rate makes no curve


def test_a_page_is_written_whole_or_not_at_all(figures, tmp_path):
    module = figures("reproducibility")
    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(KeyError):
        module.write_page({**small_report(), "num_rows": {}}, path)
    assert path.read_text() == "before"
    with pytest.raises(ValueError, match="not JSON compliant"):
        module.write_json({"x": float("nan")}, tmp_path / "report.json")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


WRAPPER = """<!DOCTYPE html><meta charset="utf-8">
<iframe style="width: {width}px; height: 800px; border: 0" srcdoc="{page}"></iframe>
<pre></pre>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  const found = {{
    client: root.clientWidth, scroll: root.scrollWidth, wide: [], crossed: [],
    tables: [...page.querySelectorAll(".scroll")].map(
      box => [box.clientWidth, box.scrollWidth]),
  }};
  for (const svg of page.querySelectorAll("svg")) {{
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(
      text => [text.textContent, text.getBoundingClientRect()]);
    for (const [i, [text, box]] of texts.entries()) {{
      if (box.left < frame.left - 1 || box.right > frame.right + 1)
        found.wide.push(text);
      for (const [other, b] of texts.slice(0, i))
        if (Math.min(box.right, b.right) - Math.max(box.left, b.left) > 1.5 &&
            Math.min(box.bottom, b.bottom) - Math.max(box.top, b.top) > 3)
          found.crossed.push([text, other]);
    }}
  }}
  document.querySelector("pre").textContent = JSON.stringify(found);
}};
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_a_desk(page, tmp_path, width):
    path = tmp_path / "wrapper.html"
    wrapper = WRAPPER.format(width=width, page=html.escape(page))
    path.write_text(wrapper, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    (text,) = re.findall(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    found = json.loads(html.unescape(text))
    assert found["client"] in (width, width - 15)  # a scroll bar
    assert found["scroll"] <= found["client"]
    assert len(found["tables"]) == 2
    if width == 390:
        assert all(scroll > client for client, scroll in found["tables"])
    assert found["wide"] == []
    assert found["crossed"] == []
