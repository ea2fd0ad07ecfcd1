"""A schema with a column of every kind, from files to a served model."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from films import SCHEMA, example_of, make_rows, write

from smelu_tf.models import (
    DataConfig,
    ScoringJob,
    TrainConfig,
    TrainOptions,
    WideDeep,
    WideDeepConfig,
    evaluate,
    export_model_dir,
    predict,
    train,
)
from smelu_tf.pipelines import (
    Numeric,
    complete_schema,
    complete_schema_from,
    convert,
    read_rows,
)

CSV = dataclasses.replace(SCHEMA, delimiter=",", quoted=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Rows, their files, and a model trained on the CSV file."""
    folder = tmp_path_factory.mktemp("films")
    rows = make_rows(600)
    files = {k: write(folder / f"rows.{k}", rows) for k in ("csv", "parquet")}
    (folder / "schema.json").write_text(CSV.to_json())
    config = TrainConfig(
        data=DataConfig(schema=str(folder / "schema.json"), batch_size=64),
        model=WideDeepConfig(hidden_units=(8,), crosses=("user*site",)),
        train=TrainOptions(steps_per_execution=2),
    )
    result = train(config, files["csv"], folder / "model")
    return rows, files, config, result, folder


def test_every_source_trains_the_same_model(run):
    _, files, config, result, folder = run
    convert(files["parquet"], CSV, folder / "blocks", rows_per_block=50)
    for name, data in (("parquet", files["parquet"]), ("blocks", folder / "blocks")):
        other = train(config, data, folder / f"model_{name}")
        assert other.progressive == result.progressive
        for a, b in zip(
            other.model.get_weights(), result.model.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_the_multi_valued_column_counts(run):
    _, files, _, result, _ = run
    model = result.model
    batch = next(iter(read_rows(files["csv"], model.schema, 64)))
    logit = model(batch.features)
    without = {**batch.features, "genres": -tf.ones_like(batch.features["genres"])}
    assert np.mean(np.abs(model(without) - logit)) > 1e-4


def test_served_raw_rows_lines_and_examples_score_as_in_training(run):
    rows, files, _, result, folder = run
    job = ScoringJob.open(folder / "model", files["csv"])
    (own,) = predict(job.scorer, job.batches)
    version = export_model_dir(folder / "model", folder / "out")
    loaded = tf.saved_model.load(str(version))
    lines = files["csv"].read_bytes().splitlines()[1:]
    lines = [b",".join(line.split(b",")[:-2]) for line in lines]  # rating and weight
    by_name = {}
    for column in SCHEMA.columns:
        values = [row[column.name] for row in rows]
        if isinstance(column, Numeric):
            numbers = [float("nan") if value is None else value for value in values]
            by_name[column.name] = tf.constant(numbers, tf.float64)
        else:
            by_name[column.name] = tf.constant([value or "" for value in values])
    batch = next(iter(job.batches))
    features = loaded.transform_lines(tf.constant(lines))
    for name, values in batch.features.items():
        np.testing.assert_array_equal(features[name], values, err_msg=name)
    examples = [example_of({k: r[k] for k in by_name}) for r in rows]
    for name, arguments in (
        ("predict_lines", {"lines": tf.constant(lines)}),
        ("serving_default", by_name),
        ("predict_examples", {"examples": tf.constant(examples)}),
    ):
        scores = loaded.signatures[name](**arguments)
        np.testing.assert_array_equal(scores["logit"], own.logit, err_msg=name)
    with pytest.raises(tf.errors.InvalidArgumentError, match="row 1 of the batch"):
        loaded.signatures["predict_lines"](lines=tf.constant([lines[0], b'a,"b']))


def test_an_exported_model_evaluates_files_and_refuses_blocks(run, tmp_path):
    _, files, config, result, folder = run
    version = export_model_dir(folder / "model", tmp_path / "out")
    job = ScoringJob.open(version, files["csv"])
    figures = evaluate(job.scorer, job.batches)
    assert figures["num_examples"] == 600
    convert(files["csv"], CSV, tmp_path / "blocks")
    with pytest.raises(ValueError, match="expected row files for an exported model"):
        ScoringJob.open(version, tmp_path / "blocks")


def test_keras_takes_raw_columns_with_lists(run):
    rows, files, *_ = run
    frame = {name: [row[name] for row in rows] for name in rows[0]}
    schema = complete_schema(SCHEMA, frame)
    assert schema == complete_schema_from(files["parquet"], SCHEMA)
    model = WideDeep(schema, WideDeepConfig(hidden_units=(8,)))
    logits = model.predict(frame, verbose=0)
    frame["genres"] = [g and g.split("|") for g in frame["genres"]]
    np.testing.assert_array_equal(model.predict(frame, verbose=0), logits)
    assert logits.shape == (600, 1)
