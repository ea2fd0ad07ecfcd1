"""models/slices.py against NumPy and scikit-learn on the rows of each slice."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from films import SCHEMA, make_rows

from smelu_tf.models import slices as slices_module
from smelu_tf.models.slice_columns import slice_columns
from smelu_tf.models.slices import Slices
from smelu_tf.pipelines import (
    Categorical,
    Numeric,
    Schema,
    Transform,
    complete_schema,
    raw_columns,
)

NUM_ROWS = 3000


@pytest.fixture(scope="module")
def films():
    """Rows as dicts, their schema and features; labels, logits and weights."""
    rows = make_rows(NUM_ROWS)
    frame = {name: [row[name] for row in rows] for name in rows[0]}
    raw = raw_columns(frame, SCHEMA)
    labels = np.array(frame["rating"])
    schema = complete_schema(SCHEMA, [{**raw, "rating": labels}])
    random = np.random.default_rng(0)
    label = (random.random(NUM_ROWS) < 0.3).astype(np.float32)
    logit = random.normal(-1, 1, NUM_ROWS).astype(np.float32)
    weight = random.choice([0.5, 1.0, 2.0], NUM_ROWS).astype(np.float32)
    return rows, schema, Transform(schema)(raw), label, logit, weight


def figures_of(schema, columns, features, label, logit, weight, batch_size=700):
    slices = Slices(schema, columns)
    for start in range(0, len(label), batch_size):
        part = slice(start, start + batch_size)
        batch = {name: value[part] for name, value in features.items()}
        slices.update(batch, label[part], logit[part], weight[part])
    return slices.figures()


def check(row, inside, label, logit, weight):
    """A slice's figures are those of its rows."""
    y, z, w = (v[inside].astype(np.float64) for v in (label, logit, weight))
    p = 1 / (1 + np.exp(-z))
    loss = np.average(-np.where(y == 1, np.log(p), np.log1p(-p)), weights=w)
    rate = np.average(y, weights=w)
    assert row["num_examples"] == inside.sum()
    assert row["weight"] == w.sum()
    assert row["log_loss"] == pytest.approx(loss, rel=1e-9)
    assert row["prediction"] == pytest.approx(np.average(p, weights=w), rel=1e-9)
    assert row["label"] == pytest.approx(rate, rel=1e-9)
    assert row["label_low"] <= rate <= row["label_high"]
    if not 0 < rate < 1:
        assert row["auc"] is None
        return
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert row["normalized_entropy"] == pytest.approx(loss / entropy, rel=1e-9)
    metrics = pytest.importorskip("sklearn.metrics")
    tied = np.floor(z * 256)  # as bins of the histogram tie them
    auc = metrics.roc_auc_score(y, tied, sample_weight=w)
    assert row["auc"] == pytest.approx(auc, rel=1e-9)


def test_slices_of_a_vocabulary_are_shown_by_their_values(films):
    rows, schema, *data = films
    (user,) = (c for c in schema.categorical if c.name == "user")
    got = figures_of(schema, ["user"], *data)["user"]
    values = np.array(["missing" if r["user"] is None else r["user"] for r in rows])
    known = {"missing", *user.vocabulary}
    shown = {row["value"]: row for row in got}
    assert len(got) == 51 and got[-1]["value"] == "other"
    weights = [row["weight"] for row in got[:-1]]
    assert weights == sorted(weights, reverse=True)
    for value, row in shown.items():
        if value in known:
            check(row, values == value, *data[1:])
    seen = [value for value in shown if value in known]
    unknown = [value for value in shown if value.startswith("unknown ")]
    assert len(seen) + len(unknown) == 50


def test_other_holds_all_rows_that_no_slice_shows(films):
    rows, schema, features, *data = films
    got = figures_of(schema, ["user"], features, *data)["user"]
    names = dict(enumerate(f"unknown {i}" for i in range(1, 5)))
    (column,) = slice_columns(schema, ["user"])
    ids = features["ids"].numpy()[:, schema.id_columns.index("user")]
    shown = {row["value"] for row in got[:-1]}
    inside = np.array([column.value(int(i)) not in shown for i in ids])
    assert names and inside.any()
    check(got[-1], inside, *data)


def test_slices_of_hashed_ids_and_crosses_are_shown_by_their_ids(films):
    _, schema, features, *data = films
    got = figures_of(schema, ["site", "site_x_age_bin"], features, *data)
    for name in got:
        ids = features["ids"].numpy()[:, schema.id_columns.index(name)]
        for row in got[name]:
            if row["value"] == "missing":
                check(row, ids == 0, *data)
            elif row["value"] != "other":
                check(row, ids == int(row["value"].removeprefix("id ")), *data)
    assert len(got["site"]) == 4


def test_a_row_is_in_the_slice_of_each_of_its_values_once(films):
    rows, schema, *data = films
    got = figures_of(schema, ["genres"], *data)["genres"]
    firsts = [(row["genres"] or "").split("|")[:3] for row in rows]
    assert {row["value"] for row in got} == {"missing", "a", "b", "c", "d", "é"}
    for row in got:
        value = "" if row["value"] == "missing" else row["value"]
        check(row, np.array([value in first for first in firsts]), *data[1:])


def inside_interval(name, value):
    """Whether a raw value lies in the slice of a name, read as a reader would."""
    if value is None or name == "missing":
        return value is None and name == "missing"
    name = name.replace(",", "")
    if name.endswith(" or less"):
        return value <= float(name.split()[0])
    if name.endswith(" or more"):
        return value >= float(name.split()[0])
    if name.startswith("below "):
        return value < float(name.split()[1])
    if " up to " in name:
        low, high = map(float, name.split(" up to "))
        return low <= value < high
    low, _, high = name.partition(" to ")
    return float(low) <= value <= float(high or low)


@pytest.mark.parametrize("column", ["age", "price", "age_bin"])
def test_numbers_are_sliced_along_their_scale(films, column):
    """`age` is standardized and has negative values; `price` is clipped to 0 … 50."""
    rows, schema, *data = films
    got = figures_of(schema, [column], *data)[column]
    values = [row[column.removesuffix("_bin")] for row in rows]
    names = [row["value"] for row in got]
    assert names[0] == "missing" and "other" not in names
    if column == "price":
        values = [v if v is None else min(max(v, 0.0), 50.0) for v in values]
        names_of_zero = [name for name in names if inside_interval(name, 0.0)]
        assert names_of_zero == ["below 0.000976562"]
    total = np.zeros(len(rows))
    for row in got:
        inside = np.array([inside_interval(row["value"], v) for v in values])
        check(row, inside, *data[1:])
        total += inside
    assert np.all(total == 1)


def test_integers_around_a_power_of_two_are_in_two_slices():
    schema = Schema("counts", (Numeric("n"),), ())
    (column,) = slice_columns(schema, ["n"])
    for exponent in range(1, 20):
        below, at = column.slices_of(
            Transform(schema)({"n": np.array([2.0**exponent - 1, 2.0**exponent])})
        )
        assert at == below + 1
        assert column.value(at).replace(",", "").startswith(f"{2**exponent} to ")
    zero = column.slices_of(Transform(schema)({"n": np.array([-3.0, 0.0, np.nan])}))
    assert [column.value(i) for i in zero] == ["0 or less", "0 or less", "missing"]


def test_a_slice_that_grows_late_has_all_figures_but_the_areas(monkeypatch):
    monkeypatch.setattr(slices_module, "_NUM_FIRST_ROWS", 400)
    monkeypatch.setattr(slices_module, "_NUM_HISTOGRAMS", 3)
    monkeypatch.setattr(slices_module, "MAX_SLICES", 2)
    schema = Schema("ads", (), (Categorical("site", buckets=100),))
    random = np.random.default_rng(1)
    early, late = random.choice([1, 1, 1, 2, 2, 3], 500), np.full(900, 9)
    ids = np.concatenate([early, late])
    label = (random.random(1400) < 0.5).astype(np.float32)
    logit = random.normal(size=1400).astype(np.float32)
    features = {"ids": tf.constant(ids[:, None], tf.int32)}
    weight = np.ones(1400, np.float32)
    got = figures_of(schema, ["site"], features, label, logit, weight, 100)["site"]
    assert [row["value"] for row in got] == ["id 9", "id 1", "other"]
    late, first, other = got
    check(first, ids == 1, label, logit, weight)
    assert late["auc"] is None and other["auc"] is None
    for row, inside in ((late, ids == 9), (other, (ids == 2) | (ids == 3))):
        assert row["num_examples"] == inside.sum()
        p = 1 / (1 + np.exp(-logit[inside].astype(np.float64)))
        loss = -np.mean(np.log(np.where(label[inside] == 1, p, 1 - p)))
        assert row["log_loss"] == pytest.approx(loss, rel=1e-9)


def test_figures_do_not_depend_on_the_batches(films):
    _, schema, *data = films
    names = ["user", "genres", "age"]
    one, two = (figures_of(schema, names, *data, size) for size in (111, NUM_ROWS))
    for name in names:
        for ours, theirs in zip(one[name], two[name], strict=True):
            assert ours.keys() == theirs.keys()
            for key, value in ours.items():
                if isinstance(value, float):
                    value = pytest.approx(value, rel=1e-12)
                assert theirs[key] == value, key


def test_slices_without_weight_or_clicks_are_ready_for_json():
    schema = Schema("ads", (), (Categorical("site", buckets=100),))
    features = {"ids": tf.constant([[1], [2], [2]], tf.int32)}
    got = figures_of(
        schema, ["site"], features, *np.float32([[0] * 3, [1] * 3, [0, 1, 1]])
    )
    assert json.dumps(got, allow_nan=False)
    assert [row["label"] for row in got["site"]] == [0.0, None]


def test_an_unknown_column_is_named_with_the_nearest(films):
    schema = dataclasses.replace(films[1], name="films")
    with pytest.raises(
        ValueError,
        match="slices: expected a column of the schema films, received "
        "'genre'; the nearest is genres",
    ):
        Slices(schema, ["age", "genre"])
