"""models/study_report.py: which rates are chosen, and what is said of them."""

import dataclasses
import json

import numpy as np
import pytest
import small_rows

from smelu_tf.models import Cell, Study, study_report

ROWS = small_rows.make_study_rows()
made = small_rows.make_result
STUDY = Study(("relu", "smelu:0.5"), learning_rates=(0.001, 0.002, 0.004))


@pytest.fixture(scope="module")
def results():
    cells = [*STUDY.cells()]
    return {
        cell: made(i, spread=0.2 + 0.07 * i, strength=1 + 0.1 * i)
        for i, cell in enumerate(cells)
    }


@pytest.fixture(scope="module")
def report(results):
    return study_report(STUDY, ROWS, results)


# ------------------------------------------------------------------------- oracles


def _ref_probabilities(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def _ref_pd(logits, weight):
    p = _ref_probabilities(logits)
    total = [
        np.sum(weight * 2 * np.abs(p[i] - p[j]) / (p[i] + p[j])) / np.sum(weight)
        for i in range(len(p))
        for j in range(len(p))
        if i != j
    ]
    return np.mean(total)


def _ref_losses(logits, label):
    """(num_models, num_rows)."""
    p = _ref_probabilities(logits)
    return -np.where(label == 1, np.log(p), np.log(1 - p))


def _ref_log_loss(logits, rows):
    losses = _ref_losses(logits, rows.label).mean(axis=0)
    return np.sum(rows.weight * losses) / np.sum(rows.weight)


def _ref_chosen(cells, results, rows):
    """Of the cells within one paired standard error of the best, the least PD."""
    losses = {c: _ref_log_loss(results[c].validation, rows) for c in cells}
    best = min(losses, key=losses.get)
    near = []
    for cell in cells:
        each = (
            _ref_losses(results[cell].validation, rows.label)
            - _ref_losses(results[best].validation, rows.label)
        ).mean(axis=0)
        mean = losses[cell] - losses[best]
        square = np.sum((rows.weight * (each - mean)) ** 2)
        if mean <= np.sqrt(square) / np.sum(rows.weight):
            near.append(cell)
    return min(near, key=lambda c: _ref_pd(results[c].validation, rows.weight))


# ----------------------------------------------------------------------- selection


def rates_chosen(study, results):
    report = study_report(study, ROWS, results)
    return {cell["activation"]: cell["learning_rate"] for cell in report["best"]}


@pytest.mark.parametrize("seed", range(6))
def test_the_rate_is_chosen_by_the_rule(seed):
    random = np.random.default_rng(seed)
    results = {
        cell: made(
            seed=int(random.integers(1 << 30)),
            spread=random.uniform(0.1, 0.4),
            strength=random.uniform(0.5, 2),
            num_models=3,
        )
        for cell in STUDY.cells()
    }
    for activation, rate in rates_chosen(STUDY, results).items():
        cells = [cell for cell in results if cell.activation == activation]
        assert _ref_chosen(cells, results, ROWS.validation).learning_rate == rate


def test_less_pd_is_taken_within_one_standard_error_only():
    study = Study(("relu",), learning_rates=(0.001, 0.002, 0.004))
    best, near, far = study.cells()
    label = ROWS.validation.label
    sign = np.where(label == 1, 1.0, -1.0)
    noise = np.random.default_rng(0).normal(size=(4, len(label)))

    def result(logits):
        return dataclasses.replace(made(num_models=4), validation=logits.astype("f"))

    results = {
        best: result(0.80 * sign + 0.4 * noise),
        # Less of the same: no worse than chance tells, and less difference.
        near: result(0.79 * sign + 0.2 * noise),
        far: result(np.zeros((4, len(label))) + 1e-3 * noise),
    }
    losses = [_ref_log_loss(r.validation, ROWS.validation) for r in results.values()]
    assert losses[2] > max(losses[:2]) + 0.1
    pds = [_ref_pd(r.validation, ROWS.validation.weight) for r in results.values()]
    assert pds[2] < pds[1] < pds[0]
    assert rates_chosen(study, results) == {"relu": 0.002}


def test_test_rows_have_no_part_in_the_choice(results):
    before = rates_chosen(STUDY, results)
    random = np.random.default_rng(9)
    spoilt = {
        cell: dataclasses.replace(r, test=random.normal(size=r.test.shape).astype("f"))
        for cell, r in results.items()
    }
    assert rates_chosen(STUDY, spoilt) == before


# ------------------------------------------------------------------------- figures


def test_every_cell_has_the_figures_that_readers_rely_on(report, results):
    assert len(report["cells"]) == len(results) == 6
    for cell in report["cells"]:
        assert cell.keys() >= {
            "activation",
            "beta",
            "learning_rate",
            "technique",
            "varies",
            "log_loss",
            "log_loss_error",
            "auc",
            "pd",
            "seconds",
        }
        assert cell["pd"].keys() == {"mean", "low", "high"}
        assert cell["pd"]["low"] < cell["pd"]["mean"] < cell["pd"]["high"]
        assert cell["seconds"] == 12.5 and cell["num_replicas"] == 5
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_figures_are_those_of_the_test_rows(report, results):
    for figures, (cell, result) in zip(report["cells"], results.items(), strict=True):
        assert figures["learning_rate"] == cell.learning_rate
        weight = ROWS.test.weight
        expected = _ref_pd(result.test, weight)
        assert figures["pd"]["mean"] == pytest.approx(expected, rel=1e-9)
        log_loss = _ref_log_loss(result.test, ROWS.test)
        assert figures["log_loss"] == pytest.approx(log_loss, rel=1e-6)
        each = [
            _ref_log_loss(result.test[i : i + 1], ROWS.test)
            for i in range(len(result.test))
        ]
        error = np.std(each, ddof=1) / np.sqrt(len(each))
        assert figures["log_loss_error"] == pytest.approx(error, rel=1e-4)
        assert [point["num_examples"] for point in figures["curve"]] == [200, 390]
        pd = _ref_pd(result.curve[1], np.ones(110))
        assert figures["curve"][1]["pd"] == pytest.approx(pd, rel=1e-9)
        deciles = figures["pd_by_decile"]
        assert sum(item["num_examples"] for item in deciles) == 150
        assert len(deciles) == 10


def test_the_chosen_are_compared_with_the_chosen_reference(report, results):
    reference, other = report["best"]
    assert report["reference"] == {"activation": "relu", "technique": "none"}
    assert reference["activation"] == "relu" and reference["compared"] is None
    compared = other["compared"]
    assert compared["learning_rate"] == reference["learning_rate"]
    ratio = compared["pd_ratio"]
    expected = other["pd"]["mean"] / reference["pd"]["mean"]
    assert ratio["mean"] == pytest.approx(expected, rel=1e-9)
    assert ratio["low"] < ratio["mean"] < ratio["high"]
    difference = compared["log_loss_difference"]
    a, b = (
        _ref_losses(
            results[Cell(c["activation"], "none", c["learning_rate"], "init")].test,
            ROWS.test.label,
        )
        for c in (other, reference)
    )
    weight = ROWS.test.weight
    each = a.mean(axis=0) - b.mean(axis=0)
    mean = np.average(each, weights=weight)
    assert difference["mean"] == pytest.approx(mean, rel=1e-6)
    over_rows = np.sqrt(np.sum((weight * (each - mean)) ** 2)) / weight.sum()
    assert difference["error_over_rows"] == pytest.approx(over_rows, rel=1e-6)
    models = [np.average(x, weights=weight, axis=1) for x in (a, b)]
    over_models = np.sqrt(sum(np.var(m, ddof=1) / 5 for m in models))
    assert difference["error_over_models"] == pytest.approx(over_models, rel=1e-6)
    width = difference["high"] - difference["low"]
    error = np.hypot(over_rows, over_models)
    assert width == pytest.approx(2 * 1.959964 * error, rel=1e-5)


def test_every_cell_is_compared_at_its_own_rate(report):
    at = {c["learning_rate"]: c for c in report["cells"] if c["activation"] == "relu"}
    for cell in report["cells"]:
        if cell["activation"] == "relu":
            assert cell["equal_rate"] is None
            continue
        other = at[cell["learning_rate"]]
        ratio = cell["equal_rate"]["pd_ratio"]["mean"]
        assert ratio == pytest.approx(cell["pd"]["mean"] / other["pd"]["mean"])


@pytest.mark.parametrize(
    ("activation", "beta"),
    [
        ("smelu", 1.0),
        ("smelu:0.5", 0.5),
        ("smelu:beta=0.25", 0.25),
        ("relu", None),
        ("swish:2", None),
        ("gsmelu:1:2", None),
        ("smelu:1/relu", None),
    ],
)
def test_beta_is_that_of_smelu_alone(activation, beta):
    study = Study((activation,), learning_rates=(0.001,))
    report = study_report(study, ROWS, {c: made() for c in study.cells()})
    assert report["cells"][0]["beta"] == beta


def test_without_relu_the_first_is_the_reference():
    study = Study(("gelu", "smelu:1"), ("layer_norm",), (0.001,))
    report = study_report(study, ROWS, {c: made() for c in study.cells()})
    assert report["reference"] == {"activation": "gelu", "technique": "layer_norm"}


def test_the_first_without_a_technique_is_the_reference_of_others():
    study = Study(("relu+layer_norm", "gelu", "smelu:1"), learning_rates=(0.001,))
    report = study_report(study, ROWS, {c: made() for c in study.cells()})
    assert report["reference"] == {"activation": "gelu", "technique": "none"}


# ------------------------------------------------------------------------ edges


def compared_with(reference_test):
    """The comparison with a reference that has these logits."""
    study = Study(("relu", "smelu:1"), learning_rates=(0.001,))
    reference, other = study.cells()
    test = reference_test.astype("f")
    results = {reference: dataclasses.replace(made(), test=test), other: made(1)}
    report = study_report(study, ROWS, results)
    json.dumps(report, allow_nan=False)
    return report["best"][1]["compared"]["pd_ratio"]


def test_two_models_have_figures_without_intervals():
    study = Study(("relu", "smelu:1"), learning_rates=(0.001,), num_replicas=2)
    results = {c: made(i, num_models=2) for i, c in enumerate(study.cells())}
    report = study_report(study, ROWS, results)
    for cell in report["best"]:
        assert (
            cell["pd"]["mean"] > 0 and cell["pd"]["low"] is cell["pd"]["high"] is None
        )
    ratio = report["best"][1]["compared"]["pd_ratio"]
    assert ratio["mean"] > 0 and ratio["low"] is None


def test_a_reference_whose_models_agree_has_no_ratio():
    assert compared_with(np.tile(made().test[:1], (5, 1))) is None


def test_a_reference_of_which_some_models_agree_has_a_ratio_without_interval():
    test = made().test[[0, 1, 1, 1, 1]]
    ratio = compared_with(test)
    expected = _ref_pd(made(1).test, ROWS.test.weight) / _ref_pd(test, ROWS.test.weight)
    assert ratio == {"mean": pytest.approx(expected), "low": None, "high": None}


def test_rows_of_one_class_have_no_auc():
    study = Study(("relu",), learning_rates=(0.001,))
    test = dataclasses.replace(ROWS.test, label=np.zeros(150, "f"))
    rows = dataclasses.replace(ROWS, test=test)
    report = study_report(study, rows, {c: made() for c in study.cells()})
    assert report["best"][0]["auc"] is None
