"""Criteo-like click logs with a known truth.

Rows look like Criteo's (label, 13 integers, 26 hexadecimal ids): the published
figures in `criteo_statistics.json` (missing rates, quantiles, shares of the
popular values, values unseen on the last day, click rates) come out again. The
label is drawn from a known probability, so that the best log loss that any model
can reach is known too, and is written beside the data.

A row is made in four steps:

1. *Latents* z ~ N(0, 1), five a row: engagement, session, history, ad, site. The
   last two drift with time.
2. *Integers* x_j = Q_j(loadings_j·z + noise): Q_j passes through the column's
   quantiles, log-linear in the normal score. Missing together: one such score per
   group of columns, below a threshold.
3. *Ids*: a column takes its popularity rank from its latent's quantile with a
   fixed probability, else from a quantile of its own; so columns of one latent
   are finer and coarser views of one thing. From some day on a rank may be held
   by a new value.
4. *Label* ~ Bernoulli(sigmoid(logit)),

       logit = bias + trend(time) + Σ flag_g·[group g missing] + Σ f_j(log1p x_j)
             + Σ effect_c(id) + <U, A>
       U = Σ factor_c(id) over audience columns + projection · tanh(log1p x)
       A = Σ factor_c(id) over ad columns

   The teacher sees only what a model sees. Values beyond the 1,024 most popular
   of a column have no effect of their own: what they mean shows in the coarser
   columns. <U, A> is what a linear model cannot learn.

The teacher is one fixed world: `seed` draws rows of it, so data of another seed
are a test set for models trained on this one. Equal arguments give equal bytes with
one NumPy on one kind of machine (others may round exp and log differently).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .files import replacing

Array = npt.NDArray[Any]

NUM_INTEGERS = 13
NUM_CATEGORICALS = 26

_TRUTH = "truth.json"
_BLOCK = 4096  # rows that share one random stream; changing it changes every row
_HEAD = 1024  # ranks with effects of their own
_TURNOVER = 0.1  # share of the ranks that change hands after the first day
_STEADY = 32  # so many of the most popular values never do
_DESIGN_ROWS = 400_000  # the number of rows at which the unseen shares hold
_WORLD_KEY = 1  # the teacher's random numbers

_LATENTS = ("engagement", "session", "history", "ad", "site")
_LATENT_DRIFT = np.array([0.0, 0.0, 0.0, 0.12, -0.12])  # change over all days
_TREND = 0.12  # amplitude of the click rate's drift, in logits
_BIAS = -0.647  # brings the click rate to the statistics'


@dataclasses.dataclass(frozen=True)
class _Integer:
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
class _Categorical:
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
class _MissingGroup:
    """Columns that are missing together.

    Missing when loadings · z + noise is low; `flag` is what that adds to the logit.
    """

    columns: tuple[str, ...]
    loadings: tuple[float, ...]
    flag: float = 0.0


# Loadings are in the order of `_LATENTS`.
_INTEGERS = {
    "I1": _Integer((0.8, 0.2, 0.1, 0.0, 0.0), 0.44, 0.0, (0.7, 0.0)),
    "I2": _Integer((0.0, 0.0, 0.0, 0.1, 0.3), 0.0, 0.44),
    "I3": _Integer((0.0, 0.0, 0.6, 0.0, 0.2), -0.33),
    "I4": _Integer((0.1, 0.1, 0.9, 0.0, 0.0), -0.11),
    "I5": _Integer((-0.8, -0.1, 0.0, 0.0, 0.0), -0.77, 0.0, (-0.4, 0.7)),
    "I6": _Integer((-0.65, 0.1, 0.4, 0.0, 0.0), -0.88, 0.33, (0.0, 0.6)),
    "I7": _Integer((0.2, 0.9, 0.0, 0.0, 0.0), 0.44, 0.0, (0.6, 0.0)),
    "I8": _Integer((0.1, 0.2, 0.65, 0.0, 0.0), -0.11),
    "I9": _Integer((-0.2, 0.5, 0.4, 0.0, 0.0), 0.0, 0.44),
    "I10": _Integer((0.8, 0.1, 0.1, 0.0, 0.0), 0.33),
    "I11": _Integer((0.1, 0.9, 0.0, 0.0, 0.0), 0.44),
    "I12": _Integer((0.3, 0.1, 0.0, 0.0, 0.0), 0.44),
    "I13": _Integer((-0.1, 0.0, 0.85, 0.0, 0.0), -0.77, 0.22, (0.0, -0.6)),
}

_CATEGORICALS = {
    "C1": _Categorical("site", 0.2, 0.06),
    "C2": _Categorical("site", 0.5, 0.3, 0.15, "ad"),
    "C3": _Categorical("ad", 0.9, 0.06),
    "C4": _Categorical("ad", 0.9, 0.06),
    "C5": _Categorical("site", 0.2, 0.06),
    "C6": _Categorical("engagement", 0.3, 0.18, 0.2, "audience"),
    "C7": _Categorical("site", 0.7, 0.12),
    "C8": _Categorical("site", 0.2, 0.12),
    "C9": _Categorical("site", 0.3, 0.18, 0.4, "ad"),
    "C10": _Categorical("ad", 0.4, 0.12),
    "C11": _Categorical("site", 0.8, 0.12),
    "C12": _Categorical("ad", 0.9, 0.06),
    "C13": _Categorical("site", 0.8, 0.12),
    "C14": _Categorical("engagement", 0.2, 0.24, 0.55, "ad"),
    "C15": _Categorical("ad", 0.5, 0.12),
    "C16": _Categorical("ad", 0.9, 0.06),
    "C17": _Categorical("site", 0.3, 0.36, 0.35, "audience"),
    "C18": _Categorical("site", 0.7, 0.18),
    "C19": _Categorical("engagement", 0.4, 0.12),
    "C20": _Categorical("engagement", 0.4, 0.12, 0.4, "ad"),
    "C21": _Categorical("ad", 0.9, 0.06),
    "C22": _Categorical("engagement", 0.3, 0.06),
    "C23": _Categorical("site", 0.2, 0.3),
    "C24": _Categorical("ad", 0.9, 0.18),
    "C25": _Categorical("engagement", 0.4, 0.18),
    "C26": _Categorical("engagement", 0.4, 0.12),
}

# The flags bring P(click | missing) and P(click | present) to the statistics'.
_MISSING_GROUPS = (
    _MissingGroup(("I1", "I10"), (-0.1, 0.0, 0.0, 0.0, 0.0), -0.955),
    _MissingGroup(("I3",), (0.0, 0.0, -0.1, 0.0, 0.2), 0.4),
    _MissingGroup(("I4", "I13"), (0.1, 0.0, -0.1, 0.0, 0.0), 0.291),
    _MissingGroup(("I5",), (0.1, -0.1, 0.0, 0.0, 0.0), -1.267),
    _MissingGroup(("I6",), (-0.1, -0.2, -0.1, 0.0, 0.0), -1.342),
    _MissingGroup(("I7", "I9", "I11"), (0.0, -0.2, -0.1, 0.0, 0.0), -0.64),
    _MissingGroup(("I8",), (0.0, 0.0, -0.2, 0.0, 0.0)),
    _MissingGroup(("I12",), (-0.2, 0.0, 0.0, 0.0, 0.0), -0.346),
    _MissingGroup(("C3", "C4", "C12", "C16", "C21", "C24"), (0.0, 0.0, 0.0, 0.0, 0.3)),
    _MissingGroup(("C6",), (0.0, 0.0, 0.0, 0.2, 0.0)),
    _MissingGroup(("C19", "C20", "C25", "C26"), (0.0, 0.0, 0.0, 0.3, 0.2)),
    _MissingGroup(("C22",), (-0.2, 0.0, 0.0, 0.0, 0.0)),
)

# --------------------------------------------------------------------------- API


@dataclasses.dataclass(frozen=True)
class GeneratedRows:
    """Rows as arrays; what is missing holds 0.

    Attributes:
        label: int8 (n,), 0 or 1.
        numeric: int64 (n, 13).
        numeric_missing: bool (n, 13).
        categorical: uint32 (n, 26); an id's text is its eight hexadecimal digits.
        categorical_missing: bool (n, 26).
        probability: float64 (n,), the true probability of a click.
    """

    label: Array
    numeric: Array
    numeric_missing: Array
    categorical: Array
    categorical_missing: Array
    probability: Array

    def __len__(self) -> int:
        return len(self.label)

    def to_text(self) -> bytes:
        """The rows as lines of tab-separated text, each ending in a newline."""
        return _format(self)


@dataclasses.dataclass(frozen=True)
class BayesMetrics:
    """What the true probabilities score on the drawn labels: no model does better.

    Attributes:
        num_rows: the number of rows.
        click_rate: the mean label.
        log_loss: the mean of -log(probability of the label), in nats.
        normalized_entropy: log loss / entropy of the click rate; None if all
            labels are equal.
        auc: area under the ROC curve (of probabilities rounded to 1/16384); None
            if all labels are equal.
        calibration: mean probability / click rate; None without a click.
    """

    num_rows: int
    click_rate: float
    log_loss: float
    normalized_entropy: float | None
    auc: float | None
    calibration: float | None


@dataclasses.dataclass(frozen=True)
class GeneratorReport:
    """What `generate` wrote.

    Attributes:
        paths: the files of the days, in order.
        truth_path: the file of these figures.
        seed: the seed of the rows.
        days: the figures of each day.
        overall: the figures of all rows.
    """

    paths: tuple[str, ...]
    truth_path: str
    seed: int
    days: tuple[BayesMetrics, ...]
    overall: BayesMetrics


def generate(
    output_dir: str | os.PathLike[str],
    num_rows: int = 400_000,
    seed: int = 0,
    num_days: int = 7,
    progress: Callable[[int], None] | None = None,
) -> GeneratorReport:
    """Writes Criteo-like days of click logs and the best figures they allow.

    `day_0.tsv` … hold equal parts of the rows in order, `truth.json` the
    Bayes-optimal figures of each day and of all. Each file is written under a
    temporary name and then renamed, `truth.json` last: where it stands, the days
    are complete. Other files of the folder stay untouched, so do an earlier call's
    days beyond `num_days`. Memory does not grow with `num_rows`.

    The shares of unseen values are shares of the occurrences: of the last day's
    ids that are not missing, those that no earlier day holds. They hold at the
    default size; more rows leave fewer values unseen.

    Args:
        output_dir: the folder, made if absent.
        num_rows: rows over all days.
        seed: rows of another seed are other rows of the same world.
        num_days: the number of files.
        progress: called now and then with the number of rows written so far.

    Returns:
        The paths and the figures.

    Raises:
        ValueError: fewer rows than days, no day, or a seed outside [0, 2**64).

    Example:
        >>> report = generate("clicks", num_rows=70_000)  # doctest: +SKIP
        >>> report.paths[0], round(report.overall.log_loss, 2)  # doctest: +SKIP
        ('clicks/day_0.tsv', 0.44)
    """
    days = GeneratedDays(num_rows, seed, num_days)
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _TRUTH).unlink(missing_ok=True)  # an old one is not true of new days
    paths = [folder / f"day_{day}.tsv" for day in range(num_days)]
    done = 0
    for day, path in enumerate(paths):
        with replacing(path) as temporary, temporary.open("wb") as file:
            for rows in days.rows(day):
                file.write(rows.to_text())
                done += len(rows)
                if progress is not None:
                    progress(done)
    return days.report(folder, paths)


class GeneratedDays:
    """The rows of a data set day by day, and what its truth is.

    Args:
        num_rows: rows over all days.
        seed: the seed of the rows.
        num_days: days: equal parts of the rows.

    Raises:
        ValueError: fewer rows than days, no day, or a seed outside [0, 2**64).
    """

    def __init__(self, num_rows: int, seed: int, num_days: int) -> None:
        if num_days < 1:
            raise ValueError(f"num_days: expected at least 1, received {num_days}.")
        if num_rows < num_days:
            raise ValueError(
                f"num_rows: expected at least one row for each of {num_days} "
                f"days, received {num_rows}."
            )
        self._world = _World(num_rows, seed)
        self._bounds = _parts(num_rows, num_days)
        self._tallies: list[_Tally] = [_Tally() for _ in range(num_days)]

    def rows(self, day: int) -> Iterator[GeneratedRows]:
        """The rows of a day in some thousands, counted for the truth."""
        tally = self._tallies[day] = _Tally()
        for rows in _chunks(self._world, self._bounds[day], self._bounds[day + 1]):
            tally.add(rows)
            yield rows

    def report(self, folder: Path, paths: Sequence[Path]) -> GeneratorReport:
        """Writes the truth, once all days' rows are through, and returns the report."""
        report = GeneratorReport(
            paths=tuple(map(str, paths)),
            truth_path=str(folder / _TRUTH),
            seed=self._world.seed,
            days=tuple(tally.result() for tally in self._tallies),
            overall=_Tally.merged(self._tallies).result(),
        )
        with replacing(report.truth_path) as temporary:
            temporary.write_text(_truth_json(report), encoding="utf-8")
        return report


def generate_rows(
    start: int,
    stop: int,
    num_rows: int = 400_000,
    seed: int = 0,
) -> GeneratedRows:
    """Rows [start, stop) of the data set that `generate` would write.

    A row depends on its index, `num_rows` and `seed` only, never on `start` and `stop`
    or on files: workers may make any parts of one data set.

    Args:
        start: the first row.
        stop: one past the last row, at most `num_rows`.
        num_rows: rows of the whole data set, which set the pace of the drift.
        seed: the seed of the rows.

    Returns:
        The rows as arrays.

    Raises:
        ValueError: as `generate`, or not 0 <= start <= stop <= num_rows.

    Example:
        >>> generate_rows(10, 13).numeric.shape
        (3, 13)
    """
    world = _World(num_rows, seed)
    if not 0 <= start <= stop <= num_rows:
        raise ValueError(
            f"expected 0 <= start <= stop <= num_rows = {num_rows}, "
            f"received start={start}, stop={stop}."
        )
    parts = list(_chunks(world, start, stop)) or [_sliced(_block(world, 0), 0, 0)]
    return GeneratedRows(
        *(np.concatenate(columns) for columns in zip(*map(_fields, parts), strict=True))
    )


@dataclasses.dataclass(frozen=True)
class _World:
    """What a row depends on besides its index."""

    num_rows: int
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed: expected 0 <= seed < 2**64, received {self.seed}.")

    @functools.cached_property
    def times(self) -> list[int]:
        """The first row of each of the statistics' days, when values change."""
        return _parts(self.num_rows, _statistics()["days"])


def _parts(num_rows: int, num_parts: int) -> list[int]:
    """The first row of each of equal parts, and `num_rows`."""
    return [part * num_rows // num_parts for part in range(num_parts + 1)]


# ------------------------------------------------------------------------- rows


def _chunks(world: _World, start: int, stop: int) -> Iterator[GeneratedRows]:
    """Rows [start, stop), cut where blocks meet."""
    for block in range(start // _BLOCK, -(-stop // _BLOCK)):
        first = block * _BLOCK
        rows = _block(world, block)
        yield _sliced(rows, max(start - first, 0), min(stop - first, _BLOCK))


def _fields(rows: GeneratedRows) -> tuple[Array, ...]:
    return tuple(getattr(rows, field.name) for field in dataclasses.fields(rows))


def _sliced(rows: GeneratedRows, start: int, stop: int) -> GeneratedRows:
    return GeneratedRows(*(column[start:stop] for column in _fields(rows)))


def _block(world: _World, block: int) -> GeneratedRows:
    """The rows of one whole block; inside, arrays are (columns, rows).

    The stream of a block starts 2**128 numbers after that of the one before.
    """
    bits = np.random.Philox(key=world.seed, counter=block << 128)
    random = np.random.Generator(bits)
    index = np.arange(block * _BLOCK, (block + 1) * _BLOCK)
    time = index / world.num_rows  # in [0, 1)
    day = np.searchsorted(world.times[1:], index, side="right")
    latents = random.standard_normal((len(_LATENTS), _BLOCK))
    latents += np.outer(_LATENT_DRIFT, time - 0.5)

    group_missing = _draw_missing(latents, random)
    numeric = _draw_integers(latents, random)
    numeric_missing = group_missing[_group_of_column()[:NUM_INTEGERS]]
    ranks = _draw_ranks(latents, random)
    categorical_missing = group_missing[_group_of_column()[NUM_INTEGERS:]]
    numeric[numeric_missing] = 0
    ranks[categorical_missing] = _UNRANKED

    ids = _ids(ranks, day)
    logit = _logit(numeric, numeric_missing, ranks, group_missing)
    logit += _BIAS + _TREND * np.sin(2 * math.pi * time)
    probability = 1 / (1 + np.exp(-logit))
    return GeneratedRows(
        label=(random.random(_BLOCK) < probability).astype(np.int8),
        numeric=numeric.T,
        numeric_missing=numeric_missing.T,
        categorical=np.where(categorical_missing, 0, ids).T,
        categorical_missing=categorical_missing.T,
        probability=probability,
    )


# ------------------------------------------------------- latents -> raw columns


@functools.cache
def _statistics() -> dict[str, Any]:
    path = Path(__file__).with_name("criteo_statistics.json")
    statistics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return statistics


@functools.cache
def _missing_groups() -> tuple[_MissingGroup, ...]:
    """The groups of the table above, and a last one of the columns never missing."""
    grouped = {name for group in _MISSING_GROUPS for name in group.columns}
    rest = tuple(n for n in (*_INTEGERS, *_CATEGORICALS) if n not in grouped)
    return (*_MISSING_GROUPS, _MissingGroup(rest, (0.0,) * len(_LATENTS)))


@functools.cache
def _group_of_column() -> Array:
    """The index of the missing group of each of the 39 columns."""
    group = {n: i for i, g in enumerate(_missing_groups()) for n in g.columns}
    return np.array([group[name] for name in (*_INTEGERS, *_CATEGORICALS)])


def _missing_rate(name: str) -> float:
    kind = "integer" if name in _INTEGERS else "categorical"
    return float(_statistics()[kind][name]["missing"])


@functools.cache
def _missing_tables() -> tuple[Array, Array, Array]:
    """Loadings (groups, latents), noise (groups, 1) and thresholds (groups, 1)."""
    loadings = np.array([group.loadings for group in _missing_groups()])
    rates = [_missing_rate(group.columns[0]) for group in _missing_groups()]
    scores = [NormalDist().inv_cdf(rate) if rate else -math.inf for rate in rates]
    return loadings, _noise(loadings), np.array(scores)[:, None]


def _noise(loadings: Array) -> Array:
    """The standard deviation that makes loadings · z + noise a standard normal."""
    noise: Array = np.sqrt(1 - np.sum(loadings**2, axis=1, keepdims=True))
    return noise


def _draw_missing(latents: Array, random: np.random.Generator) -> Array:
    """Which groups are missing: bool (groups, rows)."""
    loadings, noise, thresholds = _missing_tables()
    scores = noise * random.standard_normal((len(noise), latents.shape[1]))
    scores += loadings @ latents
    return scores < thresholds


@functools.cache
def _integer_tables() -> tuple[Array, Array, Array, Array, Array]:
    """Loadings, noise, minima, and the knots of the quantile functions.

    The knots are normal scores (6,) and log1p(x - minimum) (13, 6): the smallest
    and the largest of all rows lie at the scores of probability 1 / rows from
    either end.
    """
    statistics = _statistics()
    loadings = np.array([column.loadings for column in _INTEGERS.values()])
    extreme = 1 / statistics["rows"]
    probabilities = (extreme, 0.25, 0.5, 0.75, 0.95, 1 - extreme)
    scores = np.array([NormalDist().inv_cdf(p) for p in probabilities])
    names = ("min", "q25", "q50", "q75", "q95", "max")
    quantiles = np.array(
        [[statistics["integer"][c][name] for name in names] for c in _INTEGERS]
    )
    minima = quantiles[:, :1]
    return loadings, _noise(loadings), minima, scores, np.log1p(quantiles - minima)


def _draw_integers(latents: Array, random: np.random.Generator) -> Array:
    """The integers, none missing yet: int64 (13, rows)."""
    loadings, noise, minima, scores, logs = _integer_tables()
    x = noise * random.standard_normal((NUM_INTEGERS, latents.shape[1]))
    x += loadings @ latents
    for j in range(NUM_INTEGERS):
        x[j] = np.interp(x[j], scores, logs[j])
    return np.rint(np.expm1(x)).astype(np.int64) + minima


_UNRANKED = -1  # the rank of a missing id
_STEEPEST = 1.7  # of the power laws between known shares


@dataclasses.dataclass(frozen=True)
class _Popularity:
    """A quantile function of ranks: knots of (probability, log of the rank).

    Ranks are continuous here: r (from 0) is what lies in [r + 1, r + 2).
    """

    probabilities: Array
    log_ranks: Array

    def shares(self, num_ranks: int) -> Array:
        """The probabilities of the first ranks: float64 (num_ranks,)."""
        edges = np.log(np.arange(1, num_ranks + 2))
        return np.diff(np.interp(edges, self.log_ranks, self.probabilities))


def _popularity(name: str) -> _Popularity:
    """Power laws between the known shares of the 1, 10, 100 and 1,000 most popular.

    Within a segment the slope is that towards the next one, at most `_STEEPEST`
    (the next may be empty) and less where the second value would be as popular as
    the first. The last slope is the one at which the
    column's share of unseen values comes out, or where none is known its number of
    distinct values.
    """
    figures = _statistics()["categorical"][name]
    end = figures["vocabulary_size"] + 1
    tops = {2: "top1", 11: "top10", 101: "top100", 1001: "top1000"}
    edges = [1, *(edge for edge in tops if edge < end), end]
    shares = [0.0, *(figures[tops[edge]] for edge in edges[1:-1]), 1.0]
    middles = np.sqrt(np.multiply(edges[:-1], edges[1:]))
    density = np.maximum(np.diff(shares), 1e-12) / np.diff(edges)
    slopes = -np.diff(np.log(density)) / np.diff(np.log(middles))
    slopes = np.minimum(slopes, _STEEPEST)
    if len(slopes) > 1:
        slopes[1] = min(slopes[1], _steepest(shares[1], shares[2]))

    def joined(last_slope: float) -> _Popularity:
        pieces = [
            _power_law(edges[i], edges[i + 1], shares[i], shares[i + 1], slope)
            for i, slope in enumerate([*slopes, last_slope])
        ]
        probabilities, log_ranks = np.concatenate(pieces, axis=1)
        return _Popularity(probabilities, log_ranks)

    unseen = _statistics()["unseen_on_last_day"].get(name)
    if unseen is not None:
        return _bisect(joined, lambda p: _unseen_share(p, figures["missing"]) - unseen)
    if end > 1001:
        distinct = figures["distinct_per_100k"]
        return _bisect(
            joined, lambda p: _num_distinct(p, figures["missing"]) - distinct
        )
    return joined(1.0)


def _steepest(top1: float, top10: float) -> float:
    """The slope over ranks 2 … 10 at which the second has 0.9 of the first's share."""
    slopes = np.linspace(0, _STEEPEST, 35)
    ranks = np.arange(2, 11)[:, None] ** -slopes
    second = (top10 - top1) * ranks[0] / ranks.sum(axis=0)
    return float(slopes[second <= 0.9 * top1].max(initial=0))


def _power_law(
    start: int, stop: int, share_start: float, share_stop: float, slope: float
) -> Array:
    """Knots (2, 24) of density ∝ rank**-slope between two known points.

    The 1e-9 keeps a slope of 1, where the integral is a logarithm, off 0 / 0.
    """
    log_ranks = np.linspace(math.log(start), math.log(stop), 24)
    mass = np.expm1((1 - slope + 1e-9) * (log_ranks - log_ranks[0]))
    shares = share_start + (share_stop - share_start) * mass / mass[-1]
    return np.stack([shares, log_ranks])


def _unseen_share(popularity: _Popularity, missing: float) -> float:
    """The share of last-day ids that the days before do not hold, as expected.

    Σ p · (1 - p)**n over ranks, and those that change hands on that day.
    """
    days = _statistics()["days"]
    num_seen = _DESIGN_ROWS * (1 - 1 / days) * (1 - missing)
    rank, num_ranks, p = _bands(popularity)
    new = np.where(rank > _STEADY, _TURNOVER / (days - 1), 0)
    return float(np.sum(num_ranks * p * (new + (1 - new) * np.exp(-num_seen * p))))


def _num_distinct(popularity: _Popularity, missing: float) -> float:
    """How many distinct ids 100,000 rows hold, as expected."""
    _, num_ranks, p = _bands(popularity)
    return float(np.sum(num_ranks * -np.expm1(-100_000 * (1 - missing) * p)))


def _bands(popularity: _Popularity) -> tuple[Array, Array, Array]:
    """First rank, number of ranks and probability of one, over narrow bands."""
    log_edges = np.linspace(0, popularity.log_ranks[-1], 4000)
    mass = np.diff(np.interp(log_edges, popularity.log_ranks, popularity.probabilities))
    rank, num_ranks = np.exp(log_edges[:-1]), np.diff(np.exp(log_edges))
    return rank, num_ranks, mass / num_ranks


def _bisect(
    make: Callable[[float], _Popularity], excess: Callable[[_Popularity], float]
) -> _Popularity:
    """The popularity whose slope makes `excess`, which falls with it, vanish."""
    low, high = 0.0, 6.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(make(middle)) > 0 else (low, middle)
    return make((low + high) / 2)


@functools.cache
def _popularities() -> tuple[_Popularity, ...]:
    return tuple(map(_popularity, _CATEGORICALS))


@functools.cache
def _normal_cdf_table() -> tuple[Array, Array]:
    scores = np.linspace(-6, 6, 1201)
    return scores, np.array([NormalDist().cdf(score) for score in scores])


def _draw_ranks(latents: Array, random: np.random.Generator) -> Array:
    """The popularity ranks of the ids, from 0, none missing yet: int32 (26, rows)."""
    quantiles = np.interp(latents, *_normal_cdf_table())
    ranks = random.random((NUM_CATEGORICALS, latents.shape[1]))
    columns = zip(_CATEGORICALS.values(), _popularities(), ranks, strict=True)
    for column, popularity, u in columns:
        # One uniform number decides whether the column follows, and if not serves
        # again, stretched: either way the quantile is uniform.
        own = (u - column.follows) / (1 - column.follows)
        shared = quantiles[_LATENTS.index(column.latent)]
        quantile = np.where(u < column.follows, shared, own)
        u[:] = np.interp(quantile, popularity.probabilities, popularity.log_ranks)
    return np.minimum(np.exp(ranks).astype(np.int32) - 1, _last_rank())


@functools.cache
def _last_rank() -> Array:
    columns = _statistics()["categorical"]
    return np.array(
        [[columns[c]["vocabulary_size"] - 1] for c in _CATEGORICALS], np.int32
    )


# ------------------------------------------------------------------ ranks -> ids


def _ids(ranks: Array, day: Array) -> Array:
    """The ids of ranks on their day: uint32 (26, rows), distinct over all columns.

    In columns with an unseen share, a `_TURNOVER` of the ranks is held by a new
    value from some later day on.
    """
    keys = ranks.astype(np.uint32) << 5  # the rank in 26 bits, the column in 5
    keys |= np.arange(1, NUM_CATEGORICALS + 1, dtype=np.uint32)[:, None]
    turning = _turning_columns()
    chance = _mix(keys[turning] ^ np.uint32(0x9E3779B9)) / 2**32  # fixed for a rank
    first_day = 1 + chance * (_statistics()["days"] - 1) / _TURNOVER
    new = (day >= np.floor(first_day)) & (ranks[turning] >= _STEADY)
    keys[turning] |= new.astype(np.uint32) << 31
    return _mix(keys)


@functools.cache
def _turning_columns() -> Array:
    unseen = _statistics()["unseen_on_last_day"]
    return np.flatnonzero([name in unseen for name in _CATEGORICALS])


def _mix(x: Array) -> Array:
    """A bijection of uint32 whose outputs look random (C. Wellons, lowbias32)."""
    x = x ^ (x >> 16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> 15
    x *= np.uint32(0x846CA68B)
    x ^= x >> 16
    return x


# --------------------------------------------------------------------- teacher


def _logit(
    numeric: Array, numeric_missing: Array, ranks: Array, group_missing: Array
) -> Array:
    """The logit but for bias and trend: float64 (rows,)."""
    center, scale, slope, bend, projection = _numeric_tables()
    u = np.tanh((np.log1p(np.maximum(numeric, 0)) - center) / scale)
    u[numeric_missing] = 0
    effects, factors = _effect_tables()
    # Row _HEAD of a table is for ids without effects: unpopular or missing (-1,
    # which becomes the largest uint32).
    entry = np.minimum(ranks.view(np.uint32), _HEAD).astype(np.int64)
    entry += (np.arange(NUM_CATEGORICALS) * (_HEAD + 1))[:, None]
    audience = projection.T @ u + _sum_of_factors(factors, entry, "audience")
    ad = _sum_of_factors(factors, entry, "ad")
    flags = np.array([group.flag for group in _missing_groups()])
    logit: Array = flags @ group_missing + slope @ u + bend @ u**2
    logit += effects[entry].sum(axis=0)
    logit += (audience * ad).sum(axis=0)
    return logit


def _sum_of_factors(factors: Array, entry: Array, side: str) -> Array:
    columns = [i for i, c in enumerate(_CATEGORICALS.values()) if c.side == side]
    total: Array = factors[:, entry[columns]].sum(axis=1)
    return total


@functools.cache
def _numeric_tables() -> tuple[Array, Array, Array, Array, Array]:
    """Center and scale of log1p (13, 1), slopes, bends (13,), projection (13, 2)."""
    figures = _statistics()["integer"].values()
    center, low, high = (
        np.log1p([[max(f[q], 0)] for f in figures]) for q in ("q50", "q25", "q95")
    )
    columns = _INTEGERS.values()
    return (
        center,
        high - low,
        np.array([column.slope for column in columns]),
        np.array([column.bend for column in columns]),
        np.array([column.projection for column in columns]),
    )


@functools.cache
def _effect_tables() -> tuple[Array, Array]:
    """Effects (26 * (_HEAD + 1),) and factors (2, 26 * (_HEAD + 1)) of the ids.

    Normal numbers that shrink with the rank, centered and scaled to the column's
    standard deviations over the rows.
    """
    random = np.random.Generator(np.random.Philox(key=_WORLD_KEY))
    rank = np.arange(_HEAD)
    shrink = 1 / (1 + rank / 16)
    table = random.standard_normal((3, NUM_CATEGORICALS, _HEAD)) * shrink
    table = np.concatenate([table, np.zeros((3, NUM_CATEGORICALS, 1))], axis=2)
    columns = zip(_CATEGORICALS.values(), _popularities(), strict=True)
    for i, (column, popularity) in enumerate(columns):
        share = np.append(popularity.shares(_HEAD), 0.0)
        share[_HEAD] = max(1 - share.sum(), 0)
        table[:, i] -= (table[:, i] @ share)[:, None]
        spread = np.sqrt(table[:, i] ** 2 @ share)
        strength = np.array([column.effect] + 2 * [column.factor])
        table[:, i] *= (strength / spread)[:, None]
    table = table.reshape(3, -1)
    return table[0], table[1:]


# ------------------------------------------------------------------------- text

# A row at full width. Bytes of value 0 are not part of the text.
_LINE = np.dtype(
    [
        ("label", "u1"),
        (
            "numeric",
            [("tab", "u1"), ("sign", "u1"), ("high", "u4"), ("low", "u4")],
            NUM_INTEGERS,
        ),
        (
            "categorical",
            [("tab", "u1"), ("high", "u4"), ("low", "u4")],
            NUM_CATEGORICALS,
        ),
        ("end", "u1"),
    ]
)


def _format(rows: GeneratedRows) -> bytes:
    """The lines of rows, from lookups of four characters at a time."""
    digits, leading, hexadecimal = _text_tables()
    lines = np.zeros(len(rows), _LINE)
    lines["label"] = rows.label + ord("0")
    lines["end"] = ord("\n")
    numeric, categorical = lines["numeric"], lines["categorical"]
    numeric["tab"] = categorical["tab"] = ord("\t")
    numeric["sign"] = np.where(rows.numeric < 0, ord("-"), 0)
    present = ~rows.numeric_missing
    high, low = np.divmod(np.abs(rows.numeric), 10_000)
    numeric["high"] = np.where(high > 0, leading[high], 0)
    numeric["low"] = present * np.where(high > 0, digits[low], leading[low])
    present = ~rows.categorical_missing
    categorical["high"] = present * hexadecimal[rows.categorical >> 16]
    categorical["low"] = present * hexadecimal[rows.categorical & 0xFFFF]
    return lines.tobytes().translate(None, b"\0")


@functools.cache
def _text_tables() -> tuple[Array, Array, Array]:
    """Four characters as a uint32: digits, without leading zeros, hexadecimal."""
    digits = "".join(f"{i:04d}" for i in range(10_000)).encode()
    leading = b"".join(b"%d" % i + bytes(4 - len(str(i))) for i in range(10_000))
    hexadecimal = "".join(f"{i:04x}" for i in range(65_536)).encode()
    digits_, leading_, hexadecimal_ = (
        np.frombuffer(text, np.uint32) for text in (digits, leading, hexadecimal)
    )
    return digits_, leading_, hexadecimal_


# --------------------------------------------------------------------- figures

_BINS = 1 << 14


class _Tally:
    """Counts and sums from which the Bayes metrics of some rows follow."""

    def __init__(self) -> None:
        self._histogram = np.zeros((2, _BINS), np.int64)  # by label and probability
        self._loss = 0.0
        self._probability = 0.0

    def add(self, rows: GeneratedRows) -> None:
        p = rows.probability
        bins = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
        counts = np.bincount(
            bins + _BINS * rows.label.astype(np.int64), minlength=2 * _BINS
        )
        self._histogram += counts.reshape(2, _BINS)
        self._loss -= float(np.log(np.where(rows.label == 1, p, 1 - p)).sum())
        self._probability += float(p.sum())

    @classmethod
    def merged(cls, tallies: list[_Tally]) -> _Tally:
        """The tally of the rows of all of them."""
        merged = cls()
        for tally in tallies:
            merged._histogram += tally._histogram
            merged._loss += tally._loss
            merged._probability += tally._probability
        return merged

    def result(self) -> BayesMetrics:
        misses, clicks = self._histogram.sum(axis=1).tolist()
        num_rows = misses + clicks
        rate, loss = clicks / num_rows, self._loss / num_rows
        entropy = -sum(p * math.log(p) for p in (rate, 1 - rate) if p > 0)
        return BayesMetrics(
            num_rows=num_rows,
            click_rate=rate,
            log_loss=loss,
            normalized_entropy=loss / entropy if entropy else None,
            auc=self._auc() if entropy else None,
            calibration=self._probability / clicks if clicks else None,
        )

    def _auc(self) -> float:
        """P(a click's probability is above a non-click's), ties counting half."""
        misses, clicks = self._histogram.astype(np.float64)
        below = np.cumsum(misses) - misses / 2
        return float(below @ clicks / (misses.sum() * clicks.sum()))


def _truth_json(report: GeneratorReport) -> str:
    truth = {
        "about": "What the true probabilities score on these labels.",
        "seed": report.seed,
        "overall": dataclasses.asdict(report.overall),
        "days": [dataclasses.asdict(day) for day in report.days],
    }
    return json.dumps(truth, indent=1) + "\n"
