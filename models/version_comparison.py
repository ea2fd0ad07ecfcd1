"""Two versions of a model on the same held-out rows: how far they differ."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import Blocks, RowFiles, Schema
from smelu_tf.pipelines.raw_rows import RawColumns, feature_specs, raw_specs

from .comparison import Differences
from .evaluation import Progress
from .metrics import BinaryMetrics, Figures, row_values
from .scoring import Scorer


@dataclasses.dataclass(frozen=True)
class PromotionReport:
    """Two versions of a model on the same rows. See `compare_versions`.

    Attributes:
        num_examples: how many rows.
        weight: theirs in all.
        candidate: the new version's figures, as `BinaryMetrics` names them; None where
            undetermined or not finite.
        previous: the same of the previous version.
        prediction_difference: mean of 2·|p - q| / (p + q); NaN if a prediction is.
        absolute_prediction_difference: mean of |p - q|.
        log_loss_increase: the candidate's log loss less the previous one's, in nats.
        log_loss_increase_error: its standard error over rows, paired; NaN for one row.
    """

    num_examples: int
    weight: float
    candidate: Figures
    previous: Figures
    prediction_difference: float
    absolute_prediction_difference: float
    log_loss_increase: float
    log_loss_increase_error: float

    def figures(self) -> dict[str, Any]:
        """The attributes by name, ready for JSON: None where not finite."""
        return {
            name: None
            if isinstance(value, float) and not math.isfinite(value)
            else value
            for name, value in dataclasses.asdict(self).items()
        }


def compare_versions(
    candidate: Scorer,
    previous: Scorer,
    rows: RowFiles | Blocks,
    batch_size: int = 4096,
    progress: Progress | None = None,
) -> PromotionReport:
    """Compares a new version of a model with the previous one on held-out rows.

    One pass, a few batches in memory at a time. The rows are read once, by the
    candidate's schema, which also says what label and weight are; each version
    transforms them by its own, so that their vocabularies may differ. A raw column that
    the previous version alone takes is read too where it is a field of the candidate's
    schema.

        log loss increase d = Σ w·dᵢ / Σ w,   dᵢ = loss of candidate - of previous
        standard error = sqrt(n/(n - 1) · Σ w²·(dᵢ - d)²) / Σ w,  n rows with w > 0

    Args:
        candidate: the new version, as it would be served.
        previous: the version that is being served.
        rows: held-out rows, as `open_rows` gives them.
        batch_size: rows scored at once.
        progress: see `Progress`; the log loss is the candidate's.

    Returns:
        Both versions' figures and how far they are from one another.

    Raises:
        ValueError: blocks, no rows, no weight, a row that does not parse, or a raw
            column of the previous version that the rows do not have.

    Examples:
        >>> from smelu_tf.pipelines import open_rows
        >>> model, served = Scorer.load("model"), Scorer.load("served/1")
        >>> report = compare_versions(model, served, open_rows("clicks/day_6.tsv"))
        >>> report.num_examples, report.prediction_difference < 1e-5
        (1000, True)
    """
    if isinstance(rows, Blocks):
        raise ValueError(
            "data: expected row files, which each version transforms by its own "
            "schema, received blocks."
        )
    schema = _reading_schema(candidate.schema, previous.schema)

    def both(raw: RawColumns) -> tuple[Any, Any]:
        return candidate.transform(raw), previous.transform(raw)

    counts = _Counts()
    with rows.errors():
        for batch in rows.batches(schema, batch_size, transform=both):
            new, old = (
                version.logit(features)
                for version, features in zip(
                    (candidate, previous), batch.features, strict=True
                )
            )
            counts.update(batch.label, new, old, batch.weight)
            if progress is not None:
                metrics = counts.candidate
                progress(int(metrics.num_examples), float(metrics.log_loss))
    return counts.report()


class _Counts:
    """What a report is made of, while rows go by."""

    def __init__(self) -> None:
        self.candidate, self.previous = BinaryMetrics(), BinaryMetrics()
        self._differences = Differences()
        self._losses = _PairedLosses()

    def update(
        self, label: tf.Tensor, new: tf.Tensor, old: tf.Tensor, weight: tf.Tensor
    ) -> None:
        """Adds a batch and both versions' logits of it: (B,) each."""
        self.candidate.update_state(label, new, weight)
        self.previous.update_state(label, old, weight)
        self._differences.update_state(new, old, weight)
        self._losses.update(label, new, old, weight)

    def report(self) -> PromotionReport:
        """The report of what has been added.

        Raises:
            ValueError: no rows, or no weight.
        """
        sums = self._differences.counts().sums
        num_examples, weight, relative, absolute = map(float, sums)
        if not num_examples:
            raise ValueError("data: expected rows, received none.")
        if not weight > 0:
            raise ValueError(
                "data: expected rows with a weight above 0, received "
                f"{num_examples:.0f} rows without."
            )
        increase, error = self._losses.mean_and_error()
        return PromotionReport(
            num_examples=int(num_examples),
            weight=weight,
            candidate=_own_figures(self.candidate),
            previous=_own_figures(self.previous),
            prediction_difference=relative / weight,
            absolute_prediction_difference=absolute / weight,
            log_loss_increase=increase,
            log_loss_increase_error=error,
        )


class _PairedLosses:
    """The mean difference of two models' log losses, and its error, from sums."""

    def __init__(self) -> None:
        # Rows with a weight, and the sums of w, w·d, w², w²·d, w²·d².
        self._sums = np.zeros(6)

    def update(self, label: Any, logit: Any, other: Any, weight: Any) -> None:
        """Adds a batch: (B,) each."""
        w = np.asarray(weight, np.float64)
        losses = [
            row_values(*(tf.cast(v, tf.float64) for v in (label, z)))[0][1].numpy()
            for z in (logit, other)
        ]
        with np.errstate(invalid="ignore"):  # of an infinite logit
            d = (losses[0] - losses[1])[w > 0]
            w = w[w > 0]
            terms = (np.ones_like(w), w, w * d, w**2, w**2 * d, (w * d) ** 2)
            self._sums += [np.sum(term) for term in terms]

    def mean_and_error(self) -> tuple[float, float]:
        """The weighted mean and its standard error; NaN for one row."""
        n, w, wd, w2, w2d, w2d2 = self._sums.tolist()
        mean = wd / w
        if n < 2:
            return mean, math.nan
        # Rounding may leave a little less than 0; NaN stays.
        square = w2d2 - 2 * mean * w2d + mean**2 * w2
        return mean, math.sqrt(n / (n - 1) * (0.0 if square < 0 else square)) / w


def _reading_schema(candidate: Schema, previous: Schema) -> Schema:
    """The candidate's schema, with the columns that the previous one alone takes.

    Raises:
        ValueError: the rows do not have one, or have it with another type.
    """
    read, taken = raw_specs(candidate), feature_specs(previous)
    added = {name for name in taken if name not in read}
    absent = sorted(added - set(candidate.fields))
    if absent:
        raise ValueError(
            "previous version: expected rows with all raw columns that it takes, "
            f"received rows without {', '.join(absent)}: no field of the new version's "
            f"schema {candidate.name}."
        )
    for name, spec in taken.items():
        if name in read and read[name].dtype != spec.dtype:
            kinds = {tf.string: "text", tf.float64: "a number"}
            raise ValueError(
                f"previous version: expected column {name} to be "
                f"{kinds[read[name].dtype]} as in the new version, received a version "
                f"that takes {kinds[spec.dtype]}."
            )
    # A text of another form is no reason to leave a row out: it can be scored.
    added_columns = {
        kind: tuple(
            dataclasses.replace(column, pattern="") if kind != "numeric" else column
            for column in getattr(previous, kind)
            if column.name in added
        )
        for kind in ("numeric", "categorical", "multivalued")
    }
    return dataclasses.replace(
        candidate,
        **{kind: getattr(candidate, kind) + own for kind, own in added_columns.items()},
    )


def _own_figures(metrics: BinaryMetrics) -> Figures:
    """A version's figures without those of the rows, which are the same for both."""
    shared = ("num_examples", "weight")
    return {n: value for n, value in metrics.figures().items() if n not in shared}
