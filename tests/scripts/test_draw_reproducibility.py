"""scripts/draw_reproducibility.py, as a user calls it."""

import json

import pytest
from made_reports import small_report
from script_runs import run


@pytest.mark.slow
def test_a_report_is_drawn_again(tmp_path):
    image = pytest.importorskip("matplotlib.image")
    (tmp_path / "report.json").write_text(json.dumps(small_report()))
    code, out, err = run(
        "draw_reproducibility.py", "--report=report.json", cwd=tmp_path
    )
    assert code == 0, err
    plots = ("tradeoff", "rates", "deciles", "course")
    names = [f"init_{plot}.png" for plot in plots]
    assert out.splitlines() == [f"wrote plots/{n}" for n in (*names, "report.html")]
    for name in names:
        pixels = image.imread(tmp_path / "plots" / name)[..., :3]
        assert pixels.std() > 0.05 and min(pixels.shape[:2]) >= 300
    (tmp_path / "report.json").write_text('{"cells": []}')
    code, out, err = run(
        "draw_reproducibility.py", "--report=report.json", cwd=tmp_path
    )
    assert code == 2
    assert "report.json: expected the report of a study, received no study." in err
