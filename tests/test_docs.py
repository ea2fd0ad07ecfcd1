"""docs/*.md: their Python runs in both Kerases, their tables and files are true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
SLOW = ("reproducibility",)  # trains models


def run(*arguments, cwd, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("legacy", ["0", pytest.param("1", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page.stem in SLOW else ())
        for page in PAGES
    ],
    ids=lambda page: page.stem,
)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, legacy, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    if not blocks:
        pytest.skip("no Python on this page")
    if legacy == "0" and "TF_USE_LEGACY_KERAS" in blocks[0]:
        pytest.skip("the page says which Keras it takes")
    run("-c", "\n".join(blocks), cwd=tmp_path, TF_USE_LEGACY_KERAS=legacy)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page):
    text = page.read_text("utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    paths = re.findall(r"\b((?:scripts|tests|smelu_tf)/[\w/]+\.py)\b", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing + [path for path in paths if not (ROOT / path).exists()] == []


def test_figures_and_the_table_of_widths_come_from_the_script(tmp_path):
    script = ROOT / "scripts" / "draw_activations.py"
    out = run(script, f"--output_dir={tmp_path}", cwd=tmp_path)
    page = (ROOT / "docs" / "activations.md").read_text("utf-8")
    table = out[out.index("| β ") :].strip()
    assert table in page
    for name in re.findall(r"images/(\w+\.png)", page):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (ROOT / "docs" / "images" / name).exists()
