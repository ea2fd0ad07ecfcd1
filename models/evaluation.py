"""The figures of a model on data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from .comparison import Comparison, Logit
from .metrics import BinaryCounts, BinaryMetrics, Figures
from .reliability import calibration_error, reliability
from .scoring import Scorer
from .slices import Slices

Progress = Callable[[int, float], None]
"""Called after each batch with the rows seen so far and the log loss over them."""


def evaluate(
    scorer: Scorer,
    dataset: Iterable[Any],
    progress: Progress | None = None,
    compare_to: Logit | None = None,
) -> Figures:
    """The figures of a model on a dataset of batches; see `BinaryMetrics`.

    No row is lost or counted twice: the last batch may have any size.

    Args:
        scorer: the model.
        dataset: `Batch`es whose features went through the scorer's transform.
        progress: see `Progress`.
        compare_to: another model, as `load_logit` gives it, from which the prediction
            difference is taken as well; see `comparison.DifferenceCounts`.

    Returns:
        `num_examples`, `weight`, `log_loss`, `normalized_entropy`, `auc`, `pr_auc` and
        `calibration`; with `compare_to`, `prediction_difference` and
        `absolute_prediction_difference` as well. None where the rows do not tell.

    Raises:
        ValueError: the dataset has no rows.

    Examples:
        >>> job = ScoringJob.open("model", "clicks/day_6.tsv")
        >>> figures = evaluate(job.scorer, job.batches)
        >>> figures["num_examples"], figures["auc"] > 0.6
        (1000, True)
    """
    comparison = None if compare_to is None else Comparison(compare_to)
    figures = _count(scorer, dataset, progress, None, comparison).figures()
    return figures | _differences(comparison)


def evaluation_report(
    scorer: Scorer,
    dataset: Iterable[Any],
    progress: Progress | None = None,
    slices: Iterable[str] = (),
    compare_to: Logit | None = None,
) -> dict[str, Any]:
    """All that is to be said of a model on a dataset, ready for JSON.

    Args:
        scorer: the model.
        dataset: as in `evaluate`.
        progress: see `Progress`.
        slices: names of columns by whose values the figures are split; see `Slices`.
        compare_to: as in `evaluate`.

    Returns:
        The figures of `evaluate`, and with them `calibration_error`; `reliability`, a
        list of the fields of `ReliabilityBin`; and if there are `slices`, of each
        column a list of its slices: `value` and figures.

    Raises:
        ValueError: the dataset has no rows, or an unknown column.

    Examples:
        >>> job = ScoringJob.open("model", "clicks/day_6.tsv")
        >>> report = evaluation_report(job.scorer, job.batches, slices=["C1"])
        >>> sum(row["num_examples"] for row in report["slices"]["C1"])
        1000
        >>> sum(row["weight"] for row in report["reliability"])
        1000.0
    """
    slices = tuple(slices)
    sliced = Slices(scorer.schema, slices) if slices else None
    comparison = None if compare_to is None else Comparison(compare_to)
    counts = _count(scorer, dataset, progress, sliced, comparison)
    bins = reliability(counts)
    report: dict[str, Any] = {
        **counts.figures(),
        **_differences(comparison),
        "calibration_error": calibration_error(bins),
        "reliability": [dataclasses.asdict(row) for row in bins],
    }
    return report if sliced is None else {**report, "slices": sliced.figures()}


def _count(
    scorer: Scorer,
    dataset: Iterable[Any],
    progress: Progress | None,
    slices: Slices | None = None,
    comparison: Comparison | None = None,
) -> BinaryCounts:
    """Counts all rows of a dataset, in slices too and differences if wanted."""
    metrics = BinaryMetrics()
    for batch in dataset:
        logit = scorer.logit(batch.features)
        metrics.update_state(batch.label, logit, batch.weight)
        if slices is not None or comparison is not None:
            features = scorer.features(batch.features)
        if slices is not None:
            slices.update(features, batch.label, logit, batch.weight)
        if comparison is not None:
            comparison.update(features, logit, batch.weight)
        if progress is not None:
            progress(int(metrics.num_examples), float(metrics.log_loss))
    counts = metrics.counts()
    if not counts.num_examples:
        raise ValueError("data: expected rows, received none.")
    return counts


def _differences(comparison: Comparison | None) -> Figures:
    return {} if comparison is None else comparison.differences.counts().figures()
