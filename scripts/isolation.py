"""A Python process that has TensorFlow and what TensorFlow requires, nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path


def run_with_tensorflow_only(
    folder: Path, arguments: list[str], stdin: bytes = b""
) -> bytes:
    """Runs Python without site-packages but for TensorFlow's own requirements.

    Args:
        folder: a new folder, which links to their packages.
        arguments: of the Python interpreter: a script and its arguments.
        stdin: the process's standard input.

    Returns:
        Its standard output.

    Raises:
        ChildProcessError: it failed; with what it wrote to standard error.
    """
    link_requirements("tensorflow", folder)
    # -S: no site-packages; -P: nor the script's folder. Only `folder` is left.
    done = subprocess.run(
        [sys.executable, "-S", "-P", *arguments],
        env={**os.environ, "PYTHONPATH": str(folder.resolve())},
        input=stdin,
        capture_output=True,
    )
    if done.returncode:
        raise ChildProcessError(done.stderr.decode(errors="replace"))
    return done.stdout


def link_requirements(name: str, folder: Path) -> None:
    """Links the packages of a distribution and of all that it requires."""
    folder.mkdir(parents=True)
    for distribution in _closure(name, {}).values():
        for file in distribution.files or ():
            top = file.parts[0]
            link = folder / top
            if top not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))).resolve())


def _closure(
    name: str, found: dict[str, metadata.Distribution]
) -> dict[str, metadata.Distribution]:
    """A distribution and, without extras, all that it requires, by name."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key not in found:
        try:
            found[key] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            return found  # of another platform or Python
        for requirement in found[key].requires or ():
            required, _, marker = requirement.partition(";")
            if "extra" not in marker:
                _closure(re.split(r"[^\w.-]", required.strip())[0], found)
    return found
