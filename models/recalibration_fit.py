"""The fit of a recalibration to held-out rows, by Newton's method or isotonic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines.extras import importing

from .recalibration import MAX_KNOTS, Kind, Recalibration, check_kind

MIN_ROWS = 100
"""How many rows with a weight above 0 a recalibration is taken from at least."""

_NUM_STEPS = 100  # of Newton's method, which needs about ten


def fit_recalibration(
    logits: Any, labels: Any, weights: Any = None, kind: Kind = "platt"
) -> Recalibration:
    """The recalibration that fits held-out rows: mean prediction is mean label.

    - `platt`: scale and shift of the least log loss, by Newton's method.
    - `isotonic`: the mean labels of the isotonic regression of labels on logits,
      each where the mean logit of its block of rows is. Straight lines between them
      keep the order of rows within a block (centered isotonic regression). Of more
      than 64 blocks neighbours are put together, about as many in each knot. A lowest
      block without a 1 counts half a row of it, a highest one without a 0 half a row
      of that, so that no value is infinite. In the end all values are shifted by one
      number, which makes the mean prediction on these rows the mean label.

    Rows of weight 0 are left out. Take rows that the model was not trained on: on its
    own it is too sure.

    Args:
        logits: the model's, (B,), finite.
        labels: 0 or 1, (B,).
        weights: of the rows, (B,), not negative; 1 where None.
        kind: `platt`: two numbers, for hundreds of rows; `isotonic`: any rising form,
            for tens of thousands.

    Returns:
        The recalibration.

    Raises:
        ValueError: other shapes or values, fewer than 100 rows, labels of one class,
            logits that do not rise with the labels, or for `platt` labels that a
            threshold separates.
        ImportError: `isotonic` without SciPy; names the command that installs it.

    Source: of the centers, Oron & Flournoy, Statistics in Biopharmaceutical Research 9,
    2017.

    Examples:
        >>> random = np.random.default_rng(0)
        >>> z = random.normal(-2.0, 1.0, 20_000)
        >>> labels = random.random(20_000) < 1 / (1 + np.exp(-z))
        >>> found = fit_recalibration(2 * z, labels)  # of logits twice too large
        >>> round(found.scale, 2), round(found.shift, 2)
        (0.51, 0.03)
    """
    check_kind(kind)
    z, y, w = _checked(logits, labels, weights)
    fit = _fit_platt if kind == "platt" else _fit_isotonic
    return fit(z, y, w / np.sum(w))


def recalibrate(
    logit: Callable[[Any], tf.Tensor], batches: Iterable[Any], kind: Kind = "platt"
) -> Recalibration:
    """`fit_recalibration` on batches of held-out rows; takes 12 bytes a row.

    Args:
        logit: a model as a function of a batch's features to logits, float32 (B,):
            that of a `Scorer`.
        batches: `Batch`es whose features are what `logit` takes.
        kind: as in `fit_recalibration`.

    Returns:
        The recalibration.

    Raises:
        ValueError: as `fit_recalibration`.
        ImportError: as there.

    Examples:
        >>> job = ScoringJob.open("model", "clicks/day_6.tsv")
        >>> recalibration = recalibrate(job.scorer.logit, job.batches)
        >>> recalibration.kind, recalibration.scale > 0
        ('platt', True)
    """
    rows = [np.zeros((3, 0), np.float32)]
    for batch in batches:
        values = (logit(batch.features), batch.label, batch.weight)
        rows.append(np.stack([np.asarray(value, np.float32) for value in values]))
    logits, labels, weights = np.concatenate(rows, axis=1)
    return fit_recalibration(logits, labels, weights, kind)


def _checked(
    logits: Any, labels: Any, weights: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, labels and weights of the rows with a weight, float64 (B,) each."""
    z = np.asarray(logits, np.float64)
    if z.ndim != 1:
        raise ValueError(f"logits: expected shape (B,), received {z.shape}.")
    y = np.asarray(labels, np.float64)
    w = np.ones_like(z) if weights is None else np.asarray(weights, np.float64)
    for name, values, good, expected in (
        ("logits", z, np.isfinite, "finite values"),
        ("labels", y, lambda v: (v == 0) | (v == 1), "0 or 1"),
        ("weights", w, lambda v: (v >= 0) & np.isfinite(v), "finite values from 0 on"),
    ):
        if values.shape != z.shape:
            raise ValueError(
                f"{name}: expected shape {z.shape} as the logits, received "
                f"{values.shape}."
            )
        bad = np.flatnonzero(~good(values))
        if bad.size:
            raise ValueError(
                f"{name}: expected {expected}, received {values[bad[0]]} (row "
                f"{bad[0]}, from 0)."
            )
    z, y, w = (values[w > 0] for values in (z, y, w))
    if len(z) < MIN_ROWS:
        raise ValueError(
            f"rows: expected {MIN_ROWS} or more with a weight above 0, received "
            f"{len(z)}."
        )
    if np.all(y == y[0]):
        raise ValueError(
            f"labels: expected some 0 and some 1, received {y[0]:g} alone."
        )
    return z, y, w


def _fit_platt(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Recalibration:
    negatives, positives = z[y == 0], z[y == 1]
    if np.max(negatives) <= np.min(positives) and np.min(z) < np.max(z):
        raise ValueError(
            "labels: expected some 0 above some 1 by their logits, received labels "
            "that a threshold separates: the best scale would be infinite; kind "
            "isotonic takes them."
        )
    if np.min(negatives) >= np.max(positives):
        raise _not_rising()
    mean, deviation = np.average(z, weights=w), np.std(z)
    design = np.stack([(z - mean) / deviation, np.ones_like(z)], axis=1)
    slope, intercept = _logistic_coefficients(design, np.zeros_like(z), y, w)
    scale = slope / deviation
    if not scale > 0:
        raise _not_rising()
    return Recalibration("platt", float(scale), float(intercept - scale * mean))


def _fit_isotonic(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Recalibration:
    with importing("isotonic recalibration", "scipy", "recalibration"):
        from scipy.optimize import isotonic_regression
    logits, groups = np.unique(z, return_inverse=True)
    weights = np.bincount(groups, w)
    positives = np.bincount(groups, w * y)
    fitted = isotonic_regression(positives / weights, weights=weights).x
    starts = np.flatnonzero(np.diff(fitted, prepend=-1.0) > 0)
    if len(starts) < 2:
        raise _not_rising()
    sums = np.stack([weights, weights * logits, positives])
    weight, logit, positive = np.add.reduceat(sums, starts, axis=1)
    rate = _without_0_and_1(positive / weight, weight * len(z))
    num_blocks = len(starts)
    first = np.unique(np.arange(MAX_KNOTS) * num_blocks // MAX_KNOTS)
    sums = np.stack([weight, logit, weight * rate])
    weight, logit, positive = np.add.reduceat(sums, first, axis=1)
    # Within their blocks, so that they rise, however the means are rounded.
    starts = starts[first]
    ends = np.append(starts[1:], len(logits)) - 1
    knots = np.clip(logit / weight, logits[starts], logits[ends])
    rate = positive / weight
    # Neighbouring blocks may have one rate, but for the rounding.
    values = np.maximum.accumulate(np.log(rate) - np.log1p(-rate))
    rows = np.interp(z, knots, values)
    (shift,) = _logistic_coefficients(np.ones((len(z), 1)), rows, y, w)
    table = (tuple(map(float, column)) for column in (knots, values + shift))
    return Recalibration("isotonic", 1.0, 0.0, *table)


def _without_0_and_1(rate: np.ndarray, num_rows: np.ndarray) -> np.ndarray:
    """Rising rates of blocks, of which the outermost may be 0 and 1, as inner ones."""
    rate = rate.copy()
    if rate[-1] == 1:
        rate[-1] = max(1 - 0.5 / num_rows[-1], (1 + rate[-2]) / 2)
    if rate[0] == 0:
        rate[0] = min(0.5 / num_rows[0], rate[1] / 2)
    return rate


def _logistic_coefficients(
    design: np.ndarray, offset: np.ndarray, y: np.ndarray, w: np.ndarray
) -> np.ndarray:
    """The coefficients c of the least log loss of logits offset + design · c.

    Args:
        design: float64 (B, K).
        offset: float64 (B,).
        y: 0 or 1, (B,).
        w: weights, (B,), their sum 1.

    Returns:
        float64 (K,).
    """

    def loss(c: np.ndarray) -> float:
        logit = offset + design @ c
        return float(w @ (np.logaddexp(0, logit) - y * logit))

    c = np.zeros(design.shape[1])
    least = loss(c)
    for _ in range(_NUM_STEPS):
        logit = offset + design @ c
        p = np.exp(-np.logaddexp(0, -logit))
        gradient = design.T @ (w * (p - y))
        hessian = (design.T * (w * p * (1 - p))) @ design
        step = np.linalg.solve(hessian, gradient)
        # Far from the minimum a whole step may lead up.
        while (found := loss(c - step)) > least and np.max(np.abs(step)) > 1e-9:
            step = step / 2
        c, least = c - step, min(found, least)
        if np.max(np.abs(step)) < 1e-12 * (1 + np.max(np.abs(c))):
            break
    return c


def _not_rising() -> ValueError:
    return ValueError(
        "logits: expected higher ones where the label is 1, received none that rise "
        "with it: no rising function mends a model that ranks rows at random."
    )
