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
from collections.abc import Iterator

import numpy as np

from .generated_rows import GeneratedRows
from .generator_columns import draw_columns
from .generator_ids import ids_of
from .generator_teacher import click_probability
from .generator_world import LATENT_DRIFT, LATENTS, criteo_statistics

_BLOCK = 4096  # rows that share one random stream; changing it changes every row


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

    Examples:
        >>> generate_rows(10, 13).numeric.shape
        (3, 13)
    """
    data = DataSet(num_rows, seed)
    if not 0 <= start <= stop <= num_rows:
        raise ValueError(
            f"expected 0 <= start <= stop <= num_rows = {num_rows}, "
            f"received start={start}, stop={stop}."
        )
    parts = list(data.rows(start, stop)) or [data.block(0).sliced(0, 0)]
    return GeneratedRows.concatenated(parts)


@dataclasses.dataclass(frozen=True)
class DataSet:
    """What a row depends on besides its index.

    Attributes:
        num_rows: rows of the whole data set.
        seed: the seed of the rows.

    Raises:
        ValueError: a seed outside [0, 2**64).
    """

    num_rows: int
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed: expected 0 <= seed < 2**64, received {self.seed}.")

    def rows(self, start: int, stop: int) -> Iterator[GeneratedRows]:
        """Rows [start, stop), cut where blocks meet."""
        for block in range(start // _BLOCK, -(-stop // _BLOCK)):
            first = block * _BLOCK
            rows = self.block(block)
            yield rows.sliced(max(start - first, 0), min(stop - first, _BLOCK))

    def block(self, block: int) -> GeneratedRows:
        """The rows of one whole block, 4096 that share one random stream.

        The stream of a block starts 2**128 numbers after that of the one before.
        """
        bits = np.random.Philox(key=self.seed, counter=block << 128)
        random = np.random.Generator(bits)
        index = np.arange(block * _BLOCK, (block + 1) * _BLOCK)
        time = index / self.num_rows  # in [0, 1)
        day = np.searchsorted(self._days[1:], index, side="right")
        latents = random.standard_normal((len(LATENTS), _BLOCK))
        latents += np.outer(LATENT_DRIFT, time - 0.5)
        columns = draw_columns(latents, random)
        ids = ids_of(columns.ranks, day)
        probability = click_probability(columns, time)
        return GeneratedRows(
            label=(random.random(_BLOCK) < probability).astype(np.int8),
            numeric=columns.numeric.T,
            numeric_missing=columns.numeric_missing.T,
            categorical=np.where(columns.categorical_missing, 0, ids).T,
            categorical_missing=columns.categorical_missing.T,
            probability=probability,
        )

    @functools.cached_property
    def _days(self) -> list[int]:
        """The first row of each of the statistics' days, when values change."""
        return equal_parts(self.num_rows, criteo_statistics()["days"])


def equal_parts(num_rows: int, num_parts: int) -> list[int]:
    """The first row of each of equal parts, and `num_rows`."""
    return [part * num_rows // num_parts for part in range(num_parts + 1)]
