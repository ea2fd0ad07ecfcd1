"""The embedding tables of a schema's columns: how wide, and which stand alone."""

from __future__ import annotations

import dataclasses
import difflib
import re

from smelu_tf.pipelines import Schema

from .model_config import WideDeepConfig


def embedding_dims(schema: Schema, config: WideDeepConfig) -> dict[str, int]:
    """The width of each column's embedding, id columns first, then multi-valued ones.

    Raises:
        ValueError: an entry of `column_dims` is malformed, or names a column that is
            not there, or comes twice.

    Examples:
        >>> columns = Categorical("site", buckets=5000), Categorical("kind", buckets=9)
        >>> schema = Schema("ads", (), columns)
        >>> config = WideDeepConfig(embedding_dim=8, column_dims=("site:32",))
        >>> embedding_dims(schema, config)
        {'site': 32, 'kind': 8}
    """
    columns = (*schema.id_columns, *(column.name for column in schema.multivalued))
    dims: dict[str, int] = {}
    for text in config.column_dims:
        match = re.fullmatch(r"(.*):([1-9][0-9]*)", text)
        if not match:
            raise ValueError(
                "model.column_dims: expected a column and a width of 1 or more, as "
                f"{(*columns, 'C1')[0]}:32, received {text!r}."
            )
        name, width = match[1], int(match[2])
        if name not in columns:
            nearest = difflib.get_close_matches(name, columns, n=1, cutoff=0.0)
            raise ValueError(
                f"model.column_dims: expected a column with ids of {schema.name}, "
                f"received {text!r}"
                + "".join(f"; the nearest is {other}" for other in nearest)
                + "."
            )
        if name in dims:
            raise ValueError(
                f"model.column_dims: expected {name} once, received {text!r} as well."
            )
        dims[name] = width
    return {name: dims.get(name, config.embedding_dim) for name in columns}


def ids_by_column(schema: Schema) -> dict[str, int]:
    """How many ids each column has, id columns first, then multi-valued ones."""
    single = zip(schema.id_columns, schema.num_ids, strict=True)
    return {**dict(single), **{c.name: c.num_ids for c in schema.multivalued}}


def values_by_column(schema: Schema) -> dict[str, int]:
    """How many values a row of each column has at most, in the same order."""
    several = {column.name: column.max_values for column in schema.multivalued}
    return {**dict.fromkeys(schema.id_columns, 1), **several}


@dataclasses.dataclass(frozen=True)
class LargeTable:
    """A column's table that stands alone, on a TPU's embedding hardware.

    Attributes:
        part: `wide` or `deep`.
        column: whose.
        num_ids: its rows.
        dim: their width.
        max_values: values a row of the column; 1 unless it is multi-valued.
    """

    part: str
    column: str
    num_ids: int
    dim: int
    max_values: int = 1

    @property
    def name(self) -> str:
        """Its name, and that of its rows among a batch's features: `deep/C1`."""
        return f"{self.part}/{self.column}"


def large_tables(schema: Schema, config: WideDeepConfig) -> tuple[LargeTable, ...]:
    """The tables that stand alone: with `tables="tpu"`, those of columns of many ids.

    A column with more than `tpu_table_ids` ids has one for the wide part, of width 1,
    and one for the deep part. All other columns, and the wide part's crosses, are in
    stacked tables.

    Raises:
        ValueError: as `embedding_dims`.

    Examples:
        >>> columns = Categorical("site", buckets=5000), Categorical("kind", buckets=9)
        >>> schema = Schema("ads", (), columns)
        >>> config = WideDeepConfig(tables="tpu", tpu_table_ids=1000)
        >>> [table.name for table in large_tables(schema, config)]
        ['wide/site', 'deep/site']
    """
    if config.tables != "tpu":
        return ()
    dims = embedding_dims(schema, config)
    num_ids, num_values = ids_by_column(schema), values_by_column(schema)
    parts = [("wide", dict.fromkeys(dims, 1))] if config.wide else []
    parts += [("deep", dims)] if config.deep else []
    return tuple(
        LargeTable(part, column, num_ids[column], dim, num_values[column])
        for part, widths in parts
        for column, dim in widths.items()
        if num_ids[column] > config.tpu_table_ids
    )


def large_columns(schema: Schema, config: WideDeepConfig) -> frozenset[str]:
    """The columns whose tables stand alone."""
    return frozenset(table.column for table in large_tables(schema, config))
