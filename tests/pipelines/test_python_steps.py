"""pipelines/python_steps.py: a process with iterators left ends all the same."""

import subprocess
import sys

import pytest

PROGRAM = """
import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
import tensorflow as tf
from smelu_tf.pipelines.python_steps import from_generator


def endless():
    n = 0
    while True:
        yield n
        n += 1


iterators = []
for _ in range(4):
    numbers = from_generator(endless, tf.TensorSpec([], tf.int64))
    iterators.append(iter(numbers.prefetch(10**6)))
    next(iterators[-1])
print("end", flush=True)
"""


@pytest.mark.slow
def test_a_process_ends_while_its_generators_are_read():
    """Without the iterators' deletion it stays, every time."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "end\n"
