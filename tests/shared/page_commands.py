"""The shell commands of README and docs, run as they stand in a folder of their own."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FENCE = re.compile(r'^```(\w+)(?: title="([\w./]+)")?\n(.*?)^```$', re.DOTALL | re.M)
# What takes hours as it stands is run on few rows, two models and one rate: of a flag
# that is given twice the last one counts.
SHORTER = {
    "generate.py": "--num_rows=7000",
    "reproducibility.py": "--replicas=2 --learning_rates=0.001"
    " --config.data.batch_size=1024",
}


def commands_of(page: Path) -> str:
    """A page's `sh` blocks; a Python block with a title is the file of that name."""
    parts = []
    for language, title, text in FENCE.findall(page.read_text("utf-8")):
        if title:
            parts.append(f"cat > {title} <<'END'\n{text}END\n")
        elif language == "sh":
            parts.append(text)
    # The environment is there already, and it may be another one than `.venv`.
    return re.sub(r"^(make|source) .*\n", "", "".join(parts), flags=re.M)


def run_commands(page: Path, folder: Path, shorter: bool = False) -> str:
    """Runs a page's commands in a folder; the first that fails ends it.

    Args:
        page: the Markdown file.
        folder: where; it gets a link to `scripts`.
        shorter: whether long jobs are made short, as `SHORTER` says.

    Returns:
        What they printed.
    """
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    write_program(bin_folder / "python", python_program(shorter))
    # Whatever is to be installed is in the environment of the tests.
    write_program(bin_folder / "pip", "#!/bin/sh\n")
    (folder / "scripts").symlink_to(ROOT / "scripts")
    done = subprocess.run(
        ["bash", "-eu", "-c", commands_of(page)],
        cwd=folder,
        env={**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Traceback" not in done.stderr
    return done.stdout


def python_program(shorter: bool) -> str:
    """The Python of the tests, which may add flags to long jobs."""
    lines = ["#!/bin/bash"]
    if shorter:
        lines.append('case "${1##*/}" in')
        for script, extra in SHORTER.items():
            lines.append(f'    {script}) exec {sys.executable} "$@" {extra};;')
        lines.append("esac")
    return "\n".join([*lines, f'exec {sys.executable} "$@"\n'])


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
