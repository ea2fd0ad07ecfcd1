"""scripts/figures/study_text.py: a study's report in words."""

import pytest
from made_reports import made_report
from script_modules import script_module

from smelu_tf.models import Study

study_text = script_module("figures.study_text")


def comparison(ratio, loss):
    """A report of ReLU and one other, with these intervals (low, mean, high)."""
    study = Study(("relu", "smelu:1"), learning_rates=(0.001,))
    report = made_report(study)
    reference, other = report["best"]
    names = ("low", "mean", "high")
    reference["pd"] = dict(zip(names, (0.139, 0.143, 0.148), strict=True))
    compared = other["compared"]
    compared["pd_ratio"] = ratio and dict(zip(names, ratio, strict=True))
    compared["log_loss_difference"] = dict(zip(names, loss, strict=True))
    return report


def test_the_summary_says_what_the_figures_say():
    first, second = study_text.summary(
        comparison((0.64, 0.67, 0.7), (-0.0016, -0.0012, 0.001)), "init"
    )
    assert first == (
        "5 models of each kind that differ in the seed of their initial weights: two "
        "of ReLU differ by 14.3 % of their mean prediction (95 % interval: 13.9 % to "
        "14.8 %), averaged over 150 rows that none was trained on."
    )
    assert second == (
        "SmeLU 1 has 33 % less prediction difference than ReLU (95 % interval: 30 % to "
        "36 % less), at a log loss 0.0012 lower (0.0016 lower to 0.0010 higher)."
    )


@pytest.mark.parametrize(
    ("ratio", "loss", "expected"),
    [
        (
            (0.93, 0.97, 1.02),
            (0.0001, 0.0003, 0.0005),
            "SmeLU 1 has 3.0 % less prediction difference than ReLU, which may be "
            "chance (95 % interval: 7.0 % less to 2.0 % more), at a log loss 0.00030 "
            "higher (0.00010 to 0.00050 higher).",
        ),
        (
            (1.2, 1.4, 1.5),
            (-0.002, -0.0015, -0.001),
            "SmeLU 1 has 40 % more prediction difference than ReLU (95 % interval: "
            "20 % to 50 % more), at a log loss 0.0015 lower (0.0010 to 0.0020 lower).",
        ),
        (
            (None, 0.5, None),
            (-0.002, -0.0015, -0.001),
            "SmeLU 1 has 50 % less prediction difference than ReLU, at a log loss "
            "0.0015 lower (0.0010 to 0.0020 lower).",
        ),
    ],
)
def test_directions_and_chance_are_said(ratio, loss, expected):
    assert study_text.summary(comparison(ratio, loss), "init")[1] == expected


def test_models_that_agree_are_said_to():
    report = comparison(None, (-0.1, 0.0, 0.1))
    for cell in report["best"]:
        cell["pd"] = {"mean": 0.0, "low": 0.0, "high": 0.0}
    first, second = study_text.summary(report, "init")
    assert first.endswith("those of ReLU agree to the last bit.")
    assert second.startswith("Those of SmeLU 1 agree to the last bit, at a log loss")


def test_titles_are_those_of_the_literature():
    title = study_text.title
    assert title({"activation": "smelu:0.5", "technique": "none"}) == "SmeLU 0.5"
    mixed = {"activation": "smelu:1/relu", "technique": "layer_norm"}
    assert title(mixed) == "SmeLU 1 / ReLU, layer_norm"
