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
from typing import Any

from .columns import (
    FLOAT,
    NON_NEGATIVE,
    Categorical,
    Cross,
    Label,
    MultiValued,
    Numeric,
)
from .dataclass_json import from_json_values, load_json, parse_json

# Names that features and signatures use themselves.
_RESERVED = ("ids", "numeric", "self")


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

    Raises:
        ValueError: no column, names that are repeated or that a signature cannot have,
            fields without a column's, a cross of unknown columns, or a delimiter that
            cannot be one.

    Examples:
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
        several = [column.name for column in self.multivalued]
        for what, names in (
            ("columns", named),
            ("fields", self.fields),
            ("id columns", self.id_columns),
            ("id columns and multi-valued ones", (*self.id_columns, *several)),
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
        """The number of ids of each id column (missing and unknown included).

        Raises:
            ValueError: a vocabulary is not counted yet.
        """
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
            return NON_NEGATIVE
        if field == self.time:
            return FLOAT
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
        """What another schema has otherwise.

        Args:
            other: the other schema.

        Returns:
            A phrase of at most three differences; empty: the same fingerprint.

        Examples:
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
        """The schema of `to_dict`'s values.

        Args:
            values: plain values by key; keys with a default may be absent.

        Returns:
            The schema.

        Raises:
            ValueError: another version, a wrong key or type, or no schema; names it.
        """
        version = values.get("version")
        if version != 1:
            raise ValueError(f"schema: expected version 1, received {version!r}.")
        rest = {key: value for key, value in values.items() if key != "version"}
        return from_json_values(cls, rest, "schema")

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """The schema of `to_json`'s text; a ValueError as `from_dict`.

        Examples:
            >>> Schema.from_json(CRITEO.to_json()) == CRITEO
            True
        """
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
