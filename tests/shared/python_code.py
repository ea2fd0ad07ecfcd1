"""Python code that needs a process of its own."""

import os
import subprocess
import sys


def run_code(code, *arguments, cwd=None, **environment):
    """The exit code of a program, and all that it prints; warnings of ours end it."""
    done = subprocess.run(
        [sys.executable, "-W", "error:::smelu_tf", "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr
