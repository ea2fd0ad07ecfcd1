"""The scripts from end to end, as a user calls them."""

import json
import shutil

import numpy as np
import pytest
from script_runs import TINY, run


def test_generate_writes_days_and_the_truth(work):
    files = sorted(path.name for path in (work / "demo" / "data").iterdir())
    assert files == [*(f"day_{i}.tsv" for i in range(7)), "truth.json"]


def test_train_s_figures_are_in_metrics_json_and_on_stdout(work):
    code, out, err = run("train.py", *TINY, "--json", cwd=work)  # ended: at once
    assert code == 0, err
    shown = json.loads(out)
    metrics = json.loads((work / "demo" / "model" / "metrics.json").read_text())
    assert metrics["progressive"]["num_examples"] == 12_000
    assert {name: shown[name] for name in metrics["progressive"]} == metrics[
        "progressive"
    ]


def test_convert_makes_blocks_and_returns_at_once_when_called_again(work):
    for _ in range(2):
        code, out, err = run("convert.py", "--rows_per_block=512", "--json", cwd=work)
        assert code == 0, err
        figures = json.loads(out)
        assert figures["num_rows"] == 12_000
        assert figures["num_bad_rows"] == 0


@pytest.mark.slow
def test_blocks_of_another_conversion_are_kept(work):
    for rows, expected in ((512, 0), (500, 2)):
        arguments = (f"--rows_per_block={rows}", "--output_dir=demo/others")
        code, _, err = run("convert.py", *arguments, cwd=work)
        assert code == expected, err
    assert "which differs in rows_per_block (500, not 512)" in err


@pytest.mark.parametrize(
    "model", ["demo/model", pytest.param("demo/export/1", marks=pytest.mark.slow)]
)
def test_evaluate_and_predict_a_model_dir_or_a_saved_model(work, model, tmp_path):
    code, out, err = run("evaluate.py", f"--model={model}", "--json", cwd=work)
    assert code == 0, err
    figures = json.loads(out)
    assert figures["num_examples"] == 2000
    assert 0.3 < figures["log_loss"] < 0.7
    metrics = json.loads((work / "demo" / "model" / "metrics.json").read_text())
    assert ("evaluation" in metrics) or model == "demo/export/1"
    parquet = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / "predictions.parquet"
    code, out, err = run(
        "predict.py", f"--model={model}", f"--output={output}", cwd=work
    )
    assert code == 0, err
    table = parquet.read_table(output)
    probability = table["probability"].to_numpy().astype(np.float64)
    label = table["label"].to_numpy()
    loss = -np.mean(np.log(np.where(label == 1, probability, 1 - probability)))
    assert loss == pytest.approx(figures["log_loss"], rel=1e-5)


@pytest.mark.slow
def test_figures_are_shown_even_where_they_cannot_be_kept(work, tmp_path):
    model = shutil.copytree(work / "demo" / "model", tmp_path / "model")
    (model / "metrics.json").write_text("[]")
    code, out, err = run("evaluate.py", f"--model={model}", "--json", cwd=work)
    assert code == 2
    assert json.loads(out)["num_examples"] == 2000
    assert "metrics.json: expected a JSON object" in err.splitlines()[-1]


@pytest.mark.slow
def test_keras_3_is_refused_by_the_scripts(work):
    code, out, err = run("evaluate.py", cwd=work, TF_USE_LEGACY_KERAS="0")
    assert code == 2
    (line,) = err.splitlines()
    assert "expected tf.keras to be tf-keras" in line
    assert "TF_USE_LEGACY_KERAS=1" in line


@pytest.mark.slow
def test_bad_rows_are_passed_over_on_request(work, tmp_path):
    good = (work / "demo" / "data" / "day_6.tsv").read_text().splitlines()[:50]
    (tmp_path / "day.tsv").write_text("\n".join(["1\t2", *good, "x"]))
    arguments = [f"--model={work}/demo/model", "--data=day.tsv", "--json"]
    code, out, err = run("evaluate.py", *arguments, "--max_bad_rows=2", cwd=tmp_path)
    assert code == 0, err
    assert json.loads(out)["num_bad_rows"] == 2
    assert "day.tsv, line 1: expected 40" in err
    assert (tmp_path / "rejects.txt").read_text() == "1\t2\nx\n"
    code, out, err = run("evaluate.py", *arguments, "--max_bad_rows=1", cwd=tmp_path)
    assert code == 2
    assert "line 52" in err.splitlines()[-1]


@pytest.mark.slow
def test_crlf_lines_are_fine(work, tmp_path):
    lines = (work / "demo" / "data" / "day_6.tsv").read_text().splitlines()
    (tmp_path / "day.tsv").write_text("\r\n".join(lines), newline="")
    model = f"--model={work}/demo/model"
    figures = []
    for data in (work / "demo" / "data" / "day_6.tsv", "day.tsv"):
        code, out, _ = run(
            "evaluate.py", model, f"--data={data}", "--json", cwd=tmp_path
        )
        assert code == 0
        figures.append(json.loads(out))
    assert figures[0] == figures[1]
