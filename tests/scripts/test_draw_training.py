"""scripts/draw_training.py and evaluate.py: a run's figures as files and as text."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from script_modules import script_module
from script_runs import SCRIPTS, run


def figures(num_rows, log_loss):
    return {
        "num_examples": num_rows,
        "weight": float(num_rows),
        "log_loss": log_loss,
        "normalized_entropy": log_loss and log_loss / 0.55,
        "auc": 0.7,
        "pr_auc": 0.4,
        "calibration": 1.02,
    }


def slice_row(value, label, calibration, num_rows=100):
    return {
        "value": value,
        **figures(num_rows, 0.5),
        "calibration": calibration,
        "prediction": label * calibration if calibration else 0.2,
        "label": label,
        "label_low": label / 2,
        "label_high": min(1.0, 1.5 * label + 0.01),
    }


@pytest.fixture
def model_dir(tmp_path):
    """A model_dir with what is drawn, hard cases among it."""
    lines = []
    for step in range(1, 21):
        line = {
            "step": step,
            "num_examples": 1000 * step,
            "seconds": 0.1 * step,
            "progressive": figures(1000 * step, 0.5 + 0.2 / step),
            "window": figures(min(5000, 1000 * step), 0.5 + 0.1 / step),
        }
        if step == 1:
            line["window"] = figures(1000, None)
        if step % 5 == 0:
            line["validation"] = figures(2000, 0.48)
        lines.append(json.dumps(line))
    lines.append('{"step": 21, "num_exam')
    (tmp_path / "progress.jsonl").write_text("\n".join(lines))
    evaluation = {
        **figures(2000, 0.5),
        "calibration_error": 0.02,
        "reliability": [
            {
                "weight": 100.0,
                "prediction": p,
                "label": 0.0 if p < 0.02 else p,
                "label_low": 0.8 * p if p > 0.02 else 0.0,
                "label_high": min(1.0, 1.3 * p),
            }
            for p in np.geomspace(0.01, 0.6, 20).tolist()
        ],
        "slices": {
            "C1": [slice_row(f"value {i} of a long text", 0.2, 1.0) for i in range(50)],
            "I3": [slice_row("missing", 0.2, 4.1), slice_row("1", 0.0, None)],
            "C2": [slice_row("unknown", 0.0, None)],
            "C3": [slice_row("id 7", 1.0, 0.8, num_rows=3_000_000)],
        },
    }
    (tmp_path / "metrics.json").write_text(json.dumps({"evaluation": evaluation}))
    return tmp_path


@pytest.fixture(scope="module")
def training():
    """The module that draws."""
    pytest.importorskip("matplotlib")
    return script_module("figures.training")


@pytest.mark.slow
def test_three_figures_are_drawn_and_not_blank(model_dir):
    image = pytest.importorskip("matplotlib.image")
    code, out, err = run("draw_training.py", f"--model_dir={model_dir}")
    assert code == 0, err
    names = ("progress.png", "reliability.png", "slices.png")
    for name, line in zip(names, out.splitlines(), strict=True):
        assert line == f"wrote {model_dir / 'plots' / name}"
        pixels = image.imread(model_dir / "plots" / name)[..., :3]
        assert pixels.std() > 0.05 and min(pixels.shape[:2]) >= 400


def test_a_half_written_last_line_is_left_out(training, model_dir):
    lines = training.read_progress(model_dir / "progress.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 21))


def test_one_report_is_enough_to_be_drawn(training, model_dir, tmp_path):
    lines = training.read_progress(model_dir / "progress.jsonl")[:1]
    training.draw_progress(lines, tmp_path / "progress.png")
    assert (tmp_path / "progress.png").stat().st_size > 5000


def test_a_run_without_progress_or_with_a_strange_line_is_named(training, tmp_path):
    path = tmp_path / "progress.jsonl"
    with pytest.raises(ValueError, match=r"jsonl of a training run, received none"):
        training.read_progress(path)
    path.write_text('{"step": 1}\n{}\n')
    with pytest.raises(ValueError, match=r"progress\.jsonl, line 1: expected a report"):
        training.read_progress(path)
    path.write_text("")
    with pytest.raises(ValueError, match="expected at least one whole line"):
        training.read_progress(path)


def test_without_matplotlib_the_command_that_installs_it_is_named(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('none')")
    done = subprocess.run(
        [sys.executable, "-c", "import figures.training"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{SCRIPTS}"},
        capture_output=True,
        text=True,
    )
    assert "ImportError: figures need matplotlib" in done.stderr
    assert "pip install 'smelu-tf[plot]'" in done.stderr


@pytest.mark.slow
def test_evaluate_prints_a_table_for_each_slice_column(tmp_path):
    from smelu_tf.models import WideDeep, WideDeepConfig, export_saved_model
    from smelu_tf.pipelines import Categorical, Numeric, Schema

    schema = Schema("ads", (Numeric("n"),), (Categorical("site", buckets=20),))
    model = WideDeep(schema, WideDeepConfig(embedding_dim=2, hidden_units=(2,)))
    version = export_saved_model(model, tmp_path / "export")
    data = tmp_path / "rows.tsv"
    data.write_text("0\t3\ta\n1\t\tb\n1\t2\ta\n0\t\t\n")
    code, out, err = run(
        "evaluate.py", f"--model={version}", f"--data={data}", "--slices=site, n"
    )
    assert code == 0, err
    overall, *tables = out.split("\n\n")
    assert "calibration error" in overall and "reliability" not in overall
    lines = [table.splitlines() for table in tables]
    assert [column[0].split()[0] for column in lines] == ["site", "n"]
    assert [row.split("  ")[0] for row in lines[1][1:]] == ["missing", "2 to 3"]
    for column in lines:
        assert len({len(line) for line in column}) == 1  # aligned
