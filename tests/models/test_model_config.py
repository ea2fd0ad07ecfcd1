"""models/model_config.py: shapes that no model can have."""

import pytest

from smelu_tf.models import TrainConfig, WideDeepConfig


def test_a_model_of_neither_part_is_refused():
    config = TrainConfig(model=WideDeepConfig(wide=False, deep=False))
    with pytest.raises(ValueError, match="model.wide or model.deep"):
        config.validate()


def test_towers_without_a_deep_part_are_refused():
    config = TrainConfig(model=WideDeepConfig(deep=False, towers=2))
    with pytest.raises(ValueError, match="towers: expected 1 without a deep .*ed 2"):
        config.validate()


@pytest.mark.parametrize(
    ("activation", "parameters", "expected"),
    [
        ("relu", ("beta",), r"parameters of relu \(it has none\)"),
        ("smelu:1", ("alpha",), r"parameters of smelu:1 \(beta\)"),
        ("smelu:1,swish,smelu:1", ("beta",), r"parameters of swish"),
        ("smelu:1", "beta", "a tuple of texts"),
    ],
)
def test_parameters_that_an_activation_lacks_are_refused(
    activation, parameters, expected
):
    model = WideDeepConfig(activation=activation, trainable_parameters=parameters)
    with pytest.raises(
        ValueError, match=f"model.trainable_parameters: expected {expected}"
    ):
        model.validate()
