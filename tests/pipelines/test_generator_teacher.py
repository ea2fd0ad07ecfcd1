"""pipelines/generator_teacher.py: clicks like Criteo's, beyond a linear model.

Tolerances: a rate over n rows gets five binomial standard deviations beside the
stated slack for what the generator approximates on purpose.
"""

import numpy as np
import pytest
from criteo_rows import (
    CATEGORICALS,
    INTEGERS,
    STATISTICS,
    column,
    five_sigma,
    reference_metrics,
)


def test_click_rate(rows):
    rate = rows.label.mean()
    assert rate == pytest.approx(STATISTICS["click_rate"], abs=0.005)
    days = np.array([part.mean() for part in np.array_split(rows.label, 7)])
    assert 0.01 < np.ptp(days) < 0.06  # it drifts, moderately


@pytest.mark.parametrize("group", STATISTICS["click_rate_missing_present"])
def test_click_rate_given_missing_and_present(rows, group):
    missing = column(rows, group.split(",")[0])[1]
    expected = STATISTICS["click_rate_missing_present"][group]
    for which, rate in zip((missing, ~missing), expected, strict=True):
        # 0.005: the figures' own rounding, and the bias is common to all groups.
        slack = 0.005 + five_sigma(rate, which.sum())
        assert rows.label[which].mean() == pytest.approx(rate, abs=slack)


def test_labels_are_calibrated_against_the_probabilities(rows):
    order = np.argsort(rows.probability)
    for part in np.array_split(order, 50):
        p = rows.probability[part]
        z = (rows.label[part].sum() - p.sum()) / np.sqrt(np.sum(p * (1 - p)))
        assert abs(z) < 4.5


def test_bayes_figures_look_like_those_of_criteo(rows):
    figures = reference_metrics(rows)
    assert 0.43 < figures["log_loss"] < 0.46
    assert 0.79 < figures["auc"] < 0.82


@pytest.mark.slow
def test_interactions_are_beyond_an_additive_model(rows):
    """Expected losses of logistic fits to the true probabilities: no label noise."""
    p = rows.probability[:60_000]
    additive = additive_features(rows, 60_000)
    logs = scaled_logs(rows, 60_000)
    interactions = [
        logs * indicator[:, None]
        for name in ("C9", "C14", "C20")
        for indicator in one_hot(column(rows, name)[0][:60_000], 6).T
    ]
    train, test = slice(0, 40_000), slice(40_000, 60_000)

    def excess(features):
        features = np.hstack([features, np.ones((len(features), 1))])
        weights = fit_logistic(features[train], p[train])
        q = 1 / (1 + np.exp(-features[test] @ weights))
        return cross_entropy(p[test], q) - cross_entropy(p[test], p[test])

    linear = excess(additive)
    assert linear > 0.015
    assert excess(np.hstack([additive, *interactions])) < linear - 0.006


def cross_entropy(p, q):
    return -np.mean(p * np.log(q) + (1 - p) * np.log1p(-q))


def fit_logistic(x, p, steps=6):
    """Newton's method with a little ridge, on soft labels."""
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        q = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (q * (1 - q))[:, None]).T @ x + np.eye(x.shape[1])
        weights += np.linalg.solve(hessian, x.T @ (p - q) - weights)
    return weights


def one_hot(values, num_values):
    """Indicators of the most frequent values (a missing id is 0, one of them)."""
    distinct, counts = np.unique(values, return_counts=True)
    top = distinct[np.argsort(-counts)[:num_values]]
    return (values[:, None] == top).astype(np.float64)


def scaled_logs(rows, num_rows):
    logs = np.log1p(np.maximum(rows.numeric[:num_rows], 0))
    return np.tanh((logs - logs.mean(axis=0)) / (2 * logs.std(axis=0)))


def additive_features(rows, num_rows):
    """Frequent ids, decile bins of the integers and their missing flags."""
    parts = [one_hot(column(rows, name)[0][:num_rows], 20) for name in CATEGORICALS]
    for name in INTEGERS:
        values, missing = (x[:num_rows] for x in column(rows, name))
        edges = np.unique(np.quantile(values, np.linspace(0.1, 0.9, 9)))
        bins = np.where(missing, -1, np.searchsorted(edges, values))
        parts.append((bins[:, None] == np.arange(-1, 10)).astype(np.float64))
    return np.hstack(parts)
