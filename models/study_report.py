"""What a study has found: figures of its cells, the chosen ones, and comparisons."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smelu_tf.bootstrap import Interval, bootstrap_interval, pd_ratio
from smelu_tf.difference_slices import measure_slices, slice_by_prediction
from smelu_tf.differences import pair_means
from smelu_tf.pipelines import InMemoryRows
from smelu_tf.prediction_difference import summarize_prediction_difference

from .metrics import BinaryMetrics
from .study_folder import CellResult
from .study_plan import Cell, Study
from .study_rows import StudyRows

Figures = dict[str, Any]
Results = Mapping[Cell, CellResult]

_NORMAL = 1.959964  # of a 95 % interval


@dataclasses.dataclass(frozen=True, eq=False)
class _Losses:
    """Log losses of models on rows.

    Attributes:
        of_rows: float64 (num_rows,): the mean over models.
        of_models: float64 (num_models,): the weighted mean over rows.
    """

    of_rows: np.ndarray
    of_models: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray, rows: InMemoryRows) -> _Losses:
        sums, means = np.zeros(len(rows)), []
        for logit in logits.astype(np.float64):
            loss = np.logaddexp(0, logit) - rows.label * logit
            sums += loss
            means.append(np.average(loss, weights=rows.weight))
        return cls(sums / len(logits), np.array(means))


def study_report(study: Study, rows: StudyRows, results: Results) -> Figures:
    """The figures of a study, ready for JSON. See `run_study` for an example.

    Learning rates are chosen by the validation rows, for each activation, technique and
    source of variation alike: of the rates whose log loss is at most one standard error
    higher than the least one (the error of the mean difference over the same rows), the
    one with the least prediction difference. All figures are of the test rows, the
    prediction difference being the relative one over all pairs; intervals of it are by
    a bootstrap over models.

    Args:
        study: what was trained.
        rows: of the data.
        results: of all its cells.

    Returns:
        - `cells`: a list, a cell each: `activation`, `beta` (of SmeLU, else None),
          `technique`, `varies`, `learning_rate`, `num_replicas`, `log_loss`,
          `log_loss_error` (standard error over models), `auc`, `normalized_entropy`,
          `pd` (`mean`, `low`, `high`), `pd_absolute`, `pd_logit`, `pd_quantiles`,
          `pd_by_decile`, `curve`, `validation` (`log_loss`, `pd`), `seconds`, and
          `equal_rate`: as `compared`, with the reference at this rate.
        - `best`: the chosen cells, the same figures and `compared`: with the chosen
          cell of the reference, `log_loss_difference` and `pd_ratio` (`mean`, `low`,
          `high`); None for itself.
        - `reference`: `activation` and `technique` that all others are compared to.
        - `num_rows`: of `train`, `validation` and `test`.
    """
    reference = _reference(study)
    figures = {cell: _figures(cell, results[cell], rows) for cell in results}
    losses = {cell: _Losses.of(results[cell].test, rows.test) for cell in results}
    chosen = {
        (cell.activation, cell.technique, cell.varies): _chosen(cell, results, rows)
        for cell in results
    }
    for cell in results:
        other = dataclasses.replace(
            cell, activation=reference[0], technique=reference[1]
        )
        figures[cell]["equal_rate"] = _compared(cell, other, results, losses, rows)
    best = []
    for (_, _, varies), cell in chosen.items():
        other = chosen[(*reference, varies)]
        compared = _compared(cell, other, results, losses, rows)
        best.append({**figures[cell], "compared": compared})
    return {
        "reference": {"activation": reference[0], "technique": reference[1]},
        "num_rows": {
            "train": len(rows.train),
            "validation": rows.num_validation,
            "test": len(rows.test),
        },
        "cells": [*figures.values()],
        "best": best,
    }


def _reference(study: Study) -> tuple[str, str]:
    """What all is compared to: ReLU without a technique, where there is such a cell."""
    trained = [(cell.activation, cell.technique) for cell in study.cells()]
    # The first of those that come nearest.
    return min(trained, key=lambda pair: (pair[1] != "none", pair[0] != "relu"))


def _chosen(like: Cell, results: Results, rows: StudyRows) -> Cell:
    """The cell with the rate that the validation rows choose."""
    cells = [
        cell
        for cell in results
        if dataclasses.replace(cell, learning_rate=like.learning_rate) == like
    ]
    validation = rows.validation
    losses = {
        cell: _Losses.of(results[cell].validation, validation).of_rows for cell in cells
    }
    least = min(cells, key=lambda c: np.average(losses[c], weights=validation.weight))

    def is_within(cell: Cell) -> bool:
        difference, error = _mean_and_error(
            losses[cell] - losses[least], validation.weight
        )
        return difference <= error

    return min(
        filter(is_within, cells),
        key=lambda cell: _pd(results[cell].validation, validation.weight),
    )


def _figures(cell: Cell, result: CellResult, rows: StudyRows) -> Figures:
    """The figures of a cell by itself."""
    test, validation = rows.test, rows.validation
    probabilities = _sigmoid(result.test)
    models = [_model_figures(test.label, logit, test.weight) for logit in result.test]
    losses = [float(model["log_loss"]) for model in models]
    name, _, parameter = cell.activation.partition(":")
    beta = None
    if name == "smelu" and "/" not in cell.activation:
        beta = float(parameter.removeprefix("beta=") or 1)
    summary = summarize_prediction_difference(probabilities, test.weight)
    slices = measure_slices(
        probabilities, slice_by_prediction(probabilities), test.weight
    )
    return {
        **dataclasses.asdict(cell),
        "beta": beta,
        "num_replicas": len(result.test),
        "log_loss": float(np.mean(losses)),
        "log_loss_error": float(np.std(losses, ddof=1) / math.sqrt(len(losses))),
        "auc": _mean_of(models, "auc"),
        "normalized_entropy": _mean_of(models, "normalized_entropy"),
        "pd": _interval(_pd_interval(probabilities, test.weight)),
        "pd_absolute": _all_pairs(pair_means(probabilities, test.weight, "absolute")),
        "pd_logit": _all_pairs(pair_means(probabilities, test.weight, "logit")),
        "pd_quantiles": {
            str(q): summary.quantiles[f"p{q * 100:g}"] for q in (0.5, 0.9, 0.99)
        },
        "pd_by_decile": [
            {
                "probability": item.mean_prediction,
                "num_examples": item.num_examples,
                "pd": item.mean,
            }
            for item in slices
        ],
        "curve": [
            {"num_examples": int(examples), "pd": _pd(logits, None)}
            for examples, logits in zip(
                result.curve_examples, result.curve, strict=True
            )
        ],
        "validation": {
            "log_loss": float(
                np.mean(_Losses.of(result.validation, validation).of_models)
            ),
            "pd": _pd(result.validation, validation.weight),
        },
        "seconds": result.seconds,
    }


def _compared(
    cell: Cell,
    other: Cell,
    results: Results,
    losses: Mapping[Cell, _Losses],
    rows: StudyRows,
) -> Figures | None:
    """A cell beside another one, on the same rows; None beside itself."""
    if cell == other:
        return None
    weight = rows.test.weight
    difference = losses[cell].of_rows - losses[other].of_rows
    mean, over_rows = _mean_and_error(difference, weight)
    # Models of one seed are no pairs: another activation leads them elsewhere.
    over_models = math.sqrt(
        sum(
            np.var(losses[c].of_models, ddof=1) / len(losses[c].of_models)
            for c in (cell, other)
        )
    )
    error = math.hypot(over_rows, over_models)
    ratio = None
    if _pd(results[other].test, weight) > 0:
        p, q = (_sigmoid(results[c].test) for c in (cell, other))
        ratio = _interval(_ratio_interval(p, q, weight))
    return {
        "learning_rate": other.learning_rate,
        "log_loss_difference": {
            "mean": mean,
            "low": mean - _NORMAL * error,
            "high": mean + _NORMAL * error,
            "error_over_rows": over_rows,
            "error_over_models": over_models,
        },
        "pd_ratio": ratio,
    }


def _model_figures(
    label: np.ndarray, logit: np.ndarray, weight: np.ndarray
) -> dict[str, Any]:
    metrics = BinaryMetrics()
    metrics.update_state(label, logit, weight)
    return metrics.figures()


def _mean_of(models: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [model[name] for model in models]
    return None if None in values else float(np.mean(values))


def _mean_and_error(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The weighted mean of rows, and its standard error."""
    mean = float(np.average(values, weights=weight))
    squares = np.sum(np.square(weight * (values - mean)))
    return mean, float(math.sqrt(squares) / np.sum(weight))


def _pd(logits: np.ndarray, weight: np.ndarray | None) -> float:
    return _all_pairs(pair_means(_sigmoid(logits), weight))


def _all_pairs(pairs: np.ndarray) -> float:
    num_models = len(pairs)
    return float(pairs.sum() / (num_models * (num_models - 1)))


def _pd_interval(probabilities: np.ndarray, weight: np.ndarray) -> Interval | float:
    if len(probabilities) < 3:
        return _all_pairs(pair_means(probabilities, weight))
    return bootstrap_interval(probabilities, weight)


def _ratio_interval(
    p: np.ndarray, q: np.ndarray, weight: np.ndarray
) -> Interval | float:
    above, below = (pair_means(each, weight) for each in (p, q))
    # Two models of the reference that agree may be all that a resample draws.
    agree = np.any(below[np.triu_indices(len(below), 1)] == 0)
    if agree or min(len(p), len(q)) < 3:
        return _all_pairs(above) / _all_pairs(below)
    return pd_ratio(p, q, weight)


def _interval(interval: Interval | float) -> Figures:
    """An interval by the report's names; where it is a number alone, without ends."""
    if isinstance(interval, float):
        return {"mean": interval, "low": None, "high": None}
    return {"mean": interval.estimate, "low": interval.low, "high": interval.high}


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))
