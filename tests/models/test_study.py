"""models/study.py: what is trained, what goes on, and the folder that keeps it."""

import dataclasses
import json

import numpy as np
import pytest
import small_rows
from small_study import CELL, CONFIG, ROWS, STUDY

from smelu_tf.models import DataConfig, run_study
from smelu_tf.models import study as study_module


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

    monkeypatch.setattr(study_module, "train_cell", note)
    return asked


def copied(folder, to):
    """A copy of a study's folder."""
    to.mkdir()
    (to / "cells").mkdir()
    for path in (folder / "study.json", *(folder / "cells").iterdir()):
        (to / path.relative_to(folder)).write_bytes(path.read_bytes())
    return to


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


@pytest.mark.slow
def test_a_training_that_diverges_is_named_and_not_kept(tmp_path):
    study = dataclasses.replace(STUDY, learning_rates=(1e6,), num_replicas=2)
    with pytest.raises(
        ArithmeticError, match=r"cell relu_none_1e\+06_init: .*diverged"
    ):
        run_study(study, CONFIG, ROWS, tmp_path / "study")
    assert not any(tmp_path.rglob("*.npz"))
