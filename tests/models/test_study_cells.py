"""models/study_cells.py: replicas of a cell, and what differs between them."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_rows
from hypothesis import given
from hypothesis import strategies as st
from small_study import CELL, CONFIG, ROWS, STUDY

from smelu_tf.models import (
    TECHNIQUES,
    Cell,
    CellResult,
    Replicas,
    Study,
    StudyRows,
    TrainConfig,
    WideDeep,
    run_study,
    study_cells,
    train,
    warm_start,
    with_seed,
)


def pd(logits):
    """The mean relative difference over pairs and rows."""
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    pairs = [(i, j) for i in range(len(p)) for j in range(i)]
    return np.mean([2 * abs(p[i] - p[j]) / (p[i] + p[j]) for i, j in pairs])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study's folder and its results."""
    folder = tmp_path_factory.mktemp("studies") / "study"
    return folder, run_study(STUDY, CONFIG, ROWS, folder)


def test_a_result_has_a_row_a_model_and_a_curve(finished):
    folder, results = finished
    (result,) = results.values()
    assert results.keys() == {CELL}
    assert result.validation.shape == (3, 110) and result.test.shape == (3, 150)
    assert result.validation.dtype == result.test.dtype == np.float32
    assert result.curve.shape == (8, 3, 110)
    # 390 rows before the validation, 13 batches of 32, the last one smaller.
    assert result.curve_examples.tolist() == [64, 128, 160, 224, 288, 320, 384, 390]
    assert result.seconds > 0
    assert sorted(p.name for p in folder.iterdir()) == ["cells", "study.json"]
    assert [p.name for p in (folder / "cells").iterdir()] == ["relu_none_0.01_init.npz"]


def test_validation_rows_are_predicted_before_they_are_learned(finished):
    result = finished[1][CELL]
    seeds = [with_seed(CELL.config(CONFIG), seed) for seed in range(3)]
    replicas = Replicas(seeds, ROWS.schema)
    replicas.train(ROWS.train[:390].batches(32))
    before = replicas.logits(ROWS.train[390:].batches(50))
    np.testing.assert_allclose(result.validation, before, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.curve[-1], before, rtol=1e-4, atol=1e-5)
    assert np.abs(result.curve[0] - before).max() > 1e-3
    replicas.train(ROWS.train[390:].batches(32))
    after = replicas.logits(ROWS.test.batches(50))
    np.testing.assert_allclose(result.test, after, rtol=1e-4, atol=1e-5)


def test_models_of_other_seeds_or_orders_differ(finished, tmp_path):
    assert pd(finished[1][CELL].test) > 1e-3
    study = dataclasses.replace(STUDY, varies=("order",), num_replicas=2)
    study = dataclasses.replace(study, order_window=100)
    (result,) = run_study(study, CONFIG, ROWS, tmp_path / "order").values()
    assert 1e-4 < pd(result.test) < pd(finished[1][CELL].test)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(2, 70), st.integers(0, 9))
def test_an_order_moves_rows_within_their_window_and_side(middle, more, window, seed):
    end = middle + more
    order = study_cells._order(middle, end, window, seed) if end else np.arange(0)
    assert sorted(order.tolist()) == list(range(end))
    places = np.arange(end)
    assert np.all((order < middle) == (places < middle))
    assert np.all(order[:middle] // window == places[:middle] // window)
    after = places[: end - middle] // window
    assert np.all((order[middle:] - middle) // window == after)


PROGRAM = """
import sys
import small_rows
from smelu_tf.models import Study, TrainConfig, run_study
from pathlib import Path
import dataclasses

if __name__ == "__main__":
    options = dataclasses.replace(small_rows.CONFIG.train, deterministic=True)
    config = dataclasses.replace(small_rows.CONFIG, train=options)
    folder, varies, activations, techniques = sys.argv[1:]
    names = activations.split(","), techniques.split(",")
    study = Study(*map(tuple, names), (0.01,), (varies,), num_replicas=2)
    run_study(study, config, small_rows.make_study_rows(), Path(folder))
"""


ACTIVATIONS = (
    "relu,smelu:0.5,gsmelu:g_minus=0.1,rescu:0.8:normal,rescu:1.5:epanechnikov,swish,"
    "gelu,softplus"
)


@pytest.mark.parametrize(
    "varies, activations, techniques",
    [
        ("nothing", "smelu:1", "none"),
        pytest.param("threads", "smelu:1", "none", marks=pytest.mark.slow),
        pytest.param("nothing", ACTIVATIONS, "none", marks=pytest.mark.slow),
        pytest.param(
            "nothing", "smelu:1", ",".join(TECHNIQUES), marks=pytest.mark.slow
        ),
    ],
)
def test_deterministic_models_of_which_nothing_differs_agree_to_the_bit(
    varies, activations, techniques, tmp_path, monkeypatch
):
    """In a process of its own, as op determinism is for good."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(Path(small_rows.__file__).parent))
    folder = tmp_path / "study"
    command = [sys.executable, program, folder, varies, activations, techniques]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    paths = [*(folder / "cells").iterdir()]
    assert len(paths) == len(activations.split(",")) * len(techniques.split(","))
    for path in paths:
        result = CellResult.load(path)
        np.testing.assert_array_equal(result.test[0], result.test[1], path.name)
        np.testing.assert_array_equal(result.validation[0], result.validation[1])
        assert pd(result.test) == 0
        assert result.test.std() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("varies", ["init", "nothing"])
def test_models_begin_with_the_tables_or_with_all_of_another_run(
    varies, criteo_dir, tmp_path
):
    config = TrainConfig(model=dataclasses.replace(CONFIG.model, hidden_units=(8,)))
    train(config, criteo_dir / "day_0.tsv", tmp_path / "model")
    study = Study(
        ("relu",), ("none",), (0.001,), (varies,), 2, warm_start=str(tmp_path / "model")
    )
    files = (str(criteo_dir / f"day_{day}.tsv") for day in (1, 2))
    rows = StudyRows.read(*files, config)
    (result,) = run_study(study, config, rows, tmp_path / "study").values()
    cold = dataclasses.replace(study, warm_start="")
    with pytest.raises(ValueError, match="warm_start is .* there, '' here"):
        run_study(cold, config, rows, tmp_path / "study")
    (other,) = run_study(cold, config, rows, tmp_path / "cold").values()
    labels = rows.validation.label
    loss, cold_loss = (
        np.mean(np.logaddexp(0, logits) - labels * logits)
        for logits in (result.validation, other.validation)
    )
    assert loss < cold_loss - 0.005  # a third more rows have been learned
    # By hand: the first replica.
    model = WideDeep(rows.schema, dataclasses.replace(config.model, activation="relu"))
    warm_start(model, tmp_path / "model", dense=varies == "nothing")
    replicas = Replicas(
        [Cell("relu", "none", 0.001, varies).config(config)],
        rows.schema,
        prepare=lambda other: other.set_weights(model.get_weights()),
    )
    middle = len(rows.train) - rows.num_validation
    replicas.train(rows.train[:middle].batches(config.data.batch_size))
    expected = replicas.logits(rows.validation.batches(4096))[0]
    np.testing.assert_allclose(result.validation[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_technique_may_change_the_size_of_batches(tmp_path):
    study = dataclasses.replace(
        STUDY, techniques=("data.batch_size=130",), num_replicas=2
    )
    (result,) = run_study(study, CONFIG, ROWS, tmp_path / "study").values()
    assert result.curve_examples.tolist() == [130, 260, 390]
