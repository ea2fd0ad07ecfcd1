"""models/configs: the presets, their models and their schemas."""

import dataclasses
import json

import numpy as np
import pytest

from smelu_tf.models import PRESETS, TrainConfig, WideDeep, WideDeepOptimizer
from smelu_tf.models.schedules import WarmupDecay
from smelu_tf.pipelines import SCHEMAS, named_schema


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_json(name):
    config = PRESETS[name]()
    config.validate()
    assert TrainConfig.from_dict(json.loads(config.to_json())) == config


def completed(schema):
    """A schema as if it had been completed on a few rows, with few hash buckets."""

    def small(column):
        if column.buckets:
            return dataclasses.replace(column, buckets=10)
        return dataclasses.replace(column, min_count=0, vocabulary=("a", "b"))

    numeric = tuple(
        dataclasses.replace(c, mean=1.0, standard_deviation=2.0) if c.standardize else c
        for c in schema.numeric
    )
    return dataclasses.replace(
        schema,
        numeric=numeric,
        categorical=tuple(map(small, schema.categorical)),
        multivalued=tuple(map(small, schema.multivalued)),
    )


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build_models_of_their_schemas(name):
    config = PRESETS[name]()
    schema = completed(named_schema(config.data.schema))
    model = WideDeep(schema, config.model, config.train.seed)
    logits = model.predict(
        {
            **{c.name: [3.0, np.nan] for c in schema.numeric},
            **{c.name: ["a", ""] for c in schema.text_columns},
        },
        verbose=0,
    )
    assert logits.shape == (2, 1)
    assert np.all(np.isfinite(logits))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_optimizers(name):
    optimizer = PRESETS[name]().optimizer
    assert WideDeepOptimizer.of(optimizer).rule == optimizer.name


def test_every_data_set_has_a_preset():
    assert {preset().data.schema for preset in PRESETS.values()} == set(SCHEMAS)


def test_a_preset_s_name_is_its_function_s():
    assert [preset.__name__ for preset in PRESETS.values()] == list(PRESETS)


def test_the_rate_of_criteo_1tb_ends_with_23_of_its_24_days():
    config = PRESETS["criteo_1tb"]()
    num_steps = 4_195_197_692 // config.data.batch_size
    rate = WarmupDecay.of(config.optimizer)
    full = config.optimizer.learning_rate
    assert float(rate(2000)) == pytest.approx(full)
    assert float(rate(num_steps)) == pytest.approx(0.1 * full, rel=0.01)
    assert float(rate(num_steps - 1000)) > 0.11 * full
