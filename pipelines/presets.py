"""Schemas of well-known public data sets."""

from __future__ import annotations

import dataclasses
import os

from .columns import Categorical, Cross, Label, MultiValued, Numeric
from .schema import Schema

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

CRITEO_1TB = dataclasses.replace(
    CRITEO,
    name="criteo_1tb",
    categorical=tuple(
        Categorical(column.name, buckets=1 << 20, pattern=column.pattern)
        for column in CRITEO.categorical
    ),
)
"""The same columns hashed, for data that nobody wants to read twice: Criteo's 24 days.

The files day_0 … day_23 have the format of the smaller set, plain or as .gz.
"""

_AVAZU_COLUMNS = (
    "C1",
    "banner_pos",
    "site_id",
    "site_domain",
    "site_category",
    "app_id",
    "app_domain",
    "app_category",
    "device_id",
    "device_ip",
    "device_model",
    "device_type",
    "device_conn_type",
    *(f"C{i}" for i in range(14, 22)),
)

AVAZU = Schema(
    name="avazu",
    numeric=(),
    categorical=tuple(Categorical(name, min_count=4) for name in _AVAZU_COLUMNS),
    label=Label("click"),
    time="hour",
    fields=("id", "click", "hour", *_AVAZU_COLUMNS),
    delimiter=",",
    header=True,
)
"""Avazu's mobile ads, Kaggle's train.csv: ids alone; `hour` (YYMMDDHH) is the time."""

MOVIELENS = Schema(
    name="movielens",
    numeric=(Numeric("age", transform="none", standardize=True, binned=True),),
    categorical=(
        Categorical("user_id", min_count=2),
        Categorical("item_id", min_count=2),
        Categorical("gender", min_count=1),
        Categorical("occupation", min_count=1),
    ),
    label=Label("rating", at_least=4),
    multivalued=(MultiValued("genres", min_count=1, max_values=6),),
    time="timestamp",
    fields=(
        "user_id",
        "item_id",
        "age",
        "gender",
        "occupation",
        "genres",
        "timestamp",
        "rating",
    ),
    header=True,
)
"""MovieLens-100K or -1M, its tables joined by `join_movielens`: is a rating 4 or 5?"""

ADULT = Schema(
    name="adult",
    numeric=(
        Numeric("age", binned=True),
        Numeric("education_num", transform="none", standardize=True),
        Numeric("capital_gain"),
        Numeric("capital_loss"),
        Numeric("hours_per_week", transform="none", standardize=True, binned=True),
    ),
    categorical=tuple(
        Categorical(name, min_count=1)
        for name in (
            "workclass",
            "education",
            "marital_status",
            "occupation",
            "relationship",
            "race",
            "sex",
            "native_country",
        )
    ),
    label=Label("income", positive=(">50K", ">50K.")),
    crosses=(Cross(("education", "occupation"), 1000),),
    fields=(
        "age",
        "workclass",
        "fnlwgt",
        "education",
        "education_num",
        "marital_status",
        "occupation",
        "relationship",
        "race",
        "sex",
        "capital_gain",
        "capital_loss",
        "hours_per_week",
        "native_country",
        "income",
    ),
    delimiter=",",
    strip=True,
    missing="?",
)
"""UCI's census income, adult.data and adult.test, of the wide-and-deep tutorial.

Both files end in an empty line, and adult.test begins with a comment: `max_bad_rows=2`.
The survey's weight, fnlwgt, is not read.
"""

SCHEMAS: dict[str, Schema] = {
    schema.name: schema for schema in (CRITEO, CRITEO_1TB, AVAZU, MOVIELENS, ADULT)
}
"""The schemas by the names that a configuration knows them by."""


def named_schema(name: str) -> Schema:
    """The schema of a preset's name or of a JSON file.

    Args:
        name: a key of `SCHEMAS`, or the path of a schema's JSON file.

    Returns:
        The schema; a preset is not complete where vocabularies are to be counted.

    Raises:
        ValueError: there is neither, or the file holds no schema.

    Examples:
        >>> named_schema("criteo").fields[:4]
        ('label', 'I1', 'I2', 'I3')
    """
    if name in SCHEMAS:
        return SCHEMAS[name]
    if not os.path.isfile(name):
        raise ValueError(
            f"schema: expected a preset ({', '.join(SCHEMAS)}) or the path of a "
            f"schema's JSON file, received {name!r}."
        )
    return Schema.load(name)
