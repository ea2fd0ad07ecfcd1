"""Which columns stand where in a packed row: each in its narrowest type."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from .schema import Schema


@dataclasses.dataclass(frozen=True)
class IdSlot:
    """A place for ids in a packed row: a column's, or one of a multi-valued column.

    Attributes:
        name: `site`, or `genres[0]`.
        column: the column's name.
        num_values: how many different values it may hold.
        shift: what is added to an id: 1 where there is padding, -1, else 0.
    """

    name: str
    column: str
    num_values: int
    shift: int


@dataclasses.dataclass(frozen=True)
class Section:
    """The columns of a block that have one type.

    In a block of R rows column j of the section starts at byte
    32 + R * (position + j * size of the type); its R values follow one another.

    Attributes:
        name: what the columns are.
        dtype: the type of their values, little-endian; NaN is a missing number.
        columns: their names; there may be none.
        position: the bytes of a row in the sections before this one.
    """

    name: Literal["weight", "numeric", "ids32", "ids16", "ids8", "label"]
    dtype: Literal["float32", "int32", "uint16", "uint8"]
    columns: tuple[str, ...]
    position: int


def layout_of(schema: Schema) -> tuple[Section, ...]:
    """Which columns stand where: the widest types first, so that all are aligned."""
    ids: dict[str, list[str]] = {"ids32": [], "ids16": [], "ids8": []}
    for slot in schema_slots(schema):
        bits = (
            8 if slot.num_values <= 1 << 8 else 16 if slot.num_values <= 1 << 16 else 32
        )
        ids[f"ids{bits}"].append(slot.name)
    sections: list[Section] = []
    position = 0
    for name, dtype, columns in (
        ("weight", "float32", [schema.weight] if schema.weight else []),
        ("numeric", "float32", [column.name for column in schema.numeric]),
        ("ids32", "int32", ids["ids32"]),
        ("ids16", "uint16", ids["ids16"]),
        ("ids8", "uint8", ids["ids8"]),
        ("label", "uint8", [schema.label.name]),
    ):
        sections.append(Section(name, dtype, tuple(columns), position))  # type: ignore[arg-type]
        position += len(columns) * np.dtype(dtype).itemsize
    return tuple(sections)


def row_dtype(layout: tuple[Section, ...]) -> np.dtype:
    """One row: a field a section, without gaps."""
    little = {s.name: np.dtype(s.dtype).newbyteorder("<") for s in layout}
    return np.dtype([(s.name, little[s.name], (len(s.columns),)) for s in layout])


def id_sections(layout: tuple[Section, ...]) -> list[Section]:
    """The sections of ids."""
    return [section for section in layout if section.name.startswith("ids")]


def id_slots(schema: Schema, layout: tuple[Section, ...]) -> list[IdSlot]:
    """What the ids of a block are, in the order of their places."""
    slots = {slot.name: slot for slot in schema_slots(schema)}
    names = [name for section in id_sections(layout) for name in section.columns]
    return [slots[name] for name in names]


def schema_slots(schema: Schema) -> list[IdSlot]:
    """What the ids of a row are, in the schema's order."""
    pairs = zip(schema.id_columns, schema.num_ids, strict=True)
    return [IdSlot(name, name, num_ids, 0) for name, num_ids in pairs] + [
        IdSlot(f"{c.name}[{i}]", c.name, c.num_ids + 1, 1)
        for c in schema.multivalued
        for i in range(c.max_values)
    ]
