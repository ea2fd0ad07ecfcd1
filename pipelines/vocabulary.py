"""Counting vocabularies: which values of a categorical column get an id."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .schema import Categorical, Schema
from .text import BadRows, read_raw_text
from .transform import text_values


def count_vocabularies(
    schema: Schema, data: Mapping[str, Any] | Iterable[Mapping[str, Any]]
) -> Schema:
    """The schema with every vocabulary counted on training data.

    A column with `min_count` gets the values that occur at least that often, the
    most frequent first, equal counts in the order of their text.

    Args:
        schema: a schema; one whose vocabularies are all counted comes back as it is.
        data: raw columns by name (a dict of arrays or a DataFrame), or an iterable
            of them, as `read_raw_text(…).as_numpy_iterator()` gives.

    Raises:
        ValueError: a value is not UTF-8 text, or a column is absent.

    Example:
        >>> schema = Schema("ads", (), (Categorical("site", min_count=2),))
        >>> counted = count_vocabularies(schema, {"site": ["b", "a", "a", "c", "b"]})
        >>> counted.categorical[0].vocabulary
        ('a', 'b')
    """
    if schema.is_counted:
        return schema
    whole = isinstance(data, Mapping) or hasattr(data, "columns")
    counters: dict[str, Counter[bytes]] = {
        column.name: Counter() for column in schema.categorical if column.min_count
    }
    chunks: Iterable[Any] = [data] if whole else data
    for chunk in chunks:
        for name, counter in counters.items():
            if name not in chunk:
                raise ValueError(f"expected a column {name}, received none.")
            counter.update(text_values(chunk[name], name).tolist())
    return dataclasses.replace(
        schema,
        categorical=tuple(
            dataclasses.replace(
                column,
                min_count=0,
                vocabulary=_ranked(counters[column.name], column.min_count),
            )
            if column.min_count
            else column
            for column in schema.categorical
        ),
    )


def count_text_vocabularies(
    files: Sequence[str], schema: Schema, max_bad_rows: int = 0
) -> Schema:
    """The schema with every vocabulary counted on text files, in one pass.

    Args:
        files: their paths.
        schema: as `count_vocabularies` takes it.
        max_bad_rows: how many rows that do not parse are passed over, in silence: the
            pass that reads the rows for good tells of them.

    Raises:
        ValueError: as `read_raw_text`. A bad row too many is TensorFlow's error; inside
            `with bad_row_errors():` a `BadRowError`.
    """
    if schema.is_counted:
        return schema
    quiet = BadRows(schema, max_bad_rows, quote=False)
    chunks = read_raw_text(files, schema, bad_rows=quiet)
    return count_vocabularies(schema, chunks.as_numpy_iterator())


def is_counted_from(counted: Schema, schema: Schema) -> bool:
    """Whether a schema is another one, but for names and for vocabularies counted."""
    if len(counted.categorical) != len(schema.categorical):
        return False
    categorical = tuple(
        ours
        if ours.min_count and theirs == dataclasses.replace(ours, **_counted(theirs))
        else theirs
        for ours, theirs in zip(schema.categorical, counted.categorical, strict=True)
    )
    return (
        dataclasses.replace(counted, name=schema.name, categorical=categorical)
        == schema
    )


def _counted(column: Categorical) -> dict[str, Any]:
    return {"min_count": 0, "vocabulary": column.vocabulary or ()}


def _ranked(counter: Counter[bytes], min_count: int) -> tuple[str, ...]:
    kept = [(-n, value) for value, n in counter.items() if n >= min_count and value]
    return tuple(value.decode("utf-8") for _, value in sorted(kept))
