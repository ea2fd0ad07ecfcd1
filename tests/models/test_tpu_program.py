"""models/tpu_program.py: the step of a training, with rows that are given."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from films import SCHEMA

from smelu_tf.models import TrainConfig, TrainOptions, WideDeepConfig
from smelu_tf.models.tpu_program import assumed_schema, training_program
from smelu_tf.pipelines import CRITEO

SIZE = 12
FILMS = assumed_schema(SCHEMA, 40)
CONFIG = TrainConfig(
    model=WideDeepConfig(
        tables="tpu", tpu_table_ids=30, embedding_dim=3, hidden_units=(8, 4)
    ),
    train=TrainOptions(seed=5),
)
LARGE = {"wide/user": 1, "wide/site": 1, "wide/genres": 1}


def arguments(program, seed=0):
    """Random values for a program's arguments."""
    rng = np.random.default_rng(seed)
    label, weight, *features = program.specs
    values = [
        tf.constant(rng.integers(0, 2, SIZE), tf.float32),
        tf.constant(rng.uniform(0.5, 2, SIZE), tf.float32),
    ]
    for spec in features:
        low = rng.integers(0, 5, spec.shape)
        real = rng.normal(size=spec.shape)
        values.append(tf.constant(low if spec.dtype == tf.int32 else real, spec.dtype))
    return values


def test_given_rows_are_those_of_large_columns():
    program = training_program(CONFIG, FILMS, SIZE)
    label, weight, numeric, ids, genres, *rows = program.specs
    assert numeric.shape == (SIZE, 4) and genres.shape == (SIZE, 3)
    assert ids.shape == (SIZE, len(FILMS.id_columns)) and ids.dtype == tf.int32
    widths = [spec.shape[1] for spec in rows]
    assert widths == [1] * (len(rows) // 2) + [3] * (len(rows) // 2)
    assert all(spec.shape.is_fully_defined() for spec in program.specs)
    # The tables themselves are no weights of the program.
    names = [variable.name for variable in program.model.trainable_variables]
    assert not [name for name in names if "tpu_tables" in name]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loss_and_gradients_of_rows_are_those_of_the_model(dtype):
    config = dataclasses.replace(
        CONFIG, train=dataclasses.replace(CONFIG.train, compute_dtype=dtype)
    )
    program = training_program(config, FILMS, SIZE)
    values = arguments(program)
    label, weight, numeric, ids, genres, *rows = values
    tables = [table.name for table in program.model.tpu_tables._tables]
    with tf.GradientTape() as tape:
        tape.watch(rows)
        logit = program.model(
            {
                "numeric": numeric,
                "ids": ids,
                "genres": genres,
                **dict(zip(tables, rows, strict=True)),
            },
            training=True,
        )[:, 0]
        loss = -tf.reduce_mean(
            weight * (label * tf.math.log_sigmoid(logit))
            + weight * (1 - label) * tf.math.log_sigmoid(-logit)
        )
    expected = tape.gradient(loss, rows)
    before = [variable.numpy() for variable in program.model.trainable_variables]
    found, predicted, gradients = tf.function(program.function, autograph=False)(
        *values
    )
    tolerance = {"float32": 1e-5, "bfloat16": 2e-2}[dtype]
    np.testing.assert_allclose(found, loss, rtol=tolerance)
    np.testing.assert_allclose(predicted, logit, rtol=tolerance, atol=tolerance)
    assert len(gradients) == len(rows)
    for one, other in zip(gradients, expected, strict=True):
        scale = np.abs(other).max()
        assert scale > 0
        np.testing.assert_allclose(one, other, atol=tolerance * scale)
    after = [variable.numpy() for variable in program.model.trainable_variables]
    moved = [np.any(a != b) for a, b in zip(before, after, strict=True)]
    # All but the weight that stands for the rows.
    assert moved.count(False) == 1


def test_stacked_tables_are_weights_of_the_program():
    stacked = dataclasses.replace(CONFIG.model, tables="stacked")
    program = training_program(dataclasses.replace(CONFIG, model=stacked), FILMS, SIZE)
    assert len(program.specs) == 5
    loss, _, gradients = tf.function(program.function)(*arguments(program))
    assert loss > 0 and gradients == []


def test_a_schema_is_assumed_counted():
    schema = assumed_schema(CRITEO, 1000)
    assert schema.is_complete and not CRITEO.is_complete
    assert set(schema.num_ids[: len(CRITEO.categorical)]) == {1000}
    assert assumed_schema(schema, 7) == schema
