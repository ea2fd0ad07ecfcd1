"""models/recalibration_fit.py against scikit-learn, SciPy and NumPy."""

import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recalibrated_rows import KINDS, mapped, sample
from scipy import optimize, special
from sklearn import isotonic, linear_model, metrics

from smelu_tf.models import fit_recalibration, recalibrate
from smelu_tf.models.recalibration import MAX_KNOTS
from smelu_tf.pipelines import Batch


def log_loss(logits, labels):
    logits = logits.astype(np.float64)
    return np.mean(np.logaddexp(0, logits) - labels * logits)


def _ref_isotonic(z, y, w):
    """Knots and values by scikit-learn, block by block, with SciPy's root finder."""
    z, y, w = (values.astype(np.float64) for values in (z, y, w))
    fitted = isotonic.IsotonicRegression().fit(z, y, w).predict(z)
    knots, rates, sizes = [], [], []
    for rate in np.unique(fitted.round(12)):
        block = np.abs(fitted - rate) < 1e-9
        knots.append(np.average(z[block], weights=w[block]))
        rates.append(np.average(y[block], weights=w[block]))
        sizes.append(w[block].sum() / w.mean())
    if rates[-1] == 1:
        rates[-1] = max(1 - 0.5 / sizes[-1], (1 + rates[-2]) / 2)
    if rates[0] == 0:
        rates[0] = min(0.5 / sizes[0], rates[1] / 2)
    values = special.logit(rates)

    def excess(shift):
        return np.sum(w * (special.expit(np.interp(z, knots, values) + shift) - y))

    return np.array(knots), values + optimize.brentq(excess, -5, 5, xtol=1e-14)


@pytest.mark.parametrize("scale", [1.0, 0.4, 3.0])
def test_platt_is_scikit_learn_s_logistic_regression(scale):
    z, y, w = sample(scale=scale, shift=0.7)
    expected = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    expected.fit(z[:, None].astype(np.float64), y, sample_weight=w)
    got = fit_recalibration(z, y, w)
    assert got.kind == "platt"
    assert got.scale == pytest.approx(float(expected.coef_[0, 0]), rel=1e-4)
    assert got.shift == pytest.approx(float(expected.intercept_[0]), rel=1e-4)


@pytest.mark.parametrize("digits", [6, 1])
def test_isotonic_is_scikit_learn_s_at_the_centers_of_its_blocks(digits):
    z, y, w = sample(2000)
    z = z.round(digits)  # with one digit many rows have the same logit
    got = fit_recalibration(z, y, w, "isotonic")
    knots, values = _ref_isotonic(z, y, w)
    np.testing.assert_allclose(got.knots, knots, rtol=1e-9)
    np.testing.assert_allclose(got.values, values, rtol=1e-7)
    np.testing.assert_allclose(
        mapped(got, z), np.interp(z, knots, values), rtol=1e-6, atol=1e-6
    )


def test_knots_rise_between_neighbouring_numbers():
    low = 0.9824938786662475
    z = np.repeat([low, np.nextafter(low, 1)], [99, 91])
    y = np.concatenate([np.arange(99) % 5 == 0, np.arange(91) % 10 < 7])
    got = fit_recalibration(z, y.astype(float), kind="isotonic")
    assert got.knots == tuple(np.unique(z))
    np.testing.assert_allclose(
        special.expit(got.values), [y[:99].mean(), y[99:].mean()], rtol=1e-6
    )


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.integers(150, 800),
    st.floats(0.2, 5),
    st.floats(-3, 3),
    st.floats(-3, 1),
    st.sampled_from(KINDS),
)
# Two blocks of one rate, but for the rounding.
@example(788337, 761, 1.0, 0.0, 0.0, "isotonic")
def test_the_mean_prediction_is_the_mean_label_and_the_order_stays(
    seed, n, scale, shift, mean, kind
):
    z, y, w = sample(n, seed, scale, shift, mean)
    got = fit_recalibration(z, y, w, kind)
    logits = mapped(got, np.sort(z))
    assert np.all(np.diff(logits) >= 0)
    assert np.all(np.isfinite(logits))
    prediction = special.expit(mapped(got, z).astype(np.float64))
    assert np.average(prediction, weights=w) == pytest.approx(
        np.average(y, weights=w), rel=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_calibrated_logits_are_left_nearly_as_they_are(kind):
    z, y, _ = sample(200_000)
    got = mapped(fit_recalibration(z, y, kind=kind), z)
    assert np.mean(np.abs(got - z)) < 0.05
    assert log_loss(got, y) == pytest.approx(log_loss(z, y), abs=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_mis_scaled_logits_are_mended_on_rows_not_fitted(kind):
    z, y, _ = sample(50_000, scale=0.5, shift=-0.4)
    other, labels, _ = sample(50_000, 1, scale=0.5, shift=-0.4)
    truth = 0.5 * other - 0.4
    got = mapped(fit_recalibration(z, y, kind=kind), other)
    assert log_loss(other, labels) - log_loss(truth, labels) > 0.04
    assert log_loss(got, labels) == pytest.approx(log_loss(truth, labels), abs=4e-4)


def test_isotonic_mends_what_platt_cannot():
    z, y, _ = sample(50_000, mean=0.0)
    bent = np.where(z > 0, 4 * z, z)
    losses = [
        log_loss(mapped(fit_recalibration(bent, y, kind=kind), bent), y)
        for kind in KINDS
    ]
    assert losses[0] - losses[1] > 0.01
    assert losses[1] == pytest.approx(log_loss(z, y), abs=1e-3)


def test_a_table_is_small_and_rises_and_ties_are_beyond_its_ends():
    z, y, _ = sample(200_000)
    got = fit_recalibration(z, y, kind="isotonic")
    assert len(got.knots) == MAX_KNOTS
    assert np.all(np.diff(got.values) > 0)
    inside = np.unique(z[(z > got.knots[0]) & (z < got.knots[-1])])
    assert len(inside) > 0.97 * len(np.unique(z))
    assert np.mean(np.diff(mapped(got, inside)) == 0) < 0.02  # float32 alone
    before, after = (metrics.roc_auc_score(y, v) for v in (z, mapped(got, z)))
    assert after == pytest.approx(before, abs=1e-4)


def test_labels_that_a_threshold_separates_make_a_finite_table():
    z = np.linspace(-3, 3, 200).astype("f")
    got = fit_recalibration(z, z > 0, kind="isotonic")
    # Each class counts half a row of the other; both have 100.
    assert got.values == pytest.approx((np.log(0.5 / 99.5), np.log(99.5 / 0.5)), 0.02)
    assert np.all(np.isfinite(mapped(got, [-np.inf, -9, 0, 9, np.inf])))


def test_rows_of_weight_0_do_not_count():
    z, y, w = sample(1000)
    w[::3] = 0
    for kind in KINDS:
        ours = fit_recalibration(z, y, w, kind)
        assert ours == fit_recalibration(z[w > 0], y[w > 0], w[w > 0], kind)


def test_a_weight_is_a_row_repeated():
    z, y, _ = sample(600)
    w = np.random.default_rng(2).integers(1, 4, 600)
    repeated = [np.repeat(values, w) for values in (z, y)]
    ours, theirs = fit_recalibration(z, y, w), fit_recalibration(*repeated)
    assert (ours.scale, ours.shift) == pytest.approx((theirs.scale, theirs.shift))
    ours, theirs = (
        fit_recalibration(z, y, w, "isotonic"),
        fit_recalibration(*repeated, kind="isotonic"),
    )
    np.testing.assert_allclose(ours.knots, theirs.knots, rtol=1e-12)
    # But half a row in the outermost blocks is less of more rows.
    np.testing.assert_allclose(ours.values[1:-1], theirs.values[1:-1], atol=0.01)


def test_batches_are_fitted_like_their_rows():
    z, y, w = sample(1000)
    batches = [
        Batch({"z": z[part]}, y[part], w[part])
        for part in np.split(np.arange(1000), [1, 400])
    ]
    for kind in KINDS:
        got = recalibrate(lambda f: tf.constant(f["z"]), batches, kind)
        assert got == fit_recalibration(z, y, w, kind)
    with pytest.raises(ValueError, match="rows: expected 100 or more .* received 0"):
        recalibrate(lambda f: f["z"], [])


def test_without_scipy_isotonic_names_the_command_and_platt_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    z, y, w = sample(1000)
    with pytest.raises(ImportError, match=r"pip install 'smelu-tf\[recalibration\]'"):
        fit_recalibration(z, y, w, "isotonic")
    assert fit_recalibration(z, y, w, "platt").scale > 0


Z = np.linspace(-2, 2, 120)
Y = (np.arange(120) % 3 == 0) | (Z > 1)


def changed(values, value):
    return np.concatenate([values[:7], [value], values[8:]]).astype(float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Z[:, None], Y), r"logits: expected shape \(B,\), received \(120, 1\)"),
        ((Z, Y[1:]), r"labels: expected shape \(120,\) as the logits, received \(119,"),
        ((Z, Y, Z[1:] ** 2), r"weights: expected shape \(120,\) .*, received \(119,\)"),
        (
            (changed(Z, np.nan), Y),
            r"logits: expected finite values, received nan \(row 7, from 0\)",
        ),
        ((changed(Z, np.inf), Y), "logits: expected finite values, received inf"),
        (
            (Z, changed(Y, 0.5)),
            r"labels: expected 0 or 1, received 0.5 \(row 7, from 0\)",
        ),
        ((Z, changed(Y, np.nan)), "labels: expected 0 or 1, received nan"),
        ((Z, Y, changed(Y, -1)), "weights: expected finite values from 0 on, .* -1.0"),
        ((Z, Y, changed(Y, np.nan)), "weights: expected finite .* received nan"),
        ((Z[:99], Y[:99]), "rows: expected 100 or more .* above 0, received 99"),
        ((Z, Y, Z > 0), "rows: expected 100 or more .* received 60"),
        ((Z, Z < 9), "labels: expected some 0 and some 1, received 1 alone"),
        ((Z, Z > 9), "labels: expected some 0 and some 1, received 0 alone"),
        (
            (Z, Y, None, "beta"),
            "expected one of platt, isotonic, received 'beta'",
        ),
    ],
)
def test_rows_that_cannot_be_fitted_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_recalibration(*arguments)


def test_a_separating_threshold_is_nothing_for_platt():
    for labels in (Z > 0, Z > Z[50]):
        with pytest.raises(ValueError, match="that a threshold separates: .* isotonic"):
            fit_recalibration(Z, labels)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_that_do_not_rise_with_the_labels_are_refused(kind):
    random = np.random.default_rng(0)
    falling = random.random(120) > special.expit(5 * Z)
    for logits, labels in ((Z, Z < 0), (Z, falling), (np.zeros(120), Y)):
        with pytest.raises(ValueError, match="logits: expected higher ones where"):
            fit_recalibration(logits, labels, kind=kind)
