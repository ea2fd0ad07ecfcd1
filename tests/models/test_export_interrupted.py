"""Exports that are killed, or run out of space: a version is whole or not there."""

import dataclasses
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_rows import SCHEMA

from smelu_tf.models import Scorer, WideDeep, WideDeepConfig, export_saved_model
from smelu_tf.pipelines import Categorical

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = 20

# Tables of some megabytes: what takes the time is what may be cut short.
LARGE = dataclasses.replace(
    SCHEMA, categorical=(Categorical("site", buckets=200_000), SCHEMA.categorical[1])
)
CONFIG = WideDeepConfig(embedding_dim=4, hidden_units=(8,))

# The child's model is the parent's: its weights follow from its seed.
_CHILD = f"""
import os, resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
sys.path.insert(0, {str(Path(__file__).parents[1] / "shared")!r})
import test_export_interrupted as test
from smelu_tf.models import WideDeep, export_saved_model
folder, schema, *limits = sys.argv[1:]
model = WideDeep(getattr(test, schema), test.CONFIG)
"""
AGAIN_AND_AGAIN = f"""{_CHILD}
print("ready", flush=True)
while True:
    print(export_saved_model(model, folder), flush=True)
"""
UNDER_LIMITS = f"""{_CHILD}
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), hard))
    try:
        export_saved_model(model, folder)
        told = "written"
    except OSError as error:
        told = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    print(*sorted(os.listdir(folder)), told, sep="|", flush=True)
"""
KILLED_AT_THE_LIMIT = f"""{_CHILD}
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limits[0]), hard))
export_saved_model(model, folder)
"""


def child(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


class Versions:
    """The versions in a folder, and what they should score."""

    def __init__(self, folder, schema):
        self.folder = folder
        self.model = WideDeep(schema, CONFIG)
        self.seen = set()
        self._raw = {
            "age": tf.cast(tf.range(50), tf.float64),
            "site": tf.strings.as_string(tf.range(50)),
            "kind": tf.strings.as_string(tf.range(50) % 5),
        }
        scorer = Scorer.of(self.model)
        self._logits = scorer.logit(scorer.transform(self._raw)).numpy()

    def check(self):
        """Every new numbered folder loads and scores, and other names are hidden.

        Returns:
            The temporary names.
        """
        names = {path.name for path in self.folder.iterdir()}
        numbers = {name for name in names if name.isdigit()}
        assert self.seen <= numbers
        assert {int(name) for name in numbers} == {*range(1, len(numbers) + 1)}
        for name in numbers - self.seen:
            scorer = Scorer.load(self.folder / name)
            logits = scorer.logit(scorer.transform(self._raw))
            np.testing.assert_array_equal(logits, self._logits)
            assert (self.folder / name / "assets.extra" / "model_card.json").exists()
        self.seen = numbers
        assert all(name.startswith(".") for name in names - numbers)
        return names - numbers


def wait_for_writing(folder, process):
    """Waits until there is a temporary name of the process."""
    while not [*folder.glob(f".*.{process.pid}.partial")]:
        time.sleep(0.001)
        assert process.poll() is None


def test_a_version_is_whole_or_not_there_whenever_its_export_is_killed(tmp_path):
    versions = Versions(tmp_path, LARGE)
    moments = random.Random(0)
    whole = writing = 0.0  # seconds of an export and of its last part
    num_left = 0
    for number in range(KILLS):
        with child(AGAIN_AND_AGAIN, tmp_path, "LARGE") as process:
            assert process.stdout.readline() == "ready\n"
            if number == 0:
                start = time.monotonic()
                wait_for_writing(tmp_path, process)
                middle = time.monotonic()
                process.stdout.readline()
                whole, writing = (time.monotonic() - t for t in (start, middle))
            # Half of them anywhere; most of an export has not begun to write.
            if number % 2:
                wait_for_writing(tmp_path, process)
            time.sleep(moments.uniform(0, writing if number % 2 else 2 * whole))
            process.kill()
            told = process.stdout.read().splitlines()
        assert process.returncode == -signal.SIGKILL
        before = versions.seen
        left = versions.check()
        # Killed between the last step and the word of it, it has one more.
        assert 0 <= len(versions.seen - before) - len(told) <= 1 + (number == 0)
        # Every export has removed what the one before it left.
        assert len(left) <= 1
        num_left += len(left)
    assert num_left > KILLS / 4  # else the moments were no interruptions
    export_saved_model(versions.model, tmp_path)
    assert versions.check() == set()


@pytest.mark.parametrize(
    ("schema", "limits"),
    [
        ("LARGE", (0, 1000, 20_000, 400_000, 2_000_000)),  # of the variables
        ("SCHEMA", (1000, 10_000, 50_000)),  # of the graph, too
    ],
)
def test_a_version_is_whole_or_not_there_whatever_space_there_is(
    tmp_path, schema, limits
):
    versions = Versions(tmp_path, globals()[schema])
    with child(UNDER_LIMITS, tmp_path, schema, *limits) as process:
        rows = [line.strip().split("|") for line in process.stdout]
    assert process.returncode == 0
    assert len(rows) == len(limits)
    for *names, told in rows:
        assert names == []
        assert told.startswith(f"{tmp_path}/1: could not be written: ")
    export_saved_model(versions.model, tmp_path)
    assert versions.check() == set()
    assert versions.seen == {"1"}


@pytest.mark.parametrize(
    ("schema", "limit"), [("LARGE", 100_000), ("LARGE", 2_000_000), ("SCHEMA", 50_000)]
)
def test_a_process_that_ends_for_want_of_space_leaves_no_version(
    tmp_path, schema, limit
):
    versions = Versions(tmp_path, globals()[schema])
    with child(KILLED_AT_THE_LIMIT, tmp_path, schema, limit) as process:
        process.wait()
    assert process.returncode == -signal.SIGXFSZ
    assert len(versions.check()) == 1
    assert versions.seen == set()
    export_saved_model(versions.model, tmp_path)
    assert versions.check() == set()
    assert versions.seen == {"1"}
