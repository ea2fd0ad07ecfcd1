"""Completing a schema: what it leaves to be learned from the training data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from .columns import Categorical, Numeric
from .moments import Moments
from .raw_values import number_values, text_values
from .schema import Schema
from .transform import transformed
from .vocabulary import ValueCounter


def complete_schema(
    schema: Schema, data: Mapping[str, Any] | Iterable[Mapping[str, Any]]
) -> Schema:
    """The schema with every vocabulary counted and every mean measured.

    A column with `min_count` gets the values that occur at least that often, the
    most frequent first, equal counts in the order of their text. A column with
    `standardize` gets mean and standard deviation of its values, clipped and
    transformed.

    Args:
        schema: a schema; a complete one comes back as it is.
        data: raw columns by name (a dict of arrays or a DataFrame), or an iterable
            of them, as `read_raw(…).as_numpy_iterator()` gives: memory is bounded.

    Returns:
        The complete schema.

    Raises:
        ValueError: a value is not UTF-8 text or no number, or a column is absent.

    Examples:
        >>> schema = Schema("ads", (), (Categorical("site", min_count=2),))
        >>> complete = complete_schema(schema, {"site": ["b", "a", "a", "c", "b"]})
        >>> complete.categorical[0].vocabulary
        ('a', 'b')
    """
    if schema.is_complete:
        return schema
    tally = SchemaTally(schema)
    whole = isinstance(data, Mapping) or hasattr(data, "columns")
    chunks: Iterable[Any] = [data] if whole else data
    for chunk in chunks:
        tally.add(chunk)
    return tally.completed()


class SchemaTally:
    """Counts and measures what a schema lacks, a chunk of raw columns at a time.

    Args:
        schema: the incomplete schema.

    Attributes:
        counter: of the columns whose vocabulary is counted.
        moments: of the columns whose mean is measured, in the schema's order.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        counted = [column for column in schema.text_columns if not column.is_complete]
        self._counted = {column.name: column for column in counted}
        self.counter = ValueCounter(self._counted)
        self._measured = [column for column in schema.numeric if not column.is_complete]
        self.moments = Moments(len(self._measured))

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Adds a chunk of raw columns."""
        for name in (*self._counted, *(column.name for column in self._measured)):
            if name not in chunk:
                raise ValueError(f"expected a column {name}, received none.")
        for name, column in self._counted.items():
            self.counter.add(name, _single_values(chunk[name], column))
        if self._measured:
            columns = [_transformed(column, chunk) for column in self._measured]
            self.moments.add(np.stack(columns, axis=1))

    def completed(self) -> Schema:
        """The complete schema."""
        places = {column.name: i for i, column in enumerate(self._measured)}

        def complete(column: Any) -> Any:
            if column.is_complete:
                return column
            if isinstance(column, Numeric):
                mean, deviation = self.moments.rounded(places[column.name])
                return dataclasses.replace(
                    column, mean=mean, standard_deviation=deviation
                )
            vocabulary = self.counter.most_frequent(
                column.name, column.min_count, column.max_vocabulary
            )
            return dataclasses.replace(column, min_count=0, vocabulary=vocabulary)

        return dataclasses.replace(
            self._schema,
            numeric=tuple(map(complete, self._schema.numeric)),
            categorical=tuple(map(complete, self._schema.categorical)),
            multivalued=tuple(map(complete, self._schema.multivalued)),
        )


def completion_difference(complete: Schema, schema: Schema) -> str:
    """What a complete schema has otherwise than the schema that it should complete.

    What is learned from data does not count, nor does the name.

    Args:
        complete: a complete schema.
        schema: the schema that it should be a completion of.

    Returns:
        A phrase, as `Schema.difference`; empty where it is a completion of the schema.

    Examples:
        >>> schema = Schema("ads", (), (Categorical("site", min_count=2),))
        >>> complete = complete_schema(schema, {"site": ["b", "a", "a", "c", "b"]})
        >>> completion_difference(complete, schema)
        ''
        >>> completion_difference(complete, dataclasses.replace(schema, seed=1))
        'seed (1, not 0)'
    """

    def unlearned(own: Any, other: Any) -> Any:
        if other.is_complete or type(own) is not type(other):
            return own
        if isinstance(own, Numeric):
            return dataclasses.replace(own, mean=None, standard_deviation=None)
        if own.vocabulary is None:
            return own
        return dataclasses.replace(own, vocabulary=None, min_count=other.min_count)

    def columns(kind: str) -> tuple[Any, ...]:
        own, other = getattr(complete, kind), getattr(schema, kind)
        if [c.name for c in own] != [c.name for c in other]:
            return own
        return tuple(map(unlearned, own, other))

    kinds = ("numeric", "categorical", "multivalued")
    changes: dict[str, Any] = {kind: columns(kind) for kind in kinds}
    return schema.difference(dataclasses.replace(complete, **changes))


def _single_values(values: Any, column: Categorical) -> list[bytes]:
    """The values of a column's rows, those of a multi-valued one apart."""
    text = text_values(values, column).tolist()
    separator = getattr(column, "separator", None)
    if separator is None:
        return text
    between = separator.encode()
    return [value for row in text for value in row.split(between)]


def _transformed(column: Numeric, chunk: Mapping[str, Any]) -> np.ndarray:
    values = number_values(chunk[column.name], column.name)
    finite = np.isfinite(values)
    # By TensorFlow, as the transform does it.
    result = transformed(column, tf.constant(np.where(finite, values, 0.0)))
    return np.where(finite, result.numpy(), np.nan)
