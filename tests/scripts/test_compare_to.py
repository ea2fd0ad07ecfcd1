"""--compare_to and --max_prediction_difference of train.py and evaluate.py."""

import json

import pytest
from script_runs import TINY, run

OTHER = (*TINY, "--config.train.seed=1", "--compare_to=demo/model", "--json")


@pytest.mark.slow
def test_the_difference_is_shown_and_a_model_above_the_bound_fails_but_stays(work):
    arguments = [
        *OTHER,
        "--model_dir=demo/next",
        "--validation_data=demo/data/day_6.tsv",
    ]
    code, out, err = run(
        "train.py", *arguments, "--max_prediction_difference=1.9", cwd=work
    )
    assert code == 0, err
    assert ", PD 0." in err
    figures = json.loads(out)
    metrics = json.loads((work / "demo/next/metrics.json").read_text())
    found = metrics["validation"]["prediction_difference"]
    assert 0 < found == figures["validation_prediction_difference"] < 1.9
    assert (
        figures["prediction_difference"]
        == (metrics["progressive"]["prediction_difference"])
    )
    # Of a run that has ended the figures are judged as well.
    code, out, err = run(
        "train.py", *arguments, "--max_prediction_difference=0.0001", cwd=work
    )
    assert code == 1
    message = err.strip().splitlines()[-1]
    assert message == (
        "train.py: validation: expected a prediction difference of at most 0.0001 from "
        f"demo/model, received {found:.4g}. The model is kept."
    )
    # All is there, and the figures are on standard output.
    assert json.loads(out)["num_examples"] == 12_000
    code, _, err = run("export.py", "--model_dir=demo/next", cwd=work)
    assert code == 0, err


@pytest.mark.slow
def test_without_a_validation_the_last_window_counts(work):
    arguments = [*OTHER, "--model_dir=demo/windowed", "--config.eval.window_rows=500"]
    bound = "--max_prediction_difference=0.0001"
    code, out, err = run("train.py", *arguments, bound, cwd=work)
    assert code == 1
    metrics = json.loads((work / "demo/windowed/metrics.json").read_text())
    found = metrics["window"]["prediction_difference"]
    assert "window: expected a prediction difference of at most 0.0001" in err
    assert f"received {found:.4g}. The model is kept." in err
    assert "validation" not in metrics


@pytest.mark.slow
def test_evaluate_takes_the_same_flags(work):
    code, _, err = run("train.py", *OTHER, "--model_dir=demo/other", cwd=work)
    assert code == 0, err
    arguments = ["--compare_to=demo/model", "--data=demo/data/day_6.tsv", "--json"]
    code, out, err = run("evaluate.py", *arguments, cwd=work)
    assert code == 0, err
    assert json.loads(out)["prediction_difference"] < 1e-6
    code, out, err = run(
        "evaluate.py",
        *arguments,
        "--model=demo/other",
        "--max_prediction_difference=0.0001",
        cwd=work,
    )
    assert code == 1, err
    metrics = json.loads((work / "demo/other/metrics.json").read_text())
    assert metrics["evaluation"]["prediction_difference"] > 0.0001
    assert "evaluate.py: evaluation: expected a prediction difference" in err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train.py", "evaluate.py"])
def test_a_bound_without_a_model_is_refused(work, name):
    code, _, err = run(name, "--max_prediction_difference=0.05", cwd=work)
    assert code == 2
    assert "--max_prediction_difference: expected --compare_to with it" in err


def refused(work, *arguments):
    """What train.py says of a comparison that it does not make."""
    code, _, err = run("train.py", *TINY, *arguments, cwd=work)
    assert code == 2
    return err


@pytest.mark.slow
def test_a_run_that_ended_without_a_comparison_has_no_difference(work):
    bound = "--max_prediction_difference=0.05"
    err = refused(work, "--compare_to=demo/model", bound)
    assert (
        "--compare_to: expected none, as in the run that has ended, received demo/model"
    ) in err


@pytest.mark.slow
def test_what_is_no_model_is_refused_before_anything_is_written(work):
    err = refused(work, "--model_dir=demo/none", "--compare_to=demo/data")
    assert "compare_to: expected a model_dir or a SavedModel of smelu-tf" in err
    assert not (work / "demo/none").exists()
