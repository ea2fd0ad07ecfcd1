"""The scripts, as a user calls them."""

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"
# A script's process may not go on for ever when a test goes wrong.
TIMEOUT = 200
TINY = ("--config.model.hidden_units=(8,4)", "--config.model.embedding_dim=4")
"""Flags of a model that is trained at once."""


def command(name, *arguments):
    """A script's command line, as a list."""
    return [sys.executable, SCRIPTS / name, *map(str, arguments)]


def run(name, *arguments, cwd=None, timeout=TIMEOUT, **environment):
    """A script's exit code, standard output and standard error."""
    done = subprocess.run(
        command(name, *arguments),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return done.returncode, done.stdout, done.stderr


def without_logs(err):
    """Standard error without what TensorFlow writes before it knows its log level."""
    log = r"^(WARNING: All log messages before absl|[IWE]\d{4} ).*\n"
    return re.sub(log, "", err, flags=re.MULTILINE)
