"""scripts/demo.py, on few rows."""

import re

import pytest
from script_runs import run


@pytest.mark.slow
def test_the_demo_ends_with_its_table(tmp_path):
    code, out, err = run("demo.py", "--num_rows=7000", cwd=tmp_path)
    assert code == 0, err
    assert re.search(r"log loss +0\.\d+ +0\.\d+ +0\.\d+ +0\.\d+", out)
    assert re.search(r"prediction difference, seeds +[\d.]+% +[\d.]+%", out)
    assert "scored 1,000 raw lines" in out
    (difference,) = re.findall(r"probabilities (\S+)\.\n", out)
    assert float(difference) < 1e-5
