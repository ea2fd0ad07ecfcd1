"""README.md: its Python runs, its commands and files exist."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_dataframe_example_runs(tmp_path):
    (code,) = [block for block in blocks("python") if "DataFrame" in block]
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "served" / "1" / "saved_model.pb").exists()


def test_every_target_script_and_page_named_exists():
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.M))
    makefile = (ROOT / "Makefile").read_text()
    assert {"demo", "test"} <= targets
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, re.M)] == []
    paths = set(re.findall(r"\b(scripts/\w+\.py|docs/\w+\.md)\b", README))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_flag_named_exists():
    sources = "".join(path.read_text() for path in (ROOT / "scripts").glob("*.py"))
    shell = "".join(blocks("sh"))
    flags = {flag for flag in re.findall(r"--(\w+)[=\s]", shell)}
    assert [flag for flag in flags if f'"{flag}"' not in sources] == []
