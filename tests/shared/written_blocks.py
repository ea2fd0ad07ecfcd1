"""Rows with every kind of value, and small data sets of blocks of them."""

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import (
    Categorical,
    Label,
    Numeric,
    Schema,
    read_text,
    write_blocks,
)

CATEGORICAL = (
    Categorical("small", vocabulary=("a", "b", "c")),
    Categorical("large", buckets=70_000),
    Categorical("medium", buckets=300),
    Categorical("tiny", buckets=5),
)
NUMERIC = (Numeric("count", binned=True), Numeric("age", "float64", "none"))
SCHEMAS = {
    "weighted": Schema("weighted", NUMERIC, CATEGORICAL, weight="w"),
    "plain": Schema("plain", NUMERIC, CATEGORICAL),
    "numeric only": Schema("numbers", (Numeric("x"), Numeric("y", "float64")), ()),
    "categorical only": Schema("ids", (), CATEGORICAL, Label("click")),
}
SCHEMA = SCHEMAS["weighted"]
NUM_ROWS = 1003
SIZES = {"rows_per_block": 50, "blocks_per_shard": 4}


def write_rows(path, schema, num_rows=NUM_ROWS):
    """Rows of every kind of value: negative zeros, infinities to be, missing ones."""
    rng = np.random.default_rng(5)

    def value(field):
        if field == schema.label.name:
            return str(rng.integers(2))
        if field == schema.weight:
            return f"{rng.random():.4f}"
        if rng.random() < 0.2:
            return ""
        if field in ("count", "x"):
            return str(rng.integers(-3, 2000))
        if field in ("age", "y"):
            return rng.choice(["-0.0", "1e39", f"{1e4 + rng.normal():.6f}"])
        return rng.choice(["a", "b", "c", "d", *map(str, range(500))])

    lines = ("\t".join(map(value, schema.fields)) for _ in range(num_rows))
    path.write_text("".join(line + "\n" for line in lines))
    return path


def read_whole(folder, schema):
    """The rows of a schema as one batch of NumPy arrays."""
    path = write_rows(folder / "rows.tsv", schema)
    (batch,) = read_text(path, schema, 10_000).as_numpy_iterator()
    return batch


def write_weighted(folder):
    """The rows of the weighted schema, and a folder of their blocks."""
    batch = read_whole(folder, SCHEMA)
    write_blocks([batch], SCHEMA, folder / "blocks", **SIZES)
    return batch, folder / "blocks"


def cut(batch, begin, end):
    return tf.nest.map_structure(lambda x: x[begin:end], batch)


def batches_of(batch, size):
    return [cut(batch, i, i + size) for i in range(0, len(batch.label), size)]


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def copy_of(folder, to):
    to.mkdir()
    for name, content in files_of(folder).items():
        (to / name).write_bytes(content)
    return to
