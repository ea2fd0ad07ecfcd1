"""A trained model on its way to the servers: recalibrated, compared, published."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

from smelu_tf.pipelines import open_rows

from .checkpoints import load_model
from .evaluation import Progress
from .export import card_of, export_saved_model, newest_version
from .formats import FORMATS
from .promotion import PromotionBounds, check_promotion
from .recalibration import Recalibration
from .recalibration_fit import recalibrate
from .scoring import Scorer
from .version_comparison import PromotionReport, compare_versions
from .wide_deep import WideDeep

Stage = Callable[[str, int], AbstractContextManager[Progress]]
"""Shows the progress of a pass over rows: what it is, and how many there are, about."""

BATCH_SIZE = 4096
"""Rows scored at once."""


@dataclasses.dataclass(frozen=True)
class PublishOptions:
    """How a model is published. See `publish`.

    Attributes:
        checkpoint: `newest`, or `best`: of the validations.
        compute_dtype: of the deep part: `float32` or `bfloat16`.
        recalibration: `none`, `platt` or `isotonic`: see `Recalibration`.
        recalibration_data: the rows that it is taken from; others than the trained.
        data: held-out rows that versions are compared on; empty: they are not.
        previous: what is compared with: a version, a folder of versions (the newest of
            them), or a model_dir; empty: the newest version of the folder that is
            published to, if it has one.
        bounds: how far the new version may be from the previous one.
        formats: the names in `FORMATS` of files for other runtimes, which go to the
            version's `assets.extra`.
    """

    checkpoint: str = "newest"
    compute_dtype: str = "float32"
    recalibration: Literal["none", "platt", "isotonic"] = "none"
    recalibration_data: str = ""
    data: str = ""
    previous: str = ""
    bounds: PromotionBounds = PromotionBounds()
    formats: tuple[str, ...] = ()

    def validate(self) -> None:
        """Raises a ValueError for an unknown kind, or options that do not fit."""
        kinds = ("none", "platt", "isotonic")
        if self.recalibration not in kinds:
            raise ValueError(
                f"recalibration: expected one of {', '.join(kinds)}, received "
                f"{self.recalibration!r}."
            )
        for name in self.formats:
            if name not in FORMATS:
                raise ValueError(
                    f"formats: expected one of {', '.join(FORMATS)}, received {name!r}."
                )
        if (self.recalibration != "none") != bool(self.recalibration_data):
            raise ValueError(
                "recalibration: expected a kind (platt, isotonic) together with "
                f"recalibration_data, received {self.recalibration} with "
                f"{self.recalibration_data or 'none'}."
            )
        has_bound = self.bounds != PromotionBounds()
        if (has_bound or self.previous) and not self.data:
            raise ValueError(
                "data: expected held-out rows to compare versions on, received none."
            )


@dataclasses.dataclass(frozen=True)
class Published:
    """What was published. See `publish`.

    Attributes:
        version: the folder.
        comparisons: on the held-out rows, if there were any: of the new version with
            the `previous` one and, where it does not compute in `float32`, with itself
            in it; and of each format's file with the new version.
    """

    version: Path
    comparisons: Mapping[str, PromotionReport]

    def figures(self) -> dict[str, Any]:
        """The attributes ready for JSON."""
        reports = {name: report.figures() for name, report in self.comparisons.items()}
        return {"version": str(self.version), "comparisons": reports}


def publish(
    model_dir: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    options: PublishOptions = PublishOptions(),
    stage: Stage | None = None,
) -> Published:
    """Exports a model as the next version of a folder, if it keeps the bounds.

    Args:
        model_dir: the model.
        directory: where the versions are.
        options: how.
        stage: see `Stage`.

    Returns:
        The new version, and how it compares.

    Raises:
        PromotionError: the model breaks a bound; nothing is written.
        ValueError: bad options, no model there, or rows that do not parse.
        OSError: no space, or no right to write; nothing is left behind.

    Examples:
        >>> bounds = PromotionBounds(max_pd=0.05, max_log_loss_increase=0.001)
        >>> options = PublishOptions(data="clicks/day_6.tsv", bounds=bounds)
        >>> published = publish("model", "served", options)
        >>> print(published.version)
        served/2
        >>> published.comparisons["previous"].prediction_difference < 1e-5
        True
    """
    options.validate()
    previous = _previous(options, Path(directory))
    model = load_model(model_dir, options.checkpoint, options.compute_dtype)
    recalibration = _recalibration(model, options)
    candidate = Scorer.of(model, recalibration)
    comparisons: dict[str, PromotionReport] = {}

    def compare(name: str, new: Scorer, other: Scorer) -> None:
        rows = open_rows(options.data)
        shown = stage(name, rows.estimated_rows()) if stage else nullcontext()
        with shown as progress:
            comparisons[name] = compare_versions(new, other, rows, BATCH_SIZE, progress)

    def write_formats(version: Path) -> dict[str, Any]:
        for name in options.formats:
            file = version / "assets.extra" / FORMATS[name].file_name
            FORMATS[name].write(version, file)
            if options.data:
                logit = FORMATS[name].load(file)
                own = Scorer(candidate.schema, candidate.transform, logit)
                compare(name, own, candidate)
        return {"comparisons": {n: c.figures() for n, c in comparisons.items()}}

    if previous is not None:
        compare("previous", candidate, Scorer.load(previous))
        check_promotion(comparisons["previous"], options.bounds)
    if options.data and options.compute_dtype != "float32":
        plain = load_model(model_dir, options.checkpoint)
        compare("float32", candidate, Scorer.of(plain, recalibration))
    card = card_of(model_dir)
    version = export_saved_model(model, directory, recalibration, card, write_formats)
    return Published(version, comparisons)


def _previous(options: PublishOptions, directory: Path) -> Path | None:
    """What the new version is compared with; None: nothing."""
    if not options.data:
        return None
    place = Path(options.previous) if options.previous else directory
    if (place / "saved_model.pb").exists() or (place / "config.json").exists():
        return place
    newest = newest_version(place)
    if newest is None and options.previous:
        raise ValueError(
            f"previous: {place}: expected a version, a folder of versions or a "
            "model_dir, received none of them."
        )
    return newest


def _recalibration(model: WideDeep, options: PublishOptions) -> Recalibration | None:
    if options.recalibration == "none":
        return None
    rows = open_rows(options.recalibration_data)
    scorer = Scorer.of(model)
    with rows.errors():
        batches = rows.batches(model.schema, BATCH_SIZE, transform=scorer.transform)
        return recalibrate(scorer.logit, batches, options.recalibration)
