"""train.py with parameter servers, which are local processes as the workers are."""

import re

import pytest
from clusters import exit_codes, log_of, started, wait_for_checkpoint
from distributed_runs import command, runs_of

from smelu_tf.models import (
    ScoringJob,
    evaluate,
    export_model_dir,
    load_metrics,
    load_model,
)

# Instead of the table of its weights, which joins what servers share, it shows where
# each of them is.
SHOWING_PLACES = """
import runpy, sys
from smelu_tf import models
models.parameter_table = lambda model: "\\n".join(
    f"place {v.name} {v.shape.num_elements()} {v.device}" for v in model.variables
)
sys.argv.pop(0)
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_float16_on_parameter_servers_is_refused_in_one_line(data, tmp_path):
    arguments = command(
        data,
        tmp_path / "model",
        "--strategy=parameter_server",
        "--config.train.compute_dtype=float16",
    )
    with started(tmp_path, arguments, chief=1, worker=1, ps=1) as processes:
        assert processes["chief", 0].wait(timeout=120) == 2
    assert log_of(tmp_path, "chief").splitlines()[-1] == (
        "train.py: train.compute_dtype: expected float32, bfloat16 or auto with "
        "strategy=parameter_server, received float16."
    )


def assert_learned(model_dir, num_rows, most_twice=0):
    progressive = load_metrics(model_dir)["progressive"]
    assert num_rows <= progressive["num_examples"] <= num_rows + most_twice
    assert progressive["normalized_entropy"] < 0.99


def assert_predicts(model_dir, criteo_dir):
    """The model predicts, and what is exported of it scores the same."""
    data = criteo_dir / "day_6.tsv"
    version = export_model_dir(model_dir, model_dir.parent / "export")
    jobs = [ScoringJob.open(model, data) for model in (model_dir, version)]
    own, exported = (evaluate(job.scorer, job.batches) for job in jobs)
    assert own["normalized_entropy"] < 0.99
    assert exported == own


def sizes_by_server(log, name):
    """How many numbers of a variable each parameter server holds."""
    pattern = rf"^place \S*{name}(?:/part_\d+)?:0 (\d+) /job:ps/\S*/task:(\d+)/"
    found = re.findall(pattern, log, re.MULTILINE)
    sizes = {int(server): int(size) for size, server in found}
    assert len(sizes) == len(found), "two pieces on one server"
    return sizes


@pytest.mark.slow
def test_parameter_servers_share_the_tables_and_every_row_is_learned(
    data, criteo_dir, tmp_path
):
    arguments = ["-c", SHOWING_PLACES, *command(data, tmp_path / "model")]
    with started(tmp_path, arguments, ps=2, worker=2, chief=1) as processes:
        (code,) = exit_codes([processes["chief", 0]], timeout=240)
        assert code == 0, log_of(tmp_path, "chief")
    assert_learned(tmp_path / "model", 18_000)
    assert_predicts(tmp_path / "model", criteo_dir)
    (run,) = runs_of(tmp_path / "model")
    assert run["strategy"]["name"].startswith("ParameterServerStrategy")
    log = log_of(tmp_path, "chief")
    shares = sizes_by_server(log, "deep/embeddings/table")
    assert shares.keys() == {0, 1}, log
    model = load_model(tmp_path / "model")
    size = model.deep.embeddings[0].table.shape.num_elements()
    assert sum(shares.values()) == size
    assert min(shares.values()) > 0.49 * size
    # One that is too small for two shares of 256 KiB.
    (small,) = sizes_by_server(log, "wide/ids/table").values()
    assert small == model.wide.ids.table.shape.num_elements()


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_a_lost_worker_does_not_end_a_parameter_server_run(long_data, tmp_path):
    arguments = command(long_data, tmp_path / "model")
    with started(tmp_path, arguments, ps=2, worker=2, chief=1) as processes:
        wait_for_checkpoint(tmp_path / "model")
        processes["worker", 0].kill()
        assert processes["chief", 0].poll() is None, "killed too late"
        (code,) = exit_codes([processes["chief", 0]], timeout=400)
        assert code == 0, log_of(tmp_path, "chief")
    # The batches of the call that the worker was lost with may be learned twice.
    assert_learned(tmp_path / "model", 6 * 18_000, most_twice=4 * 256)
