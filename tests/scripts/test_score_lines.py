"""scripts/score_lines.py, with what Python has and with TensorFlow alone."""

import re
import subprocess
import sys

import numpy as np
import pytest
from script_modules import script_module
from script_runs import SCRIPTS, TIMEOUT


def test_lines_are_scored_by_a_process_that_has_only_tensorflow(work, tmp_path):
    isolation = script_module("isolation")
    code = "import importlib.util as u; print([m for m in ('smelu_tf', 'tf_keras', \
'tensorflow_recommenders', 'pandas', 'ml_collections', 'pip') if u.find_spec(m)])"
    output = isolation.run_with_tensorflow_only(tmp_path / "site", ["-c", code])
    assert output.strip() == b"[]"
    lines = (work / "demo" / "data" / "day_6.tsv").read_bytes().splitlines()
    unlabelled = b"\n".join(line.partition(b"\t")[2] for line in lines)
    scores = isolation.run_with_tensorflow_only(
        tmp_path / "again",
        [str(SCRIPTS / "score_lines.py"), str(work / "demo" / "export" / "1")],
        unlabelled,
    )
    served = np.array([line.split() for line in scores.splitlines()], np.float32)
    from smelu_tf.models import ScoringJob, predict

    job = ScoringJob.open(work / "demo" / "model", work / "demo" / "data" / "day_6.tsv")
    own = np.concatenate([c.probability for c in predict(job.scorer, job.batches)])
    np.testing.assert_allclose(served[:, 0], own, rtol=1e-5)


def score_lines(model, stdin, cwd):
    """The exit code, standard output and the last line of standard error."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / "score_lines.py", model],
        input=stdin,
        cwd=cwd,
        capture_output=True,
        timeout=TIMEOUT,
    )
    return done.returncode, done.stdout, done.stderr.decode().splitlines()[-1]


@pytest.mark.slow
def test_a_line_that_cannot_be_scored_is_named(work):
    good = b"\t" * 38 + b"\n"
    model = work / "demo" / "export" / "1"
    code, out, message = score_lines(model, good * 5000 + b"\t\n" + good, work)
    assert code == 2
    assert out.count(b"\n") == 4096  # whole batches before it
    expected = "line 5001: expected 39 fields (criteo), received 2."
    assert message == f"score_lines.py: {expected}"
    code, out, message = score_lines("nothing", good, work)
    assert (code, out) == (2, b"")
    assert re.match("score_lines.py: SavedModel file does not exist at: no", message)


@pytest.mark.slow
def test_a_reader_of_scores_may_stop_early(work):
    command = f"yes '{chr(9) * 38}' | head -20000 | {sys.executable} "
    command += f"{SCRIPTS / 'score_lines.py'} demo/export/1 | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=work, capture_output=True, timeout=TIMEOUT
    )
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
