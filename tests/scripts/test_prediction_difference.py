"""scripts/prediction_difference.py, as a user calls it."""

import json
import re

import numpy as np
import pytest
from script_runs import run as run_script

import smelu_tf
from smelu_tf.models import Predictions, write_predictions

pytest.importorskip("pyarrow")


def run(*arguments, cwd):
    return run_script("prediction_difference.py", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Files of three models and of three others that differ twice as much."""
    folder = tmp_path_factory.mktemp("work")
    common = np.random.default_rng(0).normal(-2, 1, 500)
    label = (np.arange(500) % 5 == 0).astype(np.float32)
    for name, spread in (("smelu", 0.1), ("relu", 0.2)):
        for seed in range(3):
            random = np.random.default_rng([seed, ord(name[0])])
            logit = (common + random.normal(0, spread, 500)).astype(np.float32)
            p = (1 / (1 + np.exp(-logit))).astype(np.float32)
            path = folder / f"{name}_{seed}.parquet"
            write_predictions(path, [Predictions(label, p, logit)])
    return folder


def test_json_is_the_report_and_nothing_else(work):
    code, out, err = run(
        "--json",
        "smelu_*.parquet",
        "--reference_files=relu_[0-2].parquet",
        "--labels",
        "--num_slices=4",
        cwd=work,
    )
    assert (code, err) == (0, "")
    report = json.loads(out)
    files = sorted(work.glob("smelu_*.parquet"))
    p = smelu_tf.models.read_prediction_files(files).probabilities
    relative = report["kinds"]["relative"]
    assert relative["mean"] == pytest.approx(smelu_tf.prediction_difference(p))
    assert list(report["kinds"]) == ["relative", "absolute", "logit"]
    assert [len(parts) for parts in report["slices"].values()] == [4, 2]
    assert 0.4 < report["ratios"]["relative"]["estimate"] < 0.6


@pytest.mark.slow
def test_the_tables_have_a_line_for_every_kind_ratio_and_slice(work):
    code, out, err = run(
        "smelu_0.parquet",
        "smelu_1.parquet",
        "smelu_2.parquet",
        "--reference_files=relu_0.parquet,relu_1.parquet",
        "--kinds=relative,hamming",
        "--threshold=0.2",
        "--num_slices=3",
        cwd=work,
    )
    assert (code, err) == (0, "")
    head, models, reference, _, ratios, slices = out.strip().split("\n\n")
    assert head.startswith("3 models, 500 rows, log loss 0.")
    lines = [line.split() for line in models.splitlines()]
    assert [line[0] for line in lines] == ["kind", "relative", "hamming"]
    assert lines[1][3] == "to"
    assert reference.startswith("reference: 2 models, 500 rows")
    assert "-" in ratios.splitlines()[2].split()
    assert len(slices.splitlines()) == 1 + 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected prediction files, two or more, received none."),
        pytest.param(
            ("smelu_0.parquet",),
            "2 or more, one a model, received smelu_0.parquet.",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bad_arguments_give_one_line_and_exit_code_2(work, arguments, message):
    code, out, err = run(*arguments, cwd=work)
    assert (code, out) == (2, "")
    assert re.match(f"prediction_difference.py: .*{message}\n$", err), err
