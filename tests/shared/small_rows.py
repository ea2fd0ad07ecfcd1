"""A small schema, generated rows of it in memory and as text, and a study of them."""

import numpy as np

from smelu_tf.models import (
    CellResult,
    DataConfig,
    StudyRows,
    TrainConfig,
    TrainOptions,
    WideDeepConfig,
)
from smelu_tf.pipelines import Categorical, InMemoryRows, Numeric, Schema

SCHEMA = Schema(
    "small",
    numeric=(Numeric("age"),),
    categorical=(Categorical("site", buckets=300), Categorical("kind", buckets=5)),
)
CONFIG = TrainConfig(
    data=DataConfig(batch_size=32),
    model=WideDeepConfig(embedding_dim=2, hidden_units=(8,), embedding_stddev=0.1),
    train=TrainOptions(steps_per_execution=4),
)


def make_rows(num_rows, seed=0):
    """Rows of `SCHEMA` whose label depends on `kind`, with weights 1 and 2."""
    random = np.random.default_rng(seed)
    ids = np.stack([random.integers(300, size=num_rows)] * 2, axis=1).astype("i4")
    ids[:, 1] %= 5
    label = (random.random(num_rows) < 0.2 + 0.1 * ids[:, 1]).astype("f")
    features = {"numeric": random.normal(size=[num_rows, 2]).astype("f"), "ids": ids}
    return InMemoryRows(features, label, random.integers(1, 3, num_rows).astype("f"))


def write_rows(path, num_rows, seed=0):
    """Writes rows of `SCHEMA` as text, whose label depends on `age`."""
    random = np.random.default_rng(seed)
    ages = random.integers(90, size=num_rows)
    columns = (
        (random.random(num_rows) < 0.1 + ages / 120).astype(int),
        ages,
        random.integers(300, size=num_rows),
        random.integers(5, size=num_rows),
    )
    lines = ("\t".join(map(str, row)) for row in zip(*columns, strict=True))
    path.write_text("".join(f"{line}\n" for line in lines))


def make_study_rows(num_train=500, num_validation=110, num_test=150):
    """The rows of a study."""
    test = make_rows(num_test, seed=1)
    return StudyRows(SCHEMA, make_rows(num_train), num_validation, test)


def make_result(seed=0, spread=0.3, strength=1.0, num_models=5):
    """The result of models whose logits have a common part and one of their own."""
    random = np.random.default_rng(seed)
    rows = make_study_rows()

    def logits(rows, *shape):
        truth = strength * (0.2 * rows.features["ids"][:, 1] - 0.6)
        return (truth + spread * random.normal(size=(*shape, len(rows)))).astype("f")

    return CellResult(
        validation=logits(rows.validation, num_models),
        test=logits(rows.test, num_models),
        curve=logits(rows.validation, 2, num_models),
        curve_examples=np.array([200, 390]),
        seconds=12.5,
    )
