"""Models of a schema with columns of every kind, in model_dirs, and what is in them."""

import dataclasses

import numpy as np
import tensorflow as tf

from smelu_tf.models import TrainConfig, WideDeep, WideDeepConfig
from smelu_tf.models.model_weights import ModelWeights, column_tables
from smelu_tf.pipelines import Categorical, Cross, MultiValued, Numeric, Schema

SCHEMA = Schema(
    "ads",
    (Numeric("age", binned=True), Numeric("price", transform="none")),
    (Categorical("site", vocabulary=("a", "b", "c")), Categorical("user", buckets=9)),
    multivalued=(MultiValued("tags", vocabulary=("x", "y"), max_values=3),),
    crosses=(Cross(("site", "user"), 20),),
)
SHAPE = WideDeepConfig(
    crosses=("site*user", "age_bin*user"), embedding_dim=4, hidden_units=(6, 5)
)


def saved(folder, schema=SCHEMA, shape=SHAPE):
    """A model_dir of a model with weights that occur nowhere else, and the model."""
    model = WideDeep(schema, shape, seed=1)
    rng = np.random.default_rng(7)
    for variable in model.variables:
        variable.assign(rng.normal(size=variable.shape))
    folder.mkdir()
    config = dataclasses.replace(TrainConfig(), model=shape)
    (folder / "config.json").write_text(config.to_json())
    (folder / "schema.json").write_text(schema.to_json())
    tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model), str(folder / "checkpoints"), 1
    ).save()
    return model


def rows_of(model, part, column):
    (table,) = [t for t in column_tables(model) if (t.part, t.column) == (part, column)]
    array = ModelWeights(model)[table.path]
    return array[table.offset : table.offset + table.num_ids]


def weights_of(model):
    """All weights, without the row that is there for padding alone."""
    weights = ModelWeights(model)
    rows = {t.path: t.offset + t.num_ids for t in column_tables(model)}
    return {path: weights[path][: rows.get(path)] for path in weights}


def assert_same_weights(model, other):
    theirs = weights_of(other)
    for path, ours in weights_of(model).items():
        np.testing.assert_array_equal(ours, theirs[path], path)


def with_columns(**columns):
    return dataclasses.replace(SCHEMA, fields=(), **columns)


def logits_of(model, **columns):
    raw = {"age": [3.0], "price": [2.0], "site": ["b"], "user": ["u"], "tags": ["x|y"]}
    return model.predict({**raw, **columns}, verbose=0)


def changed(name, **values):
    """The schema with another column of this name."""

    def of(columns):
        return tuple(
            dataclasses.replace(c, **values) if c.name == name else c for c in columns
        )

    return dataclasses.replace(
        SCHEMA,
        numeric=of(SCHEMA.numeric),
        categorical=of(SCHEMA.categorical),
        multivalued=of(SCHEMA.multivalued),
    )
