"""The world of generated clicks: latents, columns, and the figures they keep to.

All of it is fixed: data sets of any size and seed are drawn from this one world.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NUM_INTEGERS = 13
NUM_CATEGORICALS = 26

LATENTS = ("engagement", "session", "history", "ad", "site")
LATENT_DRIFT = np.array([0.0, 0.0, 0.0, 0.12, -0.12])  # change over all days

TURNOVER = 0.1  # share of the ranks that change hands after the first day
STEADY = 32  # so many of the most popular values never do


@dataclasses.dataclass(frozen=True)
class IntegerColumn:
    """An integer column's loadings on the latents and part in the logit.

        f(x) = slope * tanh(u) + bend * tanh(u)**2,
        u = (log1p(max(x, 0)) - log1p(q50)) / (log1p(q95) - log1p(q25))

    `projection` is what tanh(u) adds to the audience vector U.
    """

    loadings: tuple[float, ...]
    slope: float
    bend: float = 0.0
    projection: tuple[float, float] = (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class CategoricalColumn:
    """A categorical column's latent and the strengths of its effects.

    `follows` is the probability that the rank is the latent's; `effect` and
    `factor` are standard deviations over the rows, in logits and in their roots.
    """

    latent: str
    follows: float
    effect: float
    factor: float = 0.0
    side: Literal["", "audience", "ad"] = ""  # the vector that `factor` adds to


@dataclasses.dataclass(frozen=True)
class MissingGroup:
    """Columns that are missing together.

    Missing when loadings · z + noise is low; `flag` is what that adds to the logit.
    """

    columns: tuple[str, ...]
    loadings: tuple[float, ...]
    flag: float = 0.0


# Loadings are in the order of `LATENTS`.
INTEGERS = {
    "I1": IntegerColumn((0.8, 0.2, 0.1, 0.0, 0.0), 0.44, 0.0, (0.7, 0.0)),
    "I2": IntegerColumn((0.0, 0.0, 0.0, 0.1, 0.3), 0.0, 0.44),
    "I3": IntegerColumn((0.0, 0.0, 0.6, 0.0, 0.2), -0.33),
    "I4": IntegerColumn((0.1, 0.1, 0.9, 0.0, 0.0), -0.11),
    "I5": IntegerColumn((-0.8, -0.1, 0.0, 0.0, 0.0), -0.77, 0.0, (-0.4, 0.7)),
    "I6": IntegerColumn((-0.65, 0.1, 0.4, 0.0, 0.0), -0.88, 0.33, (0.0, 0.6)),
    "I7": IntegerColumn((0.2, 0.9, 0.0, 0.0, 0.0), 0.44, 0.0, (0.6, 0.0)),
    "I8": IntegerColumn((0.1, 0.2, 0.65, 0.0, 0.0), -0.11),
    "I9": IntegerColumn((-0.2, 0.5, 0.4, 0.0, 0.0), 0.0, 0.44),
    "I10": IntegerColumn((0.8, 0.1, 0.1, 0.0, 0.0), 0.33),
    "I11": IntegerColumn((0.1, 0.9, 0.0, 0.0, 0.0), 0.44),
    "I12": IntegerColumn((0.3, 0.1, 0.0, 0.0, 0.0), 0.44),
    "I13": IntegerColumn((-0.1, 0.0, 0.85, 0.0, 0.0), -0.77, 0.22, (0.0, -0.6)),
}

CATEGORICALS = {
    "C1": CategoricalColumn("site", 0.2, 0.06),
    "C2": CategoricalColumn("site", 0.5, 0.3, 0.15, "ad"),
    "C3": CategoricalColumn("ad", 0.9, 0.06),
    "C4": CategoricalColumn("ad", 0.9, 0.06),
    "C5": CategoricalColumn("site", 0.2, 0.06),
    "C6": CategoricalColumn("engagement", 0.3, 0.18, 0.2, "audience"),
    "C7": CategoricalColumn("site", 0.7, 0.12),
    "C8": CategoricalColumn("site", 0.2, 0.12),
    "C9": CategoricalColumn("site", 0.3, 0.18, 0.4, "ad"),
    "C10": CategoricalColumn("ad", 0.4, 0.12),
    "C11": CategoricalColumn("site", 0.8, 0.12),
    "C12": CategoricalColumn("ad", 0.9, 0.06),
    "C13": CategoricalColumn("site", 0.8, 0.12),
    "C14": CategoricalColumn("engagement", 0.2, 0.24, 0.55, "ad"),
    "C15": CategoricalColumn("ad", 0.5, 0.12),
    "C16": CategoricalColumn("ad", 0.9, 0.06),
    "C17": CategoricalColumn("site", 0.3, 0.36, 0.35, "audience"),
    "C18": CategoricalColumn("site", 0.7, 0.18),
    "C19": CategoricalColumn("engagement", 0.4, 0.12),
    "C20": CategoricalColumn("engagement", 0.4, 0.12, 0.4, "ad"),
    "C21": CategoricalColumn("ad", 0.9, 0.06),
    "C22": CategoricalColumn("engagement", 0.3, 0.06),
    "C23": CategoricalColumn("site", 0.2, 0.3),
    "C24": CategoricalColumn("ad", 0.9, 0.18),
    "C25": CategoricalColumn("engagement", 0.4, 0.18),
    "C26": CategoricalColumn("engagement", 0.4, 0.12),
}

# The flags bring P(click | missing) and P(click | present) to the statistics'.
_MISSING_GROUPS = (
    MissingGroup(("I1", "I10"), (-0.1, 0.0, 0.0, 0.0, 0.0), -0.955),
    MissingGroup(("I3",), (0.0, 0.0, -0.1, 0.0, 0.2), 0.4),
    MissingGroup(("I4", "I13"), (0.1, 0.0, -0.1, 0.0, 0.0), 0.291),
    MissingGroup(("I5",), (0.1, -0.1, 0.0, 0.0, 0.0), -1.267),
    MissingGroup(("I6",), (-0.1, -0.2, -0.1, 0.0, 0.0), -1.342),
    MissingGroup(("I7", "I9", "I11"), (0.0, -0.2, -0.1, 0.0, 0.0), -0.64),
    MissingGroup(("I8",), (0.0, 0.0, -0.2, 0.0, 0.0)),
    MissingGroup(("I12",), (-0.2, 0.0, 0.0, 0.0, 0.0), -0.346),
    MissingGroup(("C3", "C4", "C12", "C16", "C21", "C24"), (0.0, 0.0, 0.0, 0.0, 0.3)),
    MissingGroup(("C6",), (0.0, 0.0, 0.0, 0.2, 0.0)),
    MissingGroup(("C19", "C20", "C25", "C26"), (0.0, 0.0, 0.0, 0.3, 0.2)),
    MissingGroup(("C22",), (-0.2, 0.0, 0.0, 0.0, 0.0)),
)


@functools.cache
def criteo_statistics() -> dict[str, Any]:
    """Criteo's published figures: of integers, of ids, of clicks."""
    path = Path(__file__).with_name("criteo_statistics.json")
    statistics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return statistics


@functools.cache
def missing_groups() -> tuple[MissingGroup, ...]:
    """The groups of the table above, and a last one of the columns never missing."""
    grouped = {name for group in _MISSING_GROUPS for name in group.columns}
    rest = tuple(n for n in (*INTEGERS, *CATEGORICALS) if n not in grouped)
    return (*_MISSING_GROUPS, MissingGroup(rest, (0.0,) * len(LATENTS)))
