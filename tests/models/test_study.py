"""models/study.py: cells of replicas, and the folder that keeps them."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_rows
from hypothesis import given
from hypothesis import strategies as st

from smelu_tf.models import (
    TECHNIQUES,
    Cell,
    CellResult,
    DataConfig,
    Replicas,
    Study,
    StudyRows,
    TrainConfig,
    WideDeep,
    run_study,
    train,
    warm_start,
    with_seed,
)
from smelu_tf.models import study as study_module
from smelu_tf.pipelines import InMemoryRows

CONFIG = small_rows.CONFIG
ROWS = small_rows.make_study_rows()
STUDY = Study(("relu",), learning_rates=(0.01,), num_replicas=3)
CELL = Cell("relu", "none", 0.01, "init")


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


@pytest.fixture
def no_training(monkeypatch):
    """Names of cells that would be trained; none is."""
    asked = []

    def note(cell, *arguments):
        asked.append(cell)
        raise KeyboardInterrupt

    monkeypatch.setattr(study_module, "_train_cell", note)
    return asked


def copied(folder, to):
    """A copy of a study's folder."""
    to.mkdir()
    (to / "cells").mkdir()
    for path in (folder / "study.json", *(folder / "cells").iterdir()):
        (to / path.relative_to(folder)).write_bytes(path.read_bytes())
    return to


# --------------------------------------------------------------------------- cells


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
    order = study_module._order(middle, end, window, seed) if end else np.arange(0)
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
        [study_module.Cell("relu", "none", 0.001, varies).config(config)],
        rows.schema,
        prepare=lambda other: other.set_weights(model.get_weights()),
    )
    middle = len(rows.train) - rows.num_validation
    replicas.train(rows.train[:middle].batches(config.data.batch_size))
    expected = replicas.logits(rows.validation.batches(4096))[0]
    np.testing.assert_allclose(result.validation[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_training_that_diverges_is_named_and_not_kept(tmp_path):
    study = dataclasses.replace(STUDY, learning_rates=(1e6,), num_replicas=2)
    with pytest.raises(
        ArithmeticError, match=r"cell relu_none_1e\+06_init: .*diverged"
    ):
        run_study(study, CONFIG, ROWS, tmp_path / "study")
    assert not any(tmp_path.rglob("*.npz"))


@pytest.mark.slow
def test_a_technique_may_change_the_size_of_batches(tmp_path):
    study = dataclasses.replace(
        STUDY, techniques=("data.batch_size=130",), num_replicas=2
    )
    (result,) = run_study(study, CONFIG, ROWS, tmp_path / "study").values()
    assert result.curve_examples.tolist() == [130, 260, 390]


def _fail(*arguments):
    raise ArithmeticError("diverged there")


@pytest.mark.slow
def test_what_a_process_raises_comes_back_and_a_lost_one_is_named():
    with pytest.raises(ArithmeticError, match="diverged there"):
        study_module._in_process(1, _fail)
    import os

    with pytest.raises(ChildProcessError, match="received one that was lost"):
        study_module._in_process(1, os._exit, 3)


# -------------------------------------------------------------------------- folder


def test_the_same_study_again_keeps_all_cells(finished, no_training, tmp_path):
    folder, results = finished
    told = []
    again = run_study(STUDY, CONFIG, ROWS, copied(folder, tmp_path / "s"), told.append)
    assert no_training == []
    assert told[0] == told[-1] == 3 * 500 == STUDY.num_examples(ROWS)
    for name, values in dataclasses.asdict(results[CELL]).items():
        np.testing.assert_array_equal(getattr(again[CELL], name), values)


def test_more_cells_may_be_added_and_only_they_are_trained(finished, tmp_path):
    folder = copied(finished[0], tmp_path / "study")
    kept = (folder / "cells" / "relu_none_0.01_init.npz").stat().st_mtime_ns
    study = dataclasses.replace(STUDY, activations=("smelu:1", "relu"))
    told = []
    results = run_study(study, CONFIG, ROWS, folder, told.append)
    assert [cell.activation for cell in results] == ["smelu:1", "relu"]
    assert (folder / "cells" / "relu_none_0.01_init.npz").stat().st_mtime_ns == kept
    # What was there is told first, so that the time left is of the rest.
    assert told[0] == 1500 and told[-1] == 3000 == study.num_examples(ROWS)
    assert told == sorted(told)


def test_an_interrupted_study_goes_on_with_what_is_missing(
    finished, no_training, tmp_path
):
    folder = copied(finished[0], tmp_path / "study")
    study = dataclasses.replace(STUDY, learning_rates=(0.01, 0.02))
    with pytest.raises(KeyboardInterrupt):
        run_study(study, CONFIG, ROWS, folder)
    assert [cell.learning_rate for cell in no_training] == [0.02]
    assert len([*(folder / "cells").iterdir()]) == 1


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"", bytes.upper]
)
def test_a_damaged_cell_is_named_before_any_is_trained(
    finished, no_training, tmp_path, spoil
):
    folder = copied(finished[0], tmp_path / "study")
    path = folder / "cells" / "relu_none_0.01_init.npz"
    path.write_bytes(spoil(path.read_bytes()))
    study = dataclasses.replace(STUDY, activations=("smelu:1", "relu"))
    with pytest.raises(ValueError, match="0.01_init.npz: expected .*; delete it, and"):
        run_study(study, CONFIG, ROWS, folder)
    assert no_training == []


OTHERS = {
    "config": (
        STUDY,
        dataclasses.replace(CONFIG, data=DataConfig(batch_size=64)),
        ROWS,
        "config.data.batch_size is 32 there, 64 here",
    ),
    "replicas": (
        dataclasses.replace(STUDY, num_replicas=4),
        CONFIG,
        ROWS,
        "num_replicas is 3 there, 4 here",
    ),
    "rows": (
        STUDY,
        CONFIG,
        small_rows.make_study_rows(num_test=151),
        r"num_rows is \[500, 110, 150\] there",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_study_s_folder_is_refused(finished, no_training, case):
    study, config, rows, message = OTHERS[case]
    with pytest.raises(ValueError, match=message):
        run_study(study, config, rows, finished[0])
    assert no_training == []


def test_a_folder_of_something_else_is_refused(no_training, tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ValueError, match=r"something else \(no study.json\)"):
        run_study(STUDY, CONFIG, ROWS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_a_killed_process_began_is_taken(no_training, tmp_path):
    (tmp_path / ".study.json.0a1b2c3d.17.partial").write_text('{"num_rep')
    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, CONFIG, ROWS, tmp_path)
    assert no_training == [CELL]


def test_fields_that_came_later_are_what_they_were_before(
    finished, no_training, tmp_path
):
    folder = copied(finished[0], tmp_path / "study")
    values = json.loads((folder / "study.json").read_text())
    assert values["config"]["model"].pop("unknown_rate") == 0
    (folder / "study.json").write_text(json.dumps(values))
    run_study(STUDY, CONFIG, ROWS, folder)
    assert no_training == []
    assert values["config"]["model"].pop("embedding_stddev") == 0.1  # no default
    (folder / "study.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="embedding_stddev is 0.001 there, 0.1 here"):
        run_study(STUDY, CONFIG, ROWS, folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"config": {"modle": {}}}'])
def test_a_damaged_study_json_is_named(finished, tmp_path, text):
    folder = copied(finished[0], tmp_path / "study")
    (folder / "study.json").write_text(text)
    with pytest.raises(ValueError, match="study.json: "):
        run_study(STUDY, CONFIG, ROWS, folder)


# ----------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activations": ()}, "activations: expected one or more"),
        ({"activations": ("relu", "relu")}, "each once, received"),
        ({"activations": ("rleu",)}, "received 'rleu'; the nearest is relu"),
        ({"activations": ("relu/relu",)}, "expected one activation, or 1 with commas"),
        ({"techniques": ("magic",)}, "technique: expected one of none"),
        (
            {"techniques": ("optimizer.learning_rate=1",)},
            "technique: expected no optimizer.learning_rate, which a study sets",
        ),
        ({"techniques": ("model.activation=gelu",)}, "expected no model.activation"),
        ({"techniques": ("data.epochs=2",)}, "data.epochs: expected 1 in a study"),
        ({"learning_rates": (0.1, -1.0)}, "learning_rate: expected a number above 0"),
        ({"learning_rates": (float("nan"),)}, "learning_rate: expected a number above"),
        ({"learning_rates": (0.12345678, 0.12345679)}, "files have different names"),
        ({"varies": ("weather",)}, "varies: expected one of init, order, threads"),
        ({"num_replicas": 1}, "num_replicas: expected 2 or more, received 1"),
        ({"order_window": 1}, "order_window: expected 2 or more, received 1"),
    ],
)
def test_a_study_that_cannot_be_is_refused_before_anything_is_written(
    tmp_path, changes, message
):
    study = dataclasses.replace(STUDY, **changes)
    with pytest.raises(ValueError, match=message):
        run_study(study, CONFIG, ROWS, tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataConfig(epochs=2), "data.epochs: expected 1 in a study"),
        (DataConfig(shuffle=True), "data.shuffle: expected False in a study"),
        (DataConfig(negative_rate=0.5), "data.negative_rate: expected 1.0 in a study"),
    ],
)
def test_rows_are_read_once_and_all(data, message):
    with pytest.raises(ValueError, match=message):
        STUDY.validate(dataclasses.replace(CONFIG, data=data))


def test_cells_are_all_combinations_with_names_of_their_own():
    study = Study(varies=("init", "order"), techniques=("none", "layer_norm"))
    cells = [*study.cells()]
    assert len(cells) == len({cell.name for cell in cells}) == 2 * 2 * 3 * 3
    cell = Cell("smelu:1/relu", "model.crosses=C1*C2", 0.002, "init")
    assert cell.name == "smelu-1-relu_model.crosses=C1-C2_0.002_init"
    config = cell.config(TrainConfig())
    assert config.model.activation == "smelu:1,relu"
    assert config.model.crosses == ("C1*C2",)
    assert config.optimizer.learning_rate == 0.002


# ---------------------------------------------------------------------------- rows


def test_the_last_rows_validate(criteo_dir):
    files, test_files = (str(criteo_dir / name) for name in ("day_0.tsv", "day_1.tsv"))
    rows = StudyRows.read(files, test_files, TrainConfig(), fraction=0.2)
    assert rows.schema.is_complete
    assert (len(rows.train), rows.num_validation, len(rows.test)) == (3000, 600, 3000)
    np.testing.assert_array_equal(rows.validation.label, rows.train.label[2400:])
    labels = [line[0] for line in Path(test_files).read_text().splitlines()]
    assert rows.test.label.tolist() == [float(label) for label in labels]


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_there_are_rows_to_train_and_to_validate_on(criteo_dir, fraction):
    path = str(criteo_dir / "day_0.tsv")
    with pytest.raises(ValueError, match="expected rows to train and to validate on"):
        StudyRows.read(path, path, TrainConfig(), fraction)


def test_rows_without_weight_compare_nothing(criteo_dir, monkeypatch):
    path = str(criteo_dir / "day_0.tsv")
    read = InMemoryRows.read

    def weightless(rows, schema):
        found = read(rows, schema)
        found.weight[:] = 0
        return found

    monkeypatch.setattr(InMemoryRows, "read", weightless)
    with pytest.raises(ValueError, match="expected rows of weight above 0"):
        StudyRows.read(path, path, TrainConfig())


def test_techniques_of_an_activation_alone():
    study = Study(
        activations=("relu", "smelu:1+trained_beta"),
        techniques=("none", "layer_norm"),
        learning_rates=(0.01,),
    )
    assert [(cell.activation, cell.technique) for cell in study.cells()] == [
        ("relu", "none"),
        ("smelu:1", "trained_beta"),
        ("relu", "layer_norm"),
        ("smelu:1", "trained_beta+layer_norm"),
    ]
    study.validate(TrainConfig())
    bad = dataclasses.replace(study, activations=("relu+trained_beta", "smelu:1"))
    with pytest.raises(ValueError, match="relu .it has none."):
        bad.validate(TrainConfig())
