"""models/version_comparison.py against NumPy, on versions of one schema and more."""

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import special
from sklearn import metrics

from smelu_tf.differences import pair_means
from smelu_tf.models import (
    Scorer,
    WideDeep,
    WideDeepConfig,
    export_saved_model,
    predict,
)
from smelu_tf.models.promotion import PromotionBounds, broken_bounds
from smelu_tf.models.version_comparison import compare_versions
from smelu_tf.pipelines import (
    BadRowError,
    Categorical,
    MultiValued,
    Numeric,
    Schema,
    Transform,
    convert,
    open_rows,
)

SCHEMA = Schema(
    "ads",
    numeric=(Numeric("age", transform="none"),),
    categorical=(Categorical("site", vocabulary=("a", "b")),),
    weight="w",
    fields=("label", "w", "age", "site", "city", "tags", "price"),
)
# Other ids for the sites, and columns that the new version no longer takes.
PREVIOUS = dataclasses.replace(
    SCHEMA,
    numeric=(*SCHEMA.numeric, Numeric("price", "float64", transform="none")),
    categorical=(
        Categorical("site", vocabulary=("c", "b", "a")),
        Categorical("city", vocabulary=("x",), pattern="[xy]"),
    ),
    multivalued=(MultiValued("tags", vocabulary=("t",), max_values=2),),
)
BY_SITE = {"a": 0.5, "b": -1.0, "c": 0.0, "": 2.0}


def scorer_of(schema, logit):
    return Scorer(schema, Transform(schema), logit)


def candidate(schema=SCHEMA, shift=0.0):
    """Scores age and the sites a and b; c is unknown to it, as 0."""
    table = tf.constant([BY_SITE[""], 0.0, BY_SITE["a"], BY_SITE["b"]])

    def logit(features):
        return 0.1 * features["numeric"][:, 0] + (
            tf.gather(table, features["ids"][:, 0]) + shift
        )

    return scorer_of(schema, logit)


def previous():
    """Scores price, the sites by another vocabulary, the city x and the tag t."""
    table = tf.constant([BY_SITE[""], 0.0, BY_SITE["c"], BY_SITE["b"], BY_SITE["a"]])

    def logit(features):
        ids, tags = features["ids"], features["tags"]
        return (
            features["numeric"][:, 2]
            + tf.gather(table, ids[:, 0])
            + tf.where(ids[:, 1] == 2, 1.0, 0.0)
            + tf.where(tf.reduce_any(tags == 2, axis=1), 0.5, 0.0)
        )

    return scorer_of(PREVIOUS, logit)


def make_rows(n=200):
    random = np.random.default_rng(0)
    rows = {
        "label": random.integers(0, 2, n),
        "w": random.choice([0, 0.5, 1, 3], n),
        "age": random.integers(-20, 20, n),
        "site": random.choice(["a", "b", "c", ""], n),
        "city": random.choice(["x", "y", "elsewhere", ""], n),
        "tags": random.choice(["t", "s|t", "s", "", "s|s|t"], n),
        "price": random.integers(-8, 8, n) / 4,
    }
    return rows


def write(path, rows, names=SCHEMA.fields):
    lines = zip(*(map(str, rows[name].tolist()) for name in names), strict=True)
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return open_rows(path)


def _ref_logits(rows):
    """By plain Python: the candidate's and the previous version's."""
    site = np.array([BY_SITE[value] for value in rows["site"]])
    tag = ["t" in tags.split("|")[:2] for tags in rows["tags"]]
    new = 0.1 * rows["age"] + site
    old = rows["price"] + site + (rows["city"] == "x") + 0.5 * np.array(tag)
    return new, old


def _ref_losses(logits, labels):
    return np.logaddexp(0, logits) - labels * logits


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture(scope="module")
def data(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    write(folder / "rows.tsv", rows)
    return folder / "rows.tsv"


@pytest.fixture(scope="module")
def report(data):
    return compare_versions(candidate(), previous(), open_rows(data), 64)


def test_each_version_has_its_figures(report, rows):
    assert report.num_examples == 200
    assert report.weight == rows["w"].sum()
    for logits, found in zip(
        _ref_logits(rows), (report.candidate, report.previous), strict=True
    ):
        label, weight = rows["label"], rows["w"]
        p = special.expit(logits)
        loss = np.average(_ref_losses(logits, label), weights=weight)
        assert found["log_loss"] == pytest.approx(loss, rel=1e-6)
        calibration = np.sum(weight * p) / np.sum(weight * label)
        assert found["calibration"] == pytest.approx(calibration, rel=1e-6)
        auc = metrics.roc_auc_score(label, logits.round(6), sample_weight=weight)
        assert found["auc"] == pytest.approx(auc, abs=2e-3)
        assert "num_examples" not in found


def test_the_differences_are_the_project_s(report, rows):
    p = special.expit(np.stack(_ref_logits(rows)))
    for kind, found in (
        ("relative", report.prediction_difference),
        ("absolute", report.absolute_prediction_difference),
    ):
        expected = pair_means(p, rows["w"], kind)[0, 1]
        assert found == pytest.approx(expected, rel=1e-6)


def test_the_increase_of_the_log_loss_is_paired(report, rows):
    new, old = _ref_logits(rows)
    d = _ref_losses(new, rows["label"]) - _ref_losses(old, rows["label"])
    w = rows["w"]
    mean = np.average(d, weights=w)
    n = np.count_nonzero(w)
    error = np.sqrt(n / (n - 1) * np.sum((w * (d - mean)) ** 2)) / w.sum()
    assert report.log_loss_increase == pytest.approx(mean, rel=1e-5)
    assert report.log_loss_increase_error == pytest.approx(error, rel=1e-5)
    both = report.candidate["log_loss"] - report.previous["log_loss"]
    assert report.log_loss_increase == pytest.approx(both, rel=1e-9)


def test_without_weights_the_error_is_that_of_a_mean(rows, tmp_path):
    ones = {**rows, "w": np.ones(200)}
    report = compare_versions(
        candidate(), previous(), write(tmp_path / "rows.tsv", ones)
    )
    new, old = _ref_logits(rows)
    d = _ref_losses(new, rows["label"]) - _ref_losses(old, rows["label"])
    expected = np.std(d, ddof=1) / math.sqrt(200)
    assert report.log_loss_increase_error == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_size", [7, 200, 4096])
def test_the_size_of_batches_changes_nothing(report, data, batch_size):
    seen = []
    other = compare_versions(
        candidate(),
        previous(),
        open_rows(data),
        batch_size,
        lambda *progress: seen.append(progress),
    )
    for name, value in dataclasses.asdict(other).items():
        assert value == pytest.approx(getattr(report, name), rel=1e-9), name
    assert [done for done, _ in seen] == [
        min(200, batch_size * (i + 1)) for i in range(-(-200 // batch_size))
    ]
    assert seen[-1][1] == pytest.approx(report.candidate["log_loss"])


def test_a_version_does_not_differ_from_itself(data):
    report = compare_versions(candidate(), candidate(), open_rows(data))
    assert report.prediction_difference == 0
    assert report.log_loss_increase == 0
    assert report.log_loss_increase_error == 0
    assert report.candidate == report.previous
    assert broken_bounds(report, PromotionBounds(0.0, 0.0)) == []


def test_figures_are_ready_for_json(report):
    figures = report.figures()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures["candidate"]["log_loss"] == report.candidate["log_loss"]
    assert [*figures] == [field.name for field in dataclasses.fields(report)]
    broken = dataclasses.replace(report, prediction_difference=math.nan).figures()
    assert broken["prediction_difference"] is None


def test_a_column_that_the_rows_do_not_have_is_named(tmp_path, rows):
    schema = dataclasses.replace(SCHEMA, fields=("label", "w", "age", "site"))
    held_out = write(tmp_path / "rows.tsv", rows, schema.fields)
    message = (
        "previous version: expected rows with all raw columns that it takes, received "
        "rows without city, price, tags: no field of the new version's schema ads."
    )
    with pytest.raises(ValueError, match=message):
        compare_versions(candidate(schema), previous(), held_out)


def test_a_column_of_another_type_is_named(data):
    schema = dataclasses.replace(
        SCHEMA,
        numeric=(),
        categorical=(*SCHEMA.categorical, Categorical("age", buckets=10)),
    )
    message = (
        "previous version: expected column age to be a number as in the new version, "
        "received a version that takes text"
    )
    with pytest.raises(ValueError, match=message):
        compare_versions(candidate(), scorer_of(schema, None), open_rows(data))


def test_rows_are_needed_and_a_weight(tmp_path, rows, data):
    light = {**rows, "w": np.zeros(200)}
    held_out = write(tmp_path / "rows.tsv", light)
    with pytest.raises(
        ValueError, match="rows with a weight above 0, received 200 row"
    ):
        compare_versions(candidate(), previous(), held_out)
    (tmp_path / "bad.tsv").write_text("no row\n")
    bad = open_rows(tmp_path / "bad.tsv", max_bad_rows=1)
    with pytest.raises(ValueError, match="data: expected rows, received none"):
        compare_versions(candidate(), previous(), bad)
    with pytest.raises(BadRowError, match="bad.tsv, line 1: expected 7 tab"):
        compare_versions(candidate(), previous(), open_rows(tmp_path / "bad.tsv"))
    convert(data, SCHEMA, tmp_path / "blocks")
    with pytest.raises(
        ValueError, match="data: expected row files, .* received blocks"
    ):
        compare_versions(candidate(), previous(), open_rows(tmp_path / "blocks"))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("broken_one", ["candidate", "previous"])
def test_a_logit_that_is_not_finite_breaks_every_bound(data, value, broken_one):
    versions = {"candidate": candidate(), "previous": candidate()}
    versions[broken_one] = candidate(shift=value)
    report = compare_versions(*versions.values(), open_rows(data))
    assert json.dumps(report.figures(), allow_nan=False)
    assert getattr(report, broken_one)["log_loss"] is None
    bounds = PromotionBounds(max_pd=9.0, max_log_loss_increase=1e9)
    sentences = broken_bounds(report, bounds)
    assert len(sentences) == 2
    for sentence, name in zip(sentences, ("max_pd=9", "max_log_loss"), strict=True):
        assert f"expected finite figures to keep {name}" in sentence
        assert "received a log loss of" in sentence
        assert "nan" in sentence
    assert broken_bounds(report, PromotionBounds()) == []


def test_an_exported_version_of_another_schema(data):
    shape = WideDeepConfig(embedding_dim=2, hidden_units=(4,), embedding_stddev=0.5)
    version = export_saved_model(WideDeep(PREVIOUS, shape), data.parent / "export")
    new, old = Scorer.of(WideDeep(SCHEMA, shape)), Scorer.load(version)
    report = compare_versions(new, old, open_rows(data), 100)
    city = dataclasses.replace(PREVIOUS.categorical[1], pattern="")
    anything = dataclasses.replace(PREVIOUS, categorical=(SCHEMA.categorical[0], city))
    logits = []
    for scorer, schema in ((new, SCHEMA), (old, anything)):
        batches = open_rows(data).batches(schema, 100, transform=scorer.transform)
        found = [part.logit for part in predict(scorer, batches)]
        logits.append(np.concatenate(found).astype(float))
    rows = make_rows()
    p = special.expit(np.stack(logits))
    assert report.prediction_difference == pytest.approx(
        pair_means(p, rows["w"])[0, 1], rel=1e-6
    )
    assert report.prediction_difference > 0.01
    losses = [
        np.average(_ref_losses(z, rows["label"]), weights=rows["w"]) for z in logits
    ]
    assert report.log_loss_increase == pytest.approx(losses[0] - losses[1], rel=1e-4)
