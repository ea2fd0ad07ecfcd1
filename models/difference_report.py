"""What is to be said of how far several models' predictions differ, ready for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from smelu_tf import (
    Bootstrap,
    bootstrap_interval,
    pd_ratio,
    summarize_prediction_difference,
)
from smelu_tf.difference_slices import (
    Slicing,
    measure_slices,
    slice_by_prediction,
    slice_by_value,
)

from .prediction_files import PredictionFiles

MIN_MODELS = 3
"""How many models are needed for an interval over models."""

Figures = dict[str, Any]


def difference_report(
    files: PredictionFiles,
    kinds: Sequence[str] = ("relative",),
    *,
    threshold: float | None = None,
    num_slices: int = 10,
    by_label: bool = False,
    reference: PredictionFiles | None = None,
    bootstrap: Bootstrap | None = None,
) -> Figures:
    """The prediction difference of several models, of several kinds, and in slices.

    Intervals are over models, of which there must be three; with fewer they are None.

    Args:
        files: the models' predictions.
        kinds: names of `smelu_tf.difference_kinds.KINDS`; slices are of the first.
        threshold: of `hamming`, as in `DifferenceKind`.
        num_slices: slices of about equally many rows by the mean probability; 0 makes
            none.
        by_label: whether there are slices of each label too.
        reference: other models' predictions of the same rows, which the prediction
            difference is divided by.
        bootstrap: how intervals are made, over models.

    Returns:
        num_models, num_examples, log_losses (of each model); `kinds`: of each the
        fields of `DifferenceSummary`, and `interval`; `slices`: by `probability` and
        `label`, a list of the fields of `DifferenceSlice`; and with a reference its
        `reference`: the same of these models, without slices, and `ratios`: of each
        kind the interval of the prediction difference divided by the reference's.

    Raises:
        ValueError: an unknown kind, no kind, rows of the reference that differ, models
            of the reference that agree to the bit, or intervals not over models.

    Examples:
        >>> files = read_prediction_files(["a.parquet", "b.parquet"])
        >>> report = difference_report(files, ("relative", "logit"), num_slices=5)
        >>> report["num_models"], report["num_examples"], sorted(report["kinds"])
        (2, 1000, ['logit', 'relative'])
        >>> sum(part["num_examples"] for part in report["slices"]["probability"])
        1000
    """
    bootstrap = bootstrap or Bootstrap()
    if bootstrap.over != "models":
        raise ValueError(f"over: expected models, received {bootstrap.over}.")
    if not kinds:
        raise ValueError("kinds: expected 1 or more, received none.")
    if num_slices < 0:
        raise ValueError(f"num_slices: expected 0 or more, received {num_slices}.")
    if reference is not None:
        files.check_same_rows(reference)
    report = _of_models(files, kinds, threshold, bootstrap)
    slicings: dict[str, Slicing] = {}
    if num_slices:
        slicings["probability"] = slice_by_prediction(files.probabilities, num_slices)
    if by_label:
        slicings["label"] = slice_by_value(files.labels.astype(np.int64))
    values, kind = files.comparison(kinds[0], threshold)
    report["slices"] = {
        name: [
            part.figures()
            for part in measure_slices(
                values, slicing, kind=kind, bootstrap=_if_enough(files, bootstrap)
            )
        ]
        for name, slicing in slicings.items()
    }
    if reference is not None:
        report["reference"] = _of_models(reference, kinds, threshold, bootstrap)
        report["ratios"] = {
            name: _ratio(files, reference, name, threshold, bootstrap) for name in kinds
        }
    return report


def _of_models(
    files: PredictionFiles,
    kinds: Sequence[str],
    threshold: float | None,
    bootstrap: Bootstrap,
) -> Figures:
    found: Figures = {
        "num_models": len(files.paths),
        "num_examples": len(files.rows),
        "log_losses": files.log_losses().tolist(),
        "kinds": {},
    }
    for name in kinds:
        values, kind = files.comparison(name, threshold)
        figures = summarize_prediction_difference(values, kind=kind).figures()
        figures["interval"] = None
        if enough := _if_enough(files, bootstrap):
            interval = bootstrap_interval(values, kind=kind, bootstrap=enough)
            figures["interval"] = dataclasses.asdict(interval)
        found["kinds"][name] = figures
    return found


def _ratio(
    files: PredictionFiles,
    reference: PredictionFiles,
    name: str,
    threshold: float | None,
    bootstrap: Bootstrap,
) -> Figures:
    """The ratio's estimate, and its interval where there are models enough."""
    (above, kind), (below, _) = (
        group.comparison(name, threshold) for group in (files, reference)
    )
    if _if_enough(files, bootstrap) and _if_enough(reference, bootstrap):
        return dataclasses.asdict(
            pd_ratio(above, below, kind=kind, bootstrap=bootstrap)
        )
    means = [summarize_prediction_difference(p, kind=kind).mean for p in (above, below)]
    if not means[1] > 0:
        raise ValueError(
            f"reference: expected models whose prediction difference ({name}) is above "
            "0, received 0."
        )
    return {
        "estimate": means[0] / means[1],
        "low": None,
        "high": None,
        "confidence": None,
    }


def _if_enough(files: PredictionFiles, bootstrap: Bootstrap) -> Bootstrap | None:
    return bootstrap if len(files.paths) >= MIN_MODELS else None
