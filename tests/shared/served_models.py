"""Models of every shape with random weights, features, and a check of their files."""

import numpy as np
import tensorflow as tf
from films import SCHEMA, make_rows

from smelu_tf import RESCU
from smelu_tf.functional import DENSITIES
from smelu_tf.models import WideDeep, WideDeepConfig, export_saved_model
from smelu_tf.models.formats import FORMATS
from smelu_tf.pipelines import (
    MOVIELENS,
    Categorical,
    MultiValued,
    Numeric,
    Schema,
    Transform,
    complete_schema,
    raw_columns,
)

BASE = dict(hidden_units=(8, 4), embedding_dim=4, embedding_stddev=0.3)
ACTIVATIONS = ("relu", "smelu:1", "gsmelu", "swish", "gelu", "softplus")
SHAPES = {
    **{name: dict(activation=name) for name in ACTIVATIONS},
    **{
        f"rescu_{density}": dict(activation=RESCU(beta=0.7, density=density))
        for density in DENSITIES
    },
    "dcn": dict(interaction="dcn"),
    "dlrm": dict(interaction="dlrm"),
    "layer_norm": dict(normalization="layer"),
    "trained_beta": dict(trainable_parameters=("beta",)),
    "bottleneck": dict(bottleneck=2),
    "widths": dict(column_dims=("genres:6",)),
    "crosses": dict(crosses=("user*site",)),
    "unknown_ids": dict(unknown_rate=0.1),
    "wide": dict(deep=False),
    "deep": dict(wide=False),
    "towers_shared": dict(towers=2, serve="ensemble"),
    "towers_separate": dict(towers=2, tower_tables="separate", serve="ensemble"),
}
"""Settings of models of `SCHEMA`: vocabularies, hashed ids, a multi-valued column."""


def random_model(schema, seed=0, **settings):
    """A model whose weights are all random."""
    model = WideDeep(schema, WideDeepConfig(**{**BASE, **settings}))
    random = np.random.default_rng(seed)
    model.set_weights(
        [w + 0.3 * random.normal(size=w.shape).astype("f") for w in model.get_weights()]
    )
    return model


def film_features(num_rows=200):
    """The complete schema, and `Batch.features` of rows of it."""
    rows = make_rows(num_rows)
    frame = {name: [row[name] for row in rows] for name in rows[0]}
    schema = complete_schema(SCHEMA, frame)
    return schema, Transform(schema)(raw_columns(frame, schema))


def movielens_schema():
    """MovieLens's, of a few values."""
    random = np.random.default_rng(0)
    frame = {
        "user_id": random.integers(1, 20, 100).astype(str),
        "item_id": random.integers(1, 30, 100).astype(str),
        "age": random.integers(10, 70, 100).astype(float),
        "gender": random.choice(["F", "M"], 100),
        "occupation": random.choice(["artist", "writer", "none"], 100),
        "genres": random.choice(["Comedy|Drama", "War", "Drama|Western"], 100),
        "timestamp": np.arange(100.0),
        "rating": random.integers(1, 6, 100).astype(float),
    }
    return complete_schema(MOVIELENS, frame)


HASHED = Schema(
    "hashed",
    (Numeric("a"),),
    tuple(Categorical(name, buckets=1 << 16) for name in ("b", "c", "d")),
    multivalued=(MultiValued("Several_1", buckets=9, max_values=3),),
)
"""Hashed ids; their cross is numbered beyond 2⁴⁰, where numbers are folded."""

SCHEMAS = {
    "movielens": (movielens_schema, {}),
    "hashed": (lambda: HASHED, dict(crosses=("b*c*d",), embedding_dim=2)),
    "ids_alone": (lambda: Schema("i", (), (Categorical("b", buckets=9),)), {}),
    "numbers_alone": (lambda: Schema("n", (Numeric("a"), Numeric("b")), ()), {}),
}
"""Makers of other schemas, and settings of models of them."""


def random_features(schema, num_rows, seed=0):
    """`Batch.features` of random values."""
    random = np.random.default_rng(seed)
    size = (num_rows, 2 * len(schema.numeric))
    features = {
        "numeric": random.normal(size=size).astype("f"),
        "ids": random.integers(
            schema.num_ids, size=(num_rows, len(schema.id_columns)), dtype="i4"
        ),
    }
    for column in schema.multivalued:
        size = (num_rows, column.max_values)
        features[column.name] = random.integers(-1, column.num_ids, size, dtype="i4")
    return features


def check_file(name, model, features, folder):
    """Compares the file of a model's SavedModel with that SavedModel.

    Args:
        name: of the file's format.
        model: with random weights.
        features: as in `Batch`.
        folder: where the SavedModel and the file are written.

    Returns:
        The file's path.
    """
    kind = FORMATS[name]
    version = export_saved_model(model, folder / "export")
    path = folder / kind.file_name
    kind.write(version, path)
    loaded = tf.saved_model.load(str(version))
    expected = loaded.score_features(dict(features)).numpy()
    assert np.std(expected) > 0.1
    logit = kind.load(path)
    np.testing.assert_allclose(logit(features), expected, rtol=1e-5, atol=2e-6)
    for size in (1, 7):  # any batch; an empty one the runtimes refuse with dlrm
        few = {name: values[:size] for name, values in features.items()}
        np.testing.assert_allclose(logit(few), expected[:size], rtol=1e-5, atol=2e-6)
    return path
