"""models/study_plan.py: the cells of a study, and what is none."""

import dataclasses

import pytest
from small_study import CONFIG, ROWS, STUDY

from smelu_tf.models import Cell, DataConfig, Study, TrainConfig, run_study


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
