"""scripts/export.py: versions are published if they keep the bounds."""

import json

import pytest
from script_runs import TINY, run

DATA = "--data=demo/data/day_6.tsv"


@pytest.fixture(scope="module")
def work(work):
    """The folder, with a second model besides the one that is served."""
    second = ("--model_dir=demo/next", "--config.train.seed=1")
    code, _, err = run("train.py", *TINY, *second, cwd=work)
    assert code == 0, err
    return work


def versions(work):
    return sorted(path.name for path in (work / "demo" / "export").iterdir())


def test_a_version_that_breaks_a_bound_is_refused_with_the_numbers(work):
    code, out, err = run(
        "export.py", "--model_dir=demo/next", DATA, "--max_pd=0.0001", cwd=work
    )
    assert (code, out) == (1, "")
    (message,) = [line for line in err.splitlines() if line.startswith("export.py")]
    assert message.startswith(
        "export.py: expected a prediction difference of at most 0.0001 from the "
        "previous version, received 0."
    )
    assert message.endswith("Nothing is published.")
    assert versions(work) == ["1"]


@pytest.mark.slow
def test_a_version_that_keeps_them_is_published_and_compared(work):
    arguments = ("--model_dir=demo/next", "--output_dir=demo/copy", DATA)
    bounds = ("--max_pd=1.9", "--max_log_loss_increase=0.5", "--previous=demo/export")
    code, out, err = run("export.py", *arguments, *bounds, cwd=work)
    assert code == 0, err
    assert out.startswith("demo/copy/1\n\n")
    assert "prediction difference 0." in out and "2,000 rows" in out


@pytest.mark.slow
def test_what_bfloat16_changes_is_told_too(work):
    arguments = ("--model_dir=demo/next", "--output_dir=demo/bfloat16", DATA)
    options = ("--previous=demo/next", "--compute_dtype=bfloat16", "--json")
    code, out, err = run("export.py", *arguments, *options, cwd=work)
    assert code == 0, err
    figures = json.loads(out)
    assert figures["version"] == "demo/bfloat16/1"
    assert set(figures["comparisons"]) == {"previous", "float32"}
    for report in figures["comparisons"].values():
        assert 0 < report["prediction_difference"] < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--max_pd=0.1",), "data: expected held-out rows to compare versions on"),
        (("--max_pd=-1", DATA), "max_pd: expected a finite number from 0 on"),
        (("--recalibration=platt",), "recalibration_data, received platt with"),
        (("--data=none.tsv", "--max_pd=1"), "none.tsv: expected a file"),
        (("--model_dir=none",), "none: expected a model_dir"),
        (("--recalibration=beta",), "should be one of <none|platt|isotonic>"),
    ],
)
def test_bad_flags_are_one_line_and_write_nothing(work, arguments, message):
    before = versions(work)
    code, out, err = run("export.py", *arguments, cwd=work)
    assert (code, out) == (2, "")
    assert message in err and "Traceback" not in err
    assert versions(work) == before
