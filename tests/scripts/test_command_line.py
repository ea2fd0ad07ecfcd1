"""scripts/command_line: the environment that it sets, and what it prints."""

import os
import subprocess
import sys

import pytest
from script_modules import script_module
from script_runs import SCRIPTS


@pytest.mark.parametrize("given", [None, "false"])
def test_gpu_memory_is_taken_as_it_is_needed_unless_told_otherwise(given):
    """Known before TensorFlow is imported: devices are as they begin."""
    program = "import command_line, os; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    environment.pop("TF_FORCE_GPU_ALLOW_GROWTH", None)
    if given:
        environment["TF_FORCE_GPU_ALLOW_GROWTH"] = given
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == (given or "true")


def test_counts_are_shown_in_full(capsys):
    command_line = script_module("command_line")
    command_line.show_figures({"num_rows": 1_234_567, "log_loss": 0.12345678}, False)
    assert capsys.readouterr().out == "num rows  1,234,567\nlog loss  0.123457\n"
