"""The gate before a new version is published: how far it may differ from the last."""

from __future__ import annotations

import dataclasses
import math

from .version_comparison import PromotionReport


class PromotionError(Exception):
    """A new version that is not to be published: it breaks a bound.

    See `check_promotion`.

    No ValueError: nothing that was given is wrong. A script ends with exit code 1.

    Args:
        broken: the sentences of `broken_bounds`.
    """

    def __init__(self, broken: list[str]) -> None:
        super().__init__(" ".join(broken))


@dataclasses.dataclass(frozen=True)
class PromotionBounds:
    """How far a new version may differ from the previous one; None is no bound.

    See `publish` and `broken_bounds`.

    Attributes:
        max_pd: the relative prediction difference (0.05: 5 %), 0 or more.
        max_log_loss_increase: the log loss above the previous version's, in nats;
            below 0: it has to be lower by so much.

    Raises:
        ValueError: a bound that is none.
    """

    max_pd: float | None = None
    max_log_loss_increase: float | None = None

    def __post_init__(self) -> None:
        if self.max_pd is not None and not 0 <= self.max_pd < math.inf:
            raise ValueError(
                f"max_pd: expected a finite number from 0 on, received {self.max_pd}."
            )
        increase = self.max_log_loss_increase
        if increase is not None and not math.isfinite(increase):
            raise ValueError(
                f"max_log_loss_increase: expected a finite number, received {increase}."
            )


def broken_bounds(report: PromotionReport, bounds: PromotionBounds) -> list[str]:
    """A sentence with the numbers for each bound that a new version breaks.

    A value that equals its bound keeps it. A log loss or a prediction difference that
    is not finite breaks every bound that is set.

    Args:
        report: of both versions on the same rows, as `compare_versions` makes it.
        bounds: how far the new one may be from the previous one.

    Returns:
        The sentences; none: the version may be published.

    Examples:
        >>> from smelu_tf.pipelines import open_rows
        >>> rows, model = open_rows("clicks/day_6.tsv"), load_model("model")
        >>> higher = Scorer.of(model, lambda logit: logit + 0.5)
        >>> report = compare_versions(higher, Scorer.of(model), rows)
        >>> broken_bounds(report, PromotionBounds(max_pd=0.05))
        ['expected a prediction difference of at most 0.05 from the previous version,
        received ... (absolute ...).']
    """
    candidate, previous = (
        math.nan if (found := figures["log_loss"]) is None else found
        for figures in (report.candidate, report.previous)
    )
    values = (
        candidate,
        previous,
        report.prediction_difference,
        report.log_loss_increase,
    )
    if not all(map(math.isfinite, values)):
        return [
            f"expected finite figures to keep {field.name}={bound:g}, received a log "
            f"loss of {candidate:.6g}, previously {previous:.6g}, and a prediction "
            f"difference of {report.prediction_difference:.4g}."
            for field in dataclasses.fields(bounds)
            if (bound := getattr(bounds, field.name)) is not None
        ]
    broken = []
    if bounds.max_pd is not None and report.prediction_difference > bounds.max_pd:
        broken.append(
            f"expected a prediction difference of at most {bounds.max_pd:g} from the "
            "previous version, received "
            f"{reading_above(report.prediction_difference, bounds.max_pd)} (absolute "
            f"{report.absolute_prediction_difference:.4g})."
        )
    increase = bounds.max_log_loss_increase
    if increase is not None and report.log_loss_increase > increase:
        broken.append(
            f"expected a log loss of at most {increase:g} above the previous "
            f"version's, received {reading_above(report.log_loss_increase, increase)} "
            f"(standard error {report.log_loss_increase_error:.2g}; {candidate:.6g}, "
            f"previously {previous:.6g})."
        )
    return broken


def check_promotion(report: PromotionReport, bounds: PromotionBounds) -> None:
    """Raises a `PromotionError` with the numbers where a new version breaks a bound.

    Args:
        report: of both versions on the same rows, as `compare_versions` makes it.
        bounds: how far the new one may be from the previous one.

    Raises:
        PromotionError: one that holds the sentences of `broken_bounds`.

    Examples:
        >>> from smelu_tf.pipelines import open_rows
        >>> rows, model = open_rows("clicks/day_6.tsv"), load_model("model")
        >>> higher = Scorer.of(model, lambda logit: logit + 0.5)
        >>> report = compare_versions(higher, Scorer.of(model), rows)
        >>> check_promotion(report, PromotionBounds(max_pd=0.05))
        Traceback (most recent call last):
        smelu_tf.models.promotion.PromotionError: expected a prediction difference of
        at most 0.05 from the previous version, received ... (absolute ...).
    """
    broken = broken_bounds(report, bounds)
    if broken:
        raise PromotionError(broken)


def reading_above(value: float, bound: float) -> str:
    """A number above a bound, with so many digits that it reads so beside `{bound:g}`.

    Args:
        value: the number.
        bound: what it is above.
    """
    shown = max(bound, float(f"{bound:g}"))
    texts = (f"{value:.{digits}g}" for digits in range(4, 18))
    return next((text for text in texts if float(text) > shown), f"{value}")
