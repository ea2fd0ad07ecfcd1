"""Schemas of well-known public data sets."""

from __future__ import annotations

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
times, to be counted (`count_vocabularies`) on the training data; the integers are
logarithms and, binned, ids besides.
"""

SCHEMAS: dict[str, Schema] = {"criteo": CRITEO}
"""The schemas by the names that a configuration knows them by."""
