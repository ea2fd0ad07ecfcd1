"""The schema: which columns a data set has and how each becomes numbers.

One frozen, JSON-serialisable description that the readers, the transform, the
model and the exported SavedModel share. Its fingerprint tells whether two of
them speak of the same features.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any, Literal

from .dataclass_json import from_json_values, load_json, parse_json

_INTEGER = r"-?[0-9]{1,18}"  # always fits into int64
# Finite in float64, if not in float32.
_FLOAT = r"-?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,2})?"
_NON_NEGATIVE = _FLOAT.removeprefix("-?")

# Names that features and signatures use themselves.
_RESERVED = ("ids", "numeric", "self")

# Boundaries of the log-spaced bins: every integer up to 4, then steps of 30 %.
BIN_BOUNDARIES: tuple[float, ...] = tuple(
    sorted({float(round(1.3**k)) for k in range(80)} | {0.0})
)


@dataclasses.dataclass(frozen=True)
class Numeric:
    """A numeric column.

    A value is clipped, transformed and standardized, in this order. A missing one is
    `fill`, and its flag is 1.

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

    @property
    def pattern(self) -> str:
        """The regular expression of a present value in text."""
        return _INTEGER if self.dtype == "int64" else _FLOAT

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
        """How many ids the column has, the missing and unknown ones included."""
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
    """The label column.

    Attributes:
        name: the column's name.
        at_least: a number: the label is 1 where the value is at least that (a rating
            of 4, say).
        positive: texts: the label is 1 where the value is one of them. Without
            `positive` and `at_least` the value itself must be 0 or 1.
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

    @property
    def pattern(self) -> str:
        """The regular expression of a value in text; empty takes any but nothing."""
        if self.positive:
            return ""
        return "[01]" if self.at_least is None else _FLOAT


@dataclasses.dataclass(frozen=True)
class Schema:
    """The columns of a data set and how they become features.

    Attributes:
        name: what to call it in messages.
        numeric: the numeric columns, in the order of the feature tensor.
        categorical: the categorical columns, in the order of the ids.
        label: the label column.
        multivalued: the columns that hold several values a row.
        crosses: id columns made of others.
        weight: the example weight's column, or empty: every weight is 1.
        time: the column that holds a row's time, a number that grows (seconds, say),
            or empty. It is no feature; it says in which order to train.
        fields: the names of a text line's fields in their order; a field that no
            column names is skipped. Empty: label, weight, time, numeric, categorical,
            multivalued.
        delimiter: what separates the fields of a line: one ASCII character.
        quoted: whether a field may stand in double quotes, those in it doubled (CSV).
            No field may hold an end of line.
        strip: whether spaces around a field are taken off.
        missing: the text of a missing value besides the empty one ("?", say).
        header: whether the first line of each text file names its fields.
        seed: the seed of the hashes.

    Example:
        >>> Schema("ads", (Numeric("age"),), (Categorical("site", buckets=100),)).fields
        ('label', 'age', 'site')
    """

    name: str
    numeric: tuple[Numeric, ...]
    categorical: tuple[Categorical, ...]
    label: Label = Label()
    multivalued: tuple[MultiValued, ...] = ()
    crosses: tuple[Cross, ...] = ()
    weight: str = ""
    time: str = ""
    fields: tuple[str, ...] = ()
    delimiter: str = "\t"
    quoted: bool = False
    strip: bool = False
    missing: str = ""
    header: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        named = [name for name in (self.label.name, self.weight, self.time) if name]
        named += [column.name for column in self.columns]
        if not self.fields:
            object.__setattr__(self, "fields", tuple(named))
        for what, names in (
            ("columns", named),
            ("fields", self.fields),
            ("id columns", self.id_columns),
        ):
            repeated = sorted({name for name in names if list(names).count(name) > 1})
            if repeated:
                raise ValueError(
                    f"schema {self.name}: expected distinct {what}, "
                    f"received {', '.join(repeated)} more than once."
                )
        absent = [name for name in named if name not in self.fields]
        if absent:
            raise ValueError(
                f"schema {self.name}: expected every column among the fields, "
                f"received none named {', '.join(absent)}."
            )
        if not self.columns:
            raise ValueError(
                f"schema {self.name}: expected at least one column, received none."
            )
        self._check_names()
        self._check_crosses()
        self._check_delimiter()

    def _check_names(self) -> None:
        """Feature columns are arguments of the exported model's signature."""
        seen: dict[str, str] = {}
        for column in self.columns:
            name = column.name
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in _RESERVED:
                raise ValueError(
                    f"schema {self.name}: expected column names of letters, digits and "
                    f"underscores that start with a letter, {', '.join(_RESERVED)} "
                    f"excepted, received {name!r}."
                )
            if seen.setdefault(name.lower(), name) != name:
                raise ValueError(
                    f"schema {self.name}: expected column names that differ by more "
                    f"than case, received {seen[name.lower()]} and {name}."
                )

    def _check_crosses(self) -> None:
        own = self.id_columns[: len(self.id_columns) - len(self.crosses)]
        for cross in self.crosses:
            unknown = [name for name in cross.columns if name not in own]
            if unknown:
                raise ValueError(
                    f"cross {cross.name}: expected id columns ({', '.join(own)}), "
                    f"received {', '.join(unknown)}."
                )

    def _check_delimiter(self) -> None:
        delimiter = self.delimiter
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in "\r\n\0":
            raise ValueError(
                f"schema {self.name}: expected a delimiter of one ASCII character that "
                f"ends no line, received {delimiter!r}."
            )
        if self.quoted and (delimiter == '"' or self.strip):
            raise ValueError(
                f"schema {self.name}: expected quoted fields without strip, and a "
                f"delimiter that is no quote, received strip={self.strip} and the "
                f"delimiter {delimiter!r}."
            )
        if self.strip and delimiter == " ":
            raise ValueError(
                f"schema {self.name}: expected a delimiter other than the spaces that "
                "strip takes off, received a space."
            )

    @property
    def columns(self) -> tuple[Numeric | Categorical, ...]:
        """The feature columns: numeric, categorical, multi-valued ones."""
        return (*self.numeric, *self.categorical, *self.multivalued)

    @property
    def text_columns(self) -> tuple[Categorical, ...]:
        """The columns whose raw form is text: categorical, multi-valued ones."""
        return (*self.categorical, *self.multivalued)

    @property
    def binned(self) -> tuple[Numeric, ...]:
        """The numeric columns that have a binned copy among the ids."""
        return tuple(column for column in self.numeric if column.binned)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The names of the id columns: categorical ones, binned copies, crosses."""
        return (
            *(column.name for column in self.categorical),
            *(f"{column.name}_bin" for column in self.binned),
            *(cross.name for cross in self.crosses),
        )

    @property
    def num_ids(self) -> tuple[int, ...]:
        """The number of ids of each id column (missing and unknown included)."""
        return (
            *(column.num_ids for column in self.categorical),
            # Missing, and below the first boundary.
            *(len(column.bin_boundaries) + 2 for column in self.binned),
            *(cross.buckets for cross in self.crosses),
        )

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be counted or measured on training data."""
        return all(column.is_complete for column in self.columns)

    @property
    def feature_fields(self) -> tuple[str, ...]:
        """The fields of a line to be scored: all but the label and the weight."""
        return tuple(
            name for name in self.fields if name not in (self.label.name, self.weight)
        )

    def pattern(self, field: str) -> str:
        """The regular expression that a field's text matches in full.

        It says nothing of quotes: those around a field, and double ones in it.
        """
        if field == self.weight:
            return _NON_NEGATIVE
        if field == self.time:
            return _FLOAT
        others = f"[^{re.escape(self.delimiter)}{self.quoted * chr(34)}]"
        if field == self.label.name:
            return self.label.pattern or f"{others}+"
        for column in self.columns:
            if column.name == field and column.pattern:
                missing = f"|{re.escape(self.missing)}" if self.missing else ""
                return f"(?:{column.pattern}{missing})?"
        return f"{others}*"

    def fingerprint(self) -> str:
        """A short hash of everything that the schema says, its name excepted.

        What is as by default is left out, so that a new setting changes no hash.
        """
        text = json.dumps(
            _settings(dataclasses.replace(self, name="")),
            sort_keys=True,
            ensure_ascii=True,
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def difference(self, other: Schema) -> str:
        """What another schema has otherwise, in a phrase; empty: the same fingerprint.

        Example:
            >>> ours = Schema("a", (), (Categorical("site", buckets=100),))
            >>> theirs = Schema("b", (), (Categorical("site", buckets=50),))
            >>> ours.difference(theirs)
            'site.buckets (100, not 50)'
        """
        found = []
        for field in dataclasses.fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name == "name" or ours == theirs:
                continue
            if field.name not in ("numeric", "categorical", "multivalued"):
                found.append(_unequal(field.name, ours, theirs))
                continue
            names = [[column.name for column in columns] for columns in (ours, theirs)]
            if names[0] != names[1]:
                found.append(_unequal(f"the {field.name} columns", *names))
                continue
            for mine, yours in zip(ours, theirs, strict=True):
                found += [
                    _unequal(f"{mine.name}.{f.name}", *values)
                    for f in dataclasses.fields(mine)
                    if (values := (getattr(mine, f.name), getattr(yours, f.name)))
                    and values[0] != values[1]
                ]
        return ", ".join(found[:3]) + (
            f" and {n} more" if (n := len(found) - 3) > 0 else ""
        )

    def to_dict(self) -> dict[str, Any]:
        """The schema as plain, JSON-ready values."""
        return {"version": 1, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """The schema as JSON text."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schema:
        """The schema of `to_dict`'s values; a ValueError names a wrong key or type."""
        version = values.get("version")
        if version != 1:
            raise ValueError(f"schema: expected version 1, received {version!r}.")
        rest = {key: value for key, value in values.items() if key != "version"}
        return from_json_values(cls, rest, "schema")

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """The schema of `to_json`'s text."""
        return cls.from_dict(parse_json(text, "schema"))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Schema:
        """The schema of a JSON file; a ValueError names the file."""
        return load_json(path, cls.from_dict)


def _settings(value: Any) -> Any:
    """What a dataclass says beyond its defaults, as JSON-ready values."""
    if isinstance(value, tuple):
        return [_settings(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    return {
        field.name: _settings(own)
        for field in dataclasses.fields(value)
        if (own := getattr(value, field.name)) != field.default
    }


def _unequal(what: str, ours: Any, theirs: Any) -> str:
    """Two unequal settings, shown if they are short."""
    shown = [", ".join(v) if isinstance(v, list) else repr(v) for v in (ours, theirs)]
    if sum(map(len, shown)) > 80:
        return what
    return f"{what} ({shown[0]}, not {shown[1]})"


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"{what}: expected one of {', '.join(choices)}, received {value!r}."
        )
