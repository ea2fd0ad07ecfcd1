"""models/export.py: what is served scores like the model that was trained."""

import dataclasses
import json
import math
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_rows import SCHEMA, write_rows
from tensorflow.core.protobuf import saved_model_pb2

from smelu_tf.models import (
    DataConfig,
    Scorer,
    ScoringJob,
    TrainConfig,
    WideDeep,
    WideDeepConfig,
    evaluate,
    export_model_dir,
    export_saved_model,
    load_model,
    predict,
    train,
)
from smelu_tf.models.warmup import missing_values
from smelu_tf.pipelines import (
    CRITEO,
    Categorical,
    Schema,
    generate,
    open_rows,
    read_raw_text,
    read_text,
)


@pytest.fixture(
    scope="module",
    params=["vocabulary", pytest.param("hashed", marks=pytest.mark.slow)],
)
def exported(request, criteo_dir, tmp_path_factory):
    """The model_dir and the exported version of a trained model."""
    folder = tmp_path_factory.mktemp("export")
    config = TrainConfig(model=WideDeepConfig(hidden_units=(16, 8)))
    if request.param == "hashed":
        columns = tuple(Categorical(c.name, buckets=500) for c in CRITEO.categorical)
        schema = dataclasses.replace(CRITEO, categorical=columns)
        (folder / "hashed.json").write_text(schema.to_json())
        data = DataConfig(schema=str(folder / "hashed.json"))
        config = dataclasses.replace(config, data=data)
    train(config, criteo_dir / "day_0.tsv", folder / "model")
    return folder / "model", export_model_dir(folder / "model", folder / "export")


@pytest.fixture(scope="module")
def loaded(exported):
    """The exported version as TensorFlow loads it."""
    return tf.saved_model.load(str(exported[1]))


def lines_of(path) -> list[bytes]:
    """The raw lines of a file, without their label."""
    return [line.partition(b"\t")[2] for line in path.read_bytes().splitlines()]


def labelled_files(criteo_dir) -> list[Path]:
    """6,000 generated rows and, where the variable names them, real ones."""
    real = os.environ.get("SMELU_TF_REAL_CRITEO")
    return [*sorted(criteo_dir.glob("day_[56].tsv")), *([Path(real)] if real else [])]


def test_ids_numerics_and_scores_equal_the_model_s_own(exported, loaded, criteo_dir):
    scorer = Scorer.load(exported[0])
    predict_lines = loaded.signatures["predict_lines"]
    for path in labelled_files(criteo_dir):
        lines = lines_of(path)
        batches = read_text(path, scorer.schema, 1000, transform=scorer.transform)
        own = list(predict(scorer, batches))
        for index, batch in enumerate(batches):
            part = tf.constant(lines[1000 * index : 1000 * (index + 1)])
            features = loaded.transform_lines(part)
            for name in ("numeric", "ids"):
                np.testing.assert_array_equal(features[name], batch.features[name])
            scores = predict_lines(lines=part)
            np.testing.assert_array_equal(scores["logit"], own[index].logit)
            np.testing.assert_array_equal(scores["probability"], own[index].probability)
        whole = predict_lines(lines=tf.constant(lines))["probability"]
        once = np.concatenate([chunk.probability for chunk in own])
        np.testing.assert_allclose(whole, once, rtol=1e-5)


@pytest.mark.slow
def test_every_signature_scores_every_row_as_the_model_does(exported, loaded, tmp_path):
    """100,000 generated rows and, where the variable names them, real ones."""
    scorer = Scorer.load(exported[0])
    signatures = loaded.signatures
    generate(tmp_path / "rows", num_rows=100_000, num_days=1, seed=2)
    real = os.environ.get("SMELU_TF_REAL_CRITEO")
    num_rows = 0
    for path in (tmp_path / "rows" / "day_0.tsv", *([Path(real)] if real else [])):
        lines = lines_of(path)
        raw_batches = open_rows(path).batches(
            scorer.schema, 4096, transform=lambda raw: dict(raw)
        )
        for batch in raw_batches:
            raw = {name: batch.features[name] for name in CRITEO.feature_fields}
            size = len(batch.label)
            own = scorer.logit(scorer.transform(raw)).numpy()
            part = tf.constant(lines[:size])
            del lines[:size]
            columns = {name: values.numpy() for name, values in raw.items()}
            rows = zip(*columns.values(), strict=True)
            examples = [_example(dict(zip(columns, row, strict=True))) for row in rows]
            for scores in (
                signatures["predict_lines"](lines=part),
                signatures["serving_default"](**raw),
                signatures["predict_logits"](**raw),
                signatures["predict_examples"](examples=tf.constant(examples)),
            ):
                np.testing.assert_array_equal(scores["logit"], own)
            num_rows += size
        assert not lines
    assert num_rows >= 100_000


@pytest.mark.parametrize(
    ("tables", "serve"),
    [
        ("shared", "first"),
        pytest.param("shared", "ensemble", marks=pytest.mark.slow),
        pytest.param("separate", "first", marks=pytest.mark.slow),
        pytest.param("separate", "ensemble", marks=pytest.mark.slow),
    ],
)
def test_an_ensemble_is_exported_as_it_serves(tmp_path, tables, serve):
    shape = WideDeepConfig(
        hidden_units=(8,), towers=2, tower_tables=tables, serve=serve
    )
    (tmp_path / "schema.json").write_text(SCHEMA.to_json())
    data = DataConfig(schema=str(tmp_path / "schema.json"), batch_size=50)
    path = tmp_path / "rows.tsv"
    write_rows(path, 1000)
    train(TrainConfig(data=data, model=shape), path, tmp_path / "model")
    version = export_model_dir(tmp_path / "model", tmp_path / "export")
    scorer = Scorer.load(tmp_path / "model")
    batches = read_text(path, scorer.schema, 1000, transform=scorer.transform)
    signature = tf.saved_model.load(str(version)).signatures["predict_lines"]
    own = next(iter(predict(scorer, batches))).logit
    scores = signature(lines=tf.constant(lines_of(path)))["logit"]
    np.testing.assert_array_equal(scores, own)
    arrays = tf.train.list_variables(str(version / "variables" / "variables"))
    numbers = sum(math.prod(shape) for _, shape in arrays)
    model = load_model(tmp_path / "model")
    one = WideDeep(scorer.schema, dataclasses.replace(shape, towers=1))
    expected = one if serve == "first" else model
    weights = sum(w.size for w in expected.get_weights())
    extra = sum(w.size for w in model.get_weights()) - weights
    assert 0 <= numbers - weights < 100  # nothing but the format's own
    assert extra > 100 or serve == "ensemble"


def test_signatures_agree(loaded, criteo_dir):
    path = criteo_dir / "day_6.tsv"
    lines = lines_of(path)[:100]
    expected = loaded.signatures["predict_lines"](lines=tf.constant(lines))
    raw = next(iter(read_raw_text(path, CRITEO)))
    by_name = {name: raw[name][:100] for name in CRITEO.feature_fields}
    examples = [
        _example({k: v[i].numpy() for k, v in by_name.items()}) for i in range(100)
    ]
    examples = tf.constant(examples)
    for got in (
        loaded.signatures["serving_default"](**by_name),
        loaded.signatures["predict_examples"](examples=examples),
    ):
        assert set(got) == {"probability", "logit"}
        for name in got:
            np.testing.assert_array_equal(got[name], expected[name])
    logits = loaded.signatures["predict_logits"](**by_name)
    assert set(logits) == {"logit"}
    np.testing.assert_array_equal(logits["logit"], expected["logit"])
    regression = loaded.signatures["regress"](inputs=examples)
    np.testing.assert_array_equal(regression["outputs"], expected["probability"])
    classes = loaded.signatures["classify"](inputs=examples)
    np.testing.assert_array_equal(classes["scores"][:, 1], expected["probability"])
    np.testing.assert_allclose(tf.reduce_sum(classes["scores"], axis=1), 1, rtol=1e-6)
    assert classes["classes"].numpy().tolist() == [[b"0", b"1"]] * 100


def test_servers_are_told_of_methods_and_of_columns_that_may_be_left_out(exported):
    _, version = exported
    saved_model = saved_model_pb2.SavedModel.FromString(
        (version / "saved_model.pb").read_bytes()
    )
    signatures = saved_model.meta_graphs[0].signature_def
    assert {name: signatures[name].method_name for name in signatures} == {
        **dict.fromkeys(
            ("serving_default", "predict_logits", "predict_lines", "predict_examples"),
            "tensorflow/serving/predict",
        ),
        "regress": "tensorflow/serving/regress",
        "classify": "tensorflow/serving/classify",
        "__saved_model_init_op": "",
    }
    for name in ("serving_default", "predict_logits"):
        defaults = signatures[name].defaults
        assert set(defaults) == set(CRITEO.feature_fields)
        for column, proto in defaults.items():
            value = tf.make_ndarray(proto)
            assert value.shape == (1,)
            assert signatures[name].inputs[column].dtype == proto.dtype
            assert value[0] == b"" if proto.dtype == tf.string else np.isnan(value[0])
    assert not signatures["predict_lines"].defaults


def test_a_column_of_one_value_is_of_all_rows(loaded, criteo_dir):
    """What a server makes of a request that leaves columns out."""
    signature = loaded.signatures["serving_default"]
    raw = next(iter(read_raw_text(criteo_dir / "day_6.tsv", CRITEO)))
    raw = {name: raw[name][:5] for name in CRITEO.feature_fields}
    missing = missing_values(CRITEO)
    left_out = {**raw, "I1": missing["I1"], "C26": missing["C26"]}
    whole = {name: tf.repeat(left_out[name], 5)[:5] for name in ("I1", "C26")}
    scores, expected = signature(**left_out), signature(**{**raw, **whole})
    np.testing.assert_array_equal(scores["logit"], expected["logit"])
    alone = signature(**{**missing, "I5": raw["I5"][:1]})
    assert alone["logit"].shape == (1,)
    none = {name: values[:0] for name, values in raw.items()}
    assert signature(**{**none, "I1": missing["I1"]})["logit"].shape == (0,)
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"expected columns \(B,\) of equally many rows, or of one value",
    ):
        signature(**{**raw, "C1": raw["C1"][:3]})


def _example(raw) -> bytes:
    """A serialised Example of raw values; missing ones are left out."""
    features = {}
    for name, value in raw.items():
        if isinstance(value, bytes):
            if value:
                features[name] = tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[value])
                )
        elif not math.isnan(value):
            features[name] = tf.train.Feature(
                int64_list=tf.train.Int64List(value=[int(value)])
            )
    return tf.train.Example(
        features=tf.train.Features(feature=features)
    ).SerializeToString()


def test_signatures_take_the_schema_s_names_and_any_batch(loaded):
    signature = loaded.signatures["serving_default"]
    assert set(signature.structured_input_signature[1]) == set(CRITEO.feature_fields)
    assert set(signature.structured_outputs) == {"probability", "logit"}
    line = b"\t" * 38
    for size in (0, 1, 3):
        scores = loaded.signatures["predict_lines"](
            lines=tf.constant([line] * size, tf.string)
        )
        assert scores["probability"].shape == (size,)
        assert np.all(np.isfinite(scores["logit"]))


def test_values_never_seen_and_not_readable_still_score(loaded):
    ugly = "\t".join(["-5", "", "nan", "9" * 30, *["x"] * 9, *["ZZ é"] * 26])
    missing = "\t".join(["-5", "", "", "", *[""] * 9, *["ZZ é"] * 26])
    scores = loaded.signatures["predict_lines"](lines=tf.constant([ugly, missing]))
    logits = scores["logit"].numpy()
    assert np.all(np.isfinite(logits))
    assert logits[0] == pytest.approx(logits[1], rel=1e-6)


def test_a_line_of_another_length_is_refused_with_its_row(loaded):
    good = b"\t" * 38
    message = r"row 1 of the batch, from 0: expected 39 fields \(criteo\), received 40"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        loaded.signatures["predict_lines"](lines=tf.constant([good, good + b"\t"]))


def test_no_compiled_kernel_is_in_the_export(exported):
    _, version = exported
    assert b"_XlaMustCompile" not in (version / "saved_model.pb").read_bytes()


def test_loading_warns_of_no_custom_gradients(exported, caplog):
    tf.saved_model.load(str(exported[1]))
    assert "custom gradient" not in caplog.text


def test_gradients_of_a_loaded_model_are_finite_differences(
    exported, loaded, criteo_dir
):
    signature = loaded.signatures["serving_default"]
    raw = next(iter(read_raw_text(criteo_dir / "day_6.tsv", CRITEO)))
    raw = {name: raw[name][:64] for name in CRITEO.feature_fields}
    # I5 is log1p of large numbers; a step of 1 % moves no binned id of most rows.
    steps = [tf.identity(raw["I5"]) * factor for factor in (1.0, 1.01, 0.99)]
    with tf.GradientTape() as tape:
        tape.watch(steps[0])
        logit = signature(**{**raw, "I5": steps[0]})["logit"]
    gradient = tape.gradient(logit, steps[0]).numpy()
    upper, lower = (
        signature(**{**raw, "I5": step})["logit"].numpy().astype(np.float64)
        for step in steps[1:]
    )
    transform = Scorer.load(exported[0]).transform
    ids = [transform({**raw, "I5": step})["ids"].numpy() for step in steps]
    value = raw["I5"].numpy()
    smooth = (value > 100) & np.all((ids[1] == ids[0]) & (ids[2] == ids[0]), axis=1)
    assert smooth.sum() > 10
    expected = (upper - lower)[smooth] / (0.02 * value[smooth])
    np.testing.assert_allclose(
        gradient[smooth] * value[smooth], expected * value[smooth], atol=2e-4
    )


def test_schema_and_model_card_travel_along(exported):
    model_dir, version = exported
    schema = Schema.load(version / "assets.extra" / "schema.json")
    assert schema == Schema.load(model_dir / "schema.json")
    card = json.loads((version / "assets.extra" / "model_card.json").read_text())
    assert card["schema_fingerprint"] == schema.fingerprint()
    assert card["versions"]["tensorflow"] == tf.__version__
    assert card["metrics"]["progressive"]["num_examples"] == 3000
    assert card["config"]["model"]["hidden_units"] == [16, 8]
    (file,) = card["data"]["data"]["files"]
    assert file["name"].endswith("day_0.tsv") and file["num_bytes"] > 0


@pytest.mark.slow  # test_publishing.py evaluates both of a smaller model
def test_a_saved_model_evaluates_like_its_model_dir(exported, criteo_dir):
    figures = []
    for path in exported:
        job = ScoringJob.open(path, criteo_dir / "day_6.tsv", 1000)
        figures.append(evaluate(job.scorer, job.batches))
    assert figures[0] == figures[1]


def test_versions_are_numbered_on(tmp_path):
    (tmp_path / "7").mkdir()
    model = WideDeep(SCHEMA, WideDeepConfig(embedding_dim=2, hidden_units=(4,)))
    assert export_saved_model(model, tmp_path).name == "8"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["7", "8"]


@pytest.mark.slow
def test_no_space_leaves_nothing_behind(exported, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = load_model(exported[0])
    for limit in (1000, 100_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OSError, match="export/1: could not be written"):
                export_saved_model(model, tmp_path / "export")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list((tmp_path / "export").iterdir()) == []


def test_a_saved_model_of_something_else_is_refused(exported, tmp_path):
    shutil.copytree(exported[1], tmp_path / "1")
    shutil.rmtree(tmp_path / "1" / "assets.extra")
    with pytest.raises(ValueError, match="expected a SavedModel of smelu-tf"):
        Scorer.load(tmp_path / "1")
