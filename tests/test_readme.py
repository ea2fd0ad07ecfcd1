"""README.md: its Python runs, its commands and files exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import page_commands
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_dataframe_example_runs(tmp_path):
    (code,) = [block for block in blocks("python") if "DataFrame" in block]
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "served" / "1" / "saved_model.pb").exists()


def test_the_keras_examples_run(tmp_path):
    examples = [block for block in blocks("python") if "DataFrame" not in block]
    assert len(examples) > 1
    for legacy in ("0", "1"):
        subprocess.run(
            [sys.executable, "-c", "\n".join(examples)],
            cwd=tmp_path,
            env={**os.environ, "TF_USE_LEGACY_KERAS": legacy},
            check=True,
        )


def test_every_target_script_and_page_named_exists():
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.M))
    makefile = (ROOT / "Makefile").read_text()
    assert {"demo", "test"} <= targets
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, re.M)] == []
    paths = set(re.findall(r"\b(scripts/\w+\.py|docs/\w+\.md)\b", README))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_flag_named_exists():
    sources = "".join(path.read_text() for path in (ROOT / "scripts").rglob("*.py"))
    shell = "".join(blocks("sh"))
    flags = {flag for flag in re.findall(r"--(\w+)[=\s]", shell)}
    assert [flag for flag in flags if f'"{flag}"' not in sources] == []


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder in which the demo has run in full, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py")],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return folder, done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_comes_near_the_best_and_beats_the_wide_part(demo):
    _, table = demo
    (line,) = [line for line in table.splitlines() if line.startswith("log loss")]
    smelu, _, wide, bayes = map(float, line.split()[2:])
    assert bayes < smelu < 1.1 * bayes
    assert smelu < wide


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_shell_commands_run_as_they_stand_after_the_demo(demo):
    folder, _ = demo
    out = page_commands.run_commands(ROOT / "README.md", folder)
    scores = re.findall(r"^([01]\.\d+)\t-?\d", out, re.M)
    assert len(scores) == 10
    assert all(0 < float(score) < 1 for score in scores)
