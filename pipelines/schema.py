"""The schema: which columns a data set has and how each becomes numbers.

One frozen, JSON-serialisable description that the readers, the transform, the
model and the exported SavedModel share. Its fingerprint tells whether two of
them speak of the same features.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
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

    Attributes:
        name: the column's name.
        dtype: how its text is read; an `int64` column takes no `1.0` or `1e5`.
        transform: `log1p` is log(1 + max(x, 0)); `none` keeps the value.
        binned: adds a categorical copy of the value in log-spaced bins to the
            ids, under the name `<name>_bin`.
    """

    name: str
    dtype: Literal["int64", "float64"] = "int64"
    transform: Literal["log1p", "none"] = "log1p"
    binned: bool = False

    def __post_init__(self) -> None:
        _check_choice(f"dtype of {self.name}", self.dtype, ("int64", "float64"))
        _check_choice(f"transform of {self.name}", self.transform, ("log1p", "none"))

    @property
    def pattern(self) -> str:
        """The regular expression of a present value in text."""
        return _INTEGER if self.dtype == "int64" else _FLOAT


@dataclasses.dataclass(frozen=True)
class Categorical:
    """A categorical column: hashed, or looked up in a vocabulary.

    Exactly one of `buckets`, `vocabulary` and `min_count` says how its ids are
    made. Id 0 is a missing value. Hashed: ids 1 … buckets - 1. Vocabulary: id 1
    is an unknown value, then 2 … by rank.

    Attributes:
        name: the column's name.
        buckets: number of ids when hashed, 0 otherwise.
        vocabulary: the known values, the most frequent first.
        min_count: the vocabulary is still to be counted: the values that occur
            at least this often in the training data
            (`pipelines.count_vocabularies`).
        pattern: the regular expression of a present value in text; empty takes
            anything.
    """

    name: str
    buckets: int = 0
    vocabulary: tuple[str, ...] | None = None
    min_count: int = 0
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
        if self.min_count < 0:
            raise ValueError(
                f"column {self.name}: expected min_count > 0, "
                f"received {self.min_count}."
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
    def num_ids(self) -> int:
        """How many ids the column has, the missing and unknown ones included."""
        if self.min_count:
            raise ValueError(
                f"column {self.name}: its vocabulary is not counted yet; call "
                "smelu_tf.pipelines.count_vocabularies(schema, data) first."
            )
        return self.buckets or 2 + len(self.vocabulary or ())


@dataclasses.dataclass(frozen=True)
class Label:
    """The label column.

    Attributes:
        name: the column's name.
        at_least: None: the value itself must be 0 or 1. A number: the label is 1
            where the value is at least that (a rating of 4, say).
    """

    name: str = "label"
    at_least: float | None = None

    @property
    def pattern(self) -> str:
        """The regular expression of a value in text."""
        return "[01]" if self.at_least is None else _FLOAT


@dataclasses.dataclass(frozen=True)
class Schema:
    """The columns of a data set and how they become features.

    Attributes:
        name: what to call it in messages.
        numeric: the numeric columns, in the order of the feature tensor.
        categorical: the categorical columns, in the order of the ids.
        label: the label column.
        weight: the example weight's column, or empty: every weight is 1.
        fields: the names of a text line's fields in their order; a field that no
            column names is skipped. Empty: label, weight, numeric, categorical.
        delimiter: what separates the fields of a line: one ASCII character.
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
    weight: str = ""
    fields: tuple[str, ...] = ()
    delimiter: str = "\t"
    missing: str = ""
    header: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        named = [self.label.name, *([self.weight] if self.weight else [])]
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
        if (
            len(self.delimiter) != 1
            or not self.delimiter.isascii()
            or self.delimiter in "\r\n\0"
        ):
            raise ValueError(
                f"schema {self.name}: expected a delimiter of one ASCII character that "
                f"ends no line, received {self.delimiter!r}."
            )
        self._check_names()
        if not self.numeric and not self.categorical:
            raise ValueError(
                f"schema {self.name}: expected at least one column, received none."
            )

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

    @property
    def columns(self) -> tuple[Numeric | Categorical, ...]:
        """The feature columns: the numeric ones, then the categorical ones."""
        return (*self.numeric, *self.categorical)

    @property
    def binned(self) -> tuple[Numeric, ...]:
        """The numeric columns that have a binned copy among the ids."""
        return tuple(column for column in self.numeric if column.binned)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The names of the id columns: categorical ones, then binned copies."""
        return (
            *(column.name for column in self.categorical),
            *(f"{column.name}_bin" for column in self.binned),
        )

    @property
    def num_ids(self) -> tuple[int, ...]:
        """The number of ids of each id column (missing and unknown included)."""
        num_bins = len(BIN_BOUNDARIES) + 2  # missing, and below the first boundary
        return (
            *(column.num_ids for column in self.categorical),
            *(num_bins for _ in self.binned),
        )

    @property
    def is_counted(self) -> bool:
        """Whether no vocabulary is left to be counted."""
        return not any(column.min_count for column in self.categorical)

    @property
    def feature_fields(self) -> tuple[str, ...]:
        """The fields of a line to be scored: all but the label and the weight."""
        return tuple(
            name for name in self.fields if name not in (self.label.name, self.weight)
        )

    def pattern(self, field: str) -> str:
        """The regular expression that a field's text matches in full."""
        if field == self.label.name:
            return self.label.pattern
        if field == self.weight:
            return _NON_NEGATIVE
        for column in self.columns:
            if column.name == field and column.pattern:
                missing = f"|{re.escape(self.missing)}" if self.missing else ""
                return f"(?:{column.pattern}{missing})?"
        return f"[^{re.escape(self.delimiter)}]*"

    def fingerprint(self) -> str:
        """A short hash of everything that the schema says, its name excepted."""
        content = {k: v for k, v in self.to_dict().items() if k != "name"}
        text = json.dumps(content, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

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


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"{what}: expected one of {', '.join(choices)}, received {value!r}."
        )
