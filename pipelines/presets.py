"""Schemas of well-known public data sets."""

from __future__ import annotations

import os

from .schema import Categorical, Numeric, Schema

CRITEO = Schema(
    name="criteo",
    numeric=tuple(Numeric(f"I{i}", binned=True) for i in range(1, 14)),
    categorical=tuple(
        Categorical(f"C{i}", min_count=4, pattern="[0-9a-f]{8}") for i in range(1, 27)
    ),
)
"""Criteo's display advertising logs: label, 13 integers, 26 hexadecimal ids.

The default for small data: vocabularies of the values that occur at least four
times, to be counted (`complete_schema`) on the training data; the integers are
logarithms and, binned, ids besides.
"""

SCHEMAS: dict[str, Schema] = {"criteo": CRITEO}
"""The schemas by the names that a configuration knows them by."""


def named_schema(name: str) -> Schema:
    """The schema of a preset's name or of a JSON file.

    Raises:
        ValueError: there is neither, or the file holds no schema.
    """
    if name in SCHEMAS:
        return SCHEMAS[name]
    if not os.path.isfile(name):
        raise ValueError(
            f"schema: expected a preset ({', '.join(SCHEMAS)}) or the path of a "
            f"schema's JSON file, received {name!r}."
        )
    return Schema.load(name)
