"""models/divergence.py, and what a training does when its loss is none any more."""

import dataclasses
import math

import numpy as np
import pytest
import small_runs

from smelu_tf.models import (
    DataConfig,
    OptimizerConfig,
    TrainConfig,
    TrainOptions,
    WideDeepConfig,
    load_model,
    train,
)
from smelu_tf.models.divergence import suspects
from smelu_tf.pipelines import (
    Batch,
    Categorical,
    Numeric,
    Schema,
    complete_schema_from,
    convert,
)

SCHEMA = Schema(
    "ads",
    numeric=(Numeric("price", dtype="float64", transform="none"), Numeric("age")),
    categorical=(Categorical("site", buckets=10),),
)


def batch(prices, weights=None):
    size = len(prices)
    numeric = np.zeros([size, 4], "f")
    numeric[:, 0] = prices
    features = {"numeric": numeric, "ids": np.zeros([size, 1], "i4")}
    weights = np.ones(size, "f") if weights is None else np.array(weights, "f")
    return Batch(features, np.zeros(size, "f"), weights)


def test_columns_that_no_model_can_learn_from_are_named_worst_first():
    assert suspects(batch([1.0, -999.0]), SCHEMA) == []
    assert suspects(batch([1.0, 2000.0]), SCHEMA) == ["price (row 1: 2000)"]
    found = suspects(batch([1.0, 2e30], [5000, 1]), SCHEMA)
    assert found == ["price (row 1: 2e+30)", "weight (row 0: 5000)"]
    assert suspects(batch([math.nan, 1.0]), SCHEMA) == ["price (row 0: nan)"]


@pytest.fixture
def ads(tmp_path):
    """600 rows, of which row 400, in batch 12, has an absurd price."""
    (tmp_path / "ads.json").write_text(SCHEMA.to_json())
    random = np.random.default_rng(0)
    rows = [
        f"{random.integers(2)}\t{random.random():.3f}\t{random.integers(90)}\tx{i % 7}"
        for i in range(600)
    ]
    rows[400] = "1\t1e38\t20\tx1"
    (tmp_path / "rows.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


def config(folder, **optimizer):
    return TrainConfig(
        data=DataConfig(schema=str(folder / "ads.json"), batch_size=32),
        model=WideDeepConfig(embedding_dim=4, hidden_units=(8,)),
        optimizer=OptimizerConfig(**optimizer),
        train=TrainOptions(checkpoint_steps=4, steps_per_execution=4),
    )


def test_the_batch_and_the_column_are_named_and_the_checkpoint_is_from_before(ads):
    with pytest.raises(ArithmeticError) as got:
        train(config(ads), ads / "rows.tsv", ads / "model")
    message = str(got.value)
    assert "batch 12 (rows 384 to 415): expected a finite log loss below 100" in message
    assert "price (row 16: 1e+38)" in message
    assert message.endswith("Checkpoint from before: " + message.split(": ")[-1])
    assert "ckpt-12" in message
    for weight in load_model(ads / "model").get_weights():
        assert np.all(np.isfinite(weight))


def test_rows_passed_over_are_not_counted_again_to_find_the_column(ads):
    rows = (ads / "rows.tsv").read_text()
    (ads / "rows.tsv").write_text("bad\n" + rows)
    with pytest.raises(ArithmeticError, match=r"price \(row 16: 1e\+38\)"):
        train(config(ads), ads / "rows.tsv", ads / "model", max_bad_rows=1)
    assert (ads / "model" / "rejects.txt").read_text() == "bad\n"


def test_of_several_passes_the_batch_alone_is_named(ads):
    schema = complete_schema_from(ads / "rows.tsv", SCHEMA)
    convert(ads / "rows.tsv", schema, ads / "blocks")
    twice = config(ads)
    twice = dataclasses.replace(twice, data=dataclasses.replace(twice.data, epochs=2))
    with pytest.raises(ArithmeticError, match="batch 12: expected a finite log loss"):
        train(twice, ads / "blocks", ads / "model")


def test_the_rate_is_blamed_where_no_column_stands_out(ads):
    rows = (ads / "rows.tsv").read_text().replace("1e38", "0.5")
    (ads / "good.tsv").write_text(rows)
    with pytest.raises(ArithmeticError, match="no column stands out") as got:
        train(config(ads, learning_rate=1e20), ads / "good.tsv", ads / "model")
    assert "a smaller learning rate, a warm-up or clipping may help" in str(got.value)


def test_divergence_is_an_error(criteo_dir, tmp_path):
    config = dataclasses.replace(
        small_runs.CROSSED, optimizer=OptimizerConfig(learning_rate=1e30)
    )
    with pytest.raises(ArithmeticError, match="expected a finite log loss"):
        train(config, criteo_dir / "day_[0-5].tsv", tmp_path / "model")
