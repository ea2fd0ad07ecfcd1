"""The columns of a schema: how one column of raw values becomes numbers.

Each is a frozen, JSON-serialisable description that checks itself.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from typing import Any, Literal

_INTEGER = r"-?[0-9]{1,18}"  # always fits into int64
# Finite in float64, if not in float32.
FLOAT = r"-?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,2})?"
NON_NEGATIVE = FLOAT.removeprefix("-?")

# Boundaries of the log-spaced bins: every integer up to 4, then steps of 30 %.
BIN_BOUNDARIES: tuple[float, ...] = tuple(
    sorted({float(round(1.3**k)) for k in range(80)} | {0.0})
)


@dataclasses.dataclass(frozen=True)
class Numeric:
    """A numeric column.

    A value is clipped, transformed and standardized, in this order:

        feature = (transform(clip(x)) - mean) / standard_deviation

    A missing one is `fill`, and its flag is 1.

    Attributes:
        name: the column's name.
        dtype: how its text is read; an `int64` column takes no `1.0` or `1e5`.
        transform: `log1p` is log(1 + max(x, 0)); `none` keeps the value.
        clip: None, or the lowest and the highest value; others become these.
        standardize: whether `mean` is taken off and the rest divided by
            `standard_deviation`.
        mean: of the clipped and transformed values; None as long as it is to be
            measured on the training data (`complete_schema`).
        standard_deviation: theirs; None as `mean`.
        fill: what a missing value becomes; with `standardize` 0 is the mean.
        binned: adds a categorical copy of the value in bins to the ids, under the name
            `<name>_bin`. Bins see the value as it came.
        boundaries: the bins' boundaries, rising; empty: log-spaced.

    Raises:
        ValueError: a setting that is not among the choices, a number that is not
            finite, a clip or boundaries that do not rise, or settings that do not go
            together.

    Examples:
        >>> age = Numeric("age", transform="none", standardize=True)
        >>> schema = Schema("people", (age,), ())
        >>> complete_schema(schema, {"age": [20, 30, 40]}).numeric[0].mean
        30.0
    """

    name: str
    dtype: Literal["int64", "float64"] = "int64"
    transform: Literal["log1p", "none"] = "log1p"
    clip: tuple[float, float] | None = None
    standardize: bool = False
    mean: float | None = None
    standard_deviation: float | None = None
    fill: float = 0.0
    binned: bool = False
    boundaries: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_choice(f"dtype of {self.name}", self.dtype, ("int64", "float64"))
        _check_choice(f"transform of {self.name}", self.transform, ("log1p", "none"))
        pair = self.clip
        if pair is not None and not (len(pair) == 2 and pair[0] < pair[1]):
            raise ValueError(
                f"column {self.name}: expected as clip a lowest and a highest value, "
                f"received {pair}."
            )
        measured = (self.mean is not None, self.standard_deviation is not None)
        if measured[0] != measured[1] or (measured[0] and not self.standardize):
            raise ValueError(
                f"column {self.name}: expected mean and standard_deviation together "
                f"and with standardize, received mean={self.mean}, "
                f"standard_deviation={self.standard_deviation}, "
                f"standardize={self.standardize}."
            )
        numbers = (self.fill, self.mean or 0.0, *(pair or ()), *self.boundaries)
        deviation = self.standard_deviation
        if not all(map(math.isfinite, numbers)) or not 0 < (deviation or 1) < math.inf:
            raise ValueError(
                f"column {self.name}: expected finite numbers, and a standard "
                "deviation above 0, received others."
            )
        rising = all(a < b for a, b in itertools.pairwise(self.boundaries))
        if not rising or (self.boundaries and not self.binned):
            raise ValueError(
                f"column {self.name}: expected boundaries that rise, and binned=True "
                f"with them, received {list(self.boundaries)} and "
                f"binned={self.binned}."
            )
        names = ("clip", "mean", "standard_deviation", "fill", "boundaries")
        _hold_floats(self, *names)

    @property
    def pattern(self) -> str:
        """The regular expression of a present value in text."""
        return _INTEGER if self.dtype == "int64" else FLOAT

    @property
    def bin_boundaries(self) -> tuple[float, ...]:
        """The boundaries of the bins, the log-spaced ones by default."""
        return self.boundaries or BIN_BOUNDARIES

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be measured on the training data."""
        return not self.standardize or self.mean is not None


@dataclasses.dataclass(frozen=True)
class Categorical:
    """A categorical column: hashed, or looked up in a vocabulary.

    Exactly one of `buckets`, `vocabulary` and `min_count` says how its ids are
    made. Id 0 is a missing value. Hashed: ids 1 … buckets - 1. Vocabulary: ids
    1 … oov_buckets are unknown values, the known ones follow by rank.

    Attributes:
        name: the column's name.
        buckets: number of ids when hashed, 0 otherwise.
        vocabulary: the known values, the most frequent first.
        min_count: the vocabulary is still to be counted: the values that occur
            at least this often in the training data (`complete_schema`).
        max_vocabulary: that many of them at most, the most frequent; 0: all.
        oov_buckets: ids of values out of the vocabulary, which are hashed if there
            are several.
        pattern: the regular expression of a present value in text; empty takes
            anything.

    Raises:
        ValueError: not exactly one of the three, a number that is too small, a
            vocabulary with an empty or a repeated value, or a pattern that is none.

    Examples:
        >>> Categorical("site", buckets=1000).num_ids
        1000
        >>> Categorical("site", vocabulary=("news", "shop")).num_ids
        4
    """

    name: str
    buckets: int = 0
    vocabulary: tuple[str, ...] | None = None
    min_count: int = 0
    max_vocabulary: int = 0
    oov_buckets: int = 1
    pattern: str = ""

    def __post_init__(self) -> None:
        kinds = (self.buckets != 0, self.vocabulary is not None, self.min_count != 0)
        if sum(kinds) != 1:
            raise ValueError(
                f"column {self.name}: expected one of buckets, vocabulary and "
                f"min_count, received buckets={self.buckets}, "
                f"vocabulary={'given' if kinds[1] else None}, "
                f"min_count={self.min_count}."
            )
        if kinds[0] and self.buckets < 2:
            raise ValueError(
                f"column {self.name}: expected at least 2 buckets, "
                f"received {self.buckets}."
            )
        for name, least in (
            ("min_count", 0),
            ("max_vocabulary", 0),
            ("oov_buckets", 1),
        ):
            value = getattr(self, name)
            if value < least:
                raise ValueError(
                    f"column {self.name}: expected {name} of {least} or more, "
                    f"received {value}."
                )
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                f"column {self.name}: expected a regular expression as pattern, "
                f"received {self.pattern!r} ({error})."
            ) from None
        if self.vocabulary is not None:
            values = set(self.vocabulary)
            if len(values) != len(self.vocabulary) or "" in values:
                raise ValueError(
                    f"column {self.name}: expected a vocabulary of distinct, "
                    "non-empty values, received a repeated or an empty one."
                )

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be counted on the training data."""
        return not self.min_count

    @property
    def num_ids(self) -> int:
        """How many ids the column has, the missing and unknown ones included.

        Raises:
            ValueError: the vocabulary is not counted yet.
        """
        if not self.is_complete:
            raise ValueError(
                f"column {self.name}: its vocabulary is not counted yet; call "
                "smelu_tf.pipelines.complete_schema(schema, data) first."
            )
        return self.buckets or 1 + self.oov_buckets + len(self.vocabulary or ())


@dataclasses.dataclass(frozen=True)
class MultiValued(Categorical):
    """A categorical column that holds several values a row, a film's genres, say.

    Its raw form is one text, the values with the separator between them. Its ids are
    a feature of their own, named as the column: int32 (B, max_values), padded with -1.
    Values beyond `max_values` are left out, empty ones passed over; a row without any
    has the one id 0.

    Attributes:
        max_values: how many values of a row count: the first ones.
        separator: what stands between two values.

    Raises:
        ValueError: as `Categorical`, no value a row, or an empty separator.

    Examples:
        >>> genres = MultiValued("genres", vocabulary=("drama", "war"), max_values=3)
        >>> films = Schema("films", (), (), multivalued=(genres,))
        >>> Transform(films)({"genres": ["war|drama", ""]})["genres"].numpy()
        array([[ 3,  2, -1],
               [ 0, -1, -1]], dtype=int32)
    """

    max_values: int = 8
    separator: str = "|"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_values < 1 or not self.separator:
            raise ValueError(
                f"column {self.name}: expected max_values of 1 or more and a "
                f"separator, received {self.max_values} and {self.separator!r}."
            )


@dataclasses.dataclass(frozen=True)
class Cross:
    """An id column made of other id columns: their ids together, hashed.

    Attributes:
        columns: names of id columns: categorical ones or binned copies.
        buckets: number of ids; 0 is a row in which all of them are missing.

    Raises:
        ValueError: fewer than two columns or buckets, or one column twice.

    Examples:
        >>> Cross(("education", "occupation"), buckets=1000).name
        'education_x_occupation'
    """

    columns: tuple[str, ...]
    buckets: int

    def __post_init__(self) -> None:
        if len(set(self.columns)) < max(len(self.columns), 2) or self.buckets < 2:
            raise ValueError(
                "cross: expected at least 2 distinct columns and 2 buckets, received "
                f"{', '.join(self.columns)} and {self.buckets}."
            )

    @property
    def name(self) -> str:
        """The id column's name."""
        return "_x_".join(self.columns)


@dataclasses.dataclass(frozen=True)
class Label:
    r"""The label column.

    Attributes:
        name: the column's name.
        at_least: a number: the label is 1 where the value is at least that (a rating
            of 4, say).
        positive: texts: the label is 1 where the value is one of them. Without
            `positive` and `at_least` the value itself must be 0 or 1.

    Raises:
        ValueError: both `at_least` and `positive`.

    Examples:
        >>> from pathlib import Path
        >>> film = Categorical("film", buckets=99)
        >>> schema = Schema("films", (), (film,), Label("stars", at_least=4))
        >>> _ = Path("films.tsv").write_text("5\theat\n3\tantz\n")
        >>> (batch,) = read_text("films.tsv", schema, batch_size=2)
        >>> batch.label.numpy()
        array([1., 0.], dtype=float32)
    """

    name: str = "label"
    at_least: float | None = None
    positive: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.positive and self.at_least is not None:
            raise ValueError(
                f"label {self.name}: expected at most one of at_least and positive, "
                "received both."
            )
        _hold_floats(self, "at_least")

    @property
    def pattern(self) -> str:
        """The regular expression of a value in text; empty takes any but nothing."""
        if self.positive:
            return ""
        return "[01]" if self.at_least is None else FLOAT


def _hold_floats(column: Any, *names: str) -> None:
    """Makes floats of whole numbers, as reading JSON does: fingerprints are equal."""
    for name in names:
        value = getattr(column, name)
        if value is not None:
            is_tuple = isinstance(value, tuple)
            floats = tuple(map(float, value)) if is_tuple else float(value)
            object.__setattr__(column, name, floats)


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"{what}: expected one of {', '.join(choices)}, received {value!r}."
        )
