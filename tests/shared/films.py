"""Rows with a column of every kind, and files of them in every format."""

import csv
import dataclasses
import gzip

import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow as tf

from smelu_tf.pipelines import Categorical, Cross, Label, MultiValued, Numeric, Schema

SCHEMA = Schema(
    "films",
    numeric=(
        Numeric("age", "int64", "none", standardize=True, binned=True),
        Numeric("price", "float64", clip=(0.0, 50.0), fill=-1.0),
    ),
    categorical=(
        Categorical("user", min_count=3, oov_buckets=4),
        Categorical("site", buckets=50, pattern="[a-z]{1,6}"),
    ),
    label=Label("rating", at_least=4),
    multivalued=(MultiValued("genres", min_count=1, max_values=3),),
    crosses=(Cross(("site", "age_bin"), 100),),
    weight="w",
    time="when",
    fields=(
        "user",
        "unused",
        "age",
        "price",
        "site",
        "genres",
        "when",
        "rating",
        "w",
    ),
    missing="?",
    header=True,
)
GENRES = ["a", "b", "c", "d", "é"]
FORMATS = ("tsv", "csv", "csv.gz", "tfrecord", "tfrecord.gz", "parquet")


def make_rows(num_rows):
    """Rows as dicts; None is missing. Numbers are exact in 32 bits."""
    rng = np.random.default_rng(3)

    def value(make):
        return None if rng.random() < 0.15 else make()

    return [
        {
            "user": value(lambda: f"u {int(rng.zipf(1.5)) % 90}"),
            "unused": "x",
            "age": value(lambda: int(rng.integers(-5, 90))),
            "price": value(lambda: float(rng.integers(-80, 800)) / 8),
            "site": value(lambda: str(rng.choice(["a", "bc", "def"]))),
            "genres": value(lambda: "|".join(rng.choice(GENRES, rng.integers(1, 6)))),
            "when": 880_000_000 + i,
            "rating": float(rng.integers(1, 6)),
            "w": float(rng.integers(0, 9)) / 4,
        }
        for i in range(num_rows)
    ]


def text_schema(kind):
    """The schema of a text file of the format."""
    if kind.startswith("csv"):
        return dataclasses.replace(SCHEMA, delimiter=",", quoted=True)
    return SCHEMA


def write(path, rows):
    """Writes rows as a file of the format that the name says."""
    kind = path.name.partition(".")[2]
    opened = gzip.open if kind.endswith(".gz") else open
    if kind in ("tsv", "csv", "csv.gz"):
        delimiter = "\t" if kind == "tsv" else ","
        quoting = csv.QUOTE_NONE if kind == "tsv" else csv.QUOTE_NONNUMERIC
        with opened(path, "wt", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
            writer.writerow(SCHEMA.fields)
            for i, row in enumerate(rows):
                missing = ("?" if i % 2 else "",)
                values = [row[field] for field in SCHEMA.fields]
                texts = [missing[0] if v is None else v for v in values]
                writer.writerow([str(t) if kind == "tsv" else t for t in texts])
    elif kind.startswith("tfrecord"):
        options = tf.io.TFRecordOptions("GZIP" if kind.endswith(".gz") else "")
        with tf.io.TFRecordWriter(str(path), options) as file:
            for row in rows:
                file.write(example_of(row))
    else:
        names = [field for field in reversed(SCHEMA.fields) if field != "unused"]
        columns = {name: [row[name] for row in rows] for name in names}
        columns["genres"] = [g and g.split("|") for g in columns["genres"]]
        pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=77)
    return path


def example_of(row):
    """A row as a serialised `tf.train.Example`."""
    features = {}
    for name, value in row.items():
        if value is None:
            continue
        if name == "genres":
            values = [part.encode() for part in value.split("|")]
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        elif isinstance(value, str):
            feature = tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[value.encode()])
            )
        elif isinstance(value, int):
            feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        else:
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        features[name] = feature
    message = tf.train.Example(features=tf.train.Features(feature=features))
    return message.SerializeToString()
