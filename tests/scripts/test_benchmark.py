"""scripts/benchmark.py: its names, its two forms of output, and what it counts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark.py"


def run(*arguments):
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def report():
    code, out, err = run("activations", "--json", "--seconds=1", "--elements=100,1000")
    assert code == 0, err
    assert "settings" in err  # the progress line
    return json.loads(out)  # nothing else is on standard output


def test_every_function_has_a_figure_in_every_setting(report):
    values = {result["name"]: result["value"] for result in report["results"]}
    functions = {name.split("/")[0] for name in values}
    assert {"relu", "smelu", "gsmelu", "rescu-normal", "gelu", "swish", "softplus"} <= (
        functions
    )
    assert {"keras-sparse_plus", "tf-smelu"} <= functions
    for function in functions:
        for mode in ("eager", "graph", "xla"):
            for dtype in ("float32", "bfloat16"):
                for size in (100, 1000):
                    assert values[f"{function}/{mode}/{dtype}/{size}"] > 0
    units = {result["name"]: result["unit"] for result in report["results"]}
    assert units["relu/eager/float32/100"] == "s"
    assert units["smelu/eager/float32/100"] == "relu"
    assert report["environment"]["cores"] >= 1
    assert report["environment"]["tensorflow"][0].isdigit()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_smelu_keeps_what_relu_keeps_and_gelu_more(report, dtype):
    kept = {
        result["name"].split("/")[0]: result["value"]
        for result in report["results"]
        if result["name"].endswith(f"/kept/{dtype}")
    }
    output = {"float32": 4, "bfloat16": 2}[dtype]
    assert kept["relu"] == kept["smelu"] == output
    assert kept["gsmelu"] == kept["rescu-normal"] == 2 * output  # the input besides
    assert kept["gelu"] >= 2 * output


def test_the_table_has_a_row_a_function():
    code, out, err = run("activations", "--seconds=1", "--elements=10")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows if row].count("smelu") == 2  # of two dtypes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected one of activations, input, received none."),
        (("speed",), "expected one of activations, input, received speed."),
        (
            ("activations", "--elements=1,x"),
            "--elements: expected whole numbers above 0",
        ),
        (("activations", "--seconds=0"), "--seconds"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
