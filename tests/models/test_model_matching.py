"""models/model_matching.py: whose rows and places a warm start takes over."""

import dataclasses

import numpy as np
import pytest
from ads_models import SCHEMA, SHAPE, changed, logits_of, rows_of, saved, with_columns

from smelu_tf.models import WideDeep, warm_start
from smelu_tf.models.model_weights import ModelWeights
from smelu_tf.pipelines import Categorical, Numeric


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "source"
    return saved(folder), folder


@pytest.mark.parametrize("part", ["wide", "deep"])
@pytest.mark.parametrize(
    ("column", "vocabulary", "same"),
    [
        ("site", ("c", "new", "a"), [0, 1, 4, None, 2]),
        ("tags", ("new", "y", "x"), [0, 1, None, 3, 2]),
    ],
)
def test_a_vocabulary_s_rows_follow_their_values(
    source, part, column, vocabulary, same
):
    other, folder = source
    model = WideDeep(changed(column, vocabulary=vocabulary), SHAPE)
    before = rows_of(model, part, column)
    warm_start(model, folder)
    after, theirs = rows_of(model, part, column), rows_of(other, part, column)
    for i, j in enumerate(same):
        np.testing.assert_array_equal(after[i], before[i] if j is None else theirs[j])


def test_a_value_s_score_is_the_same_whatever_its_id(source):
    other, folder = source
    schema = dataclasses.replace(
        changed("site", vocabulary=("new", "c", "b")), crosses=()
    )
    shape = dataclasses.replace(SHAPE, crosses=())
    model = WideDeep(schema, shape)
    warm_start(model, folder)
    # Without what the crosses add, which stand for other ids now.
    without = WideDeep(dataclasses.replace(SCHEMA, crosses=()), shape)
    warm_start(without, folder)
    np.testing.assert_array_equal(logits_of(model), logits_of(without))


def test_hashed_rows_are_fresh_with_other_buckets_but_for_the_missing_id(source):
    other, folder = source
    model = WideDeep(changed("user", buckets=12), SHAPE)
    before = rows_of(model, "deep", "user")
    result = warm_start(model, folder)
    after = rows_of(model, "deep", "user")
    np.testing.assert_array_equal(after[1:], before[1:])
    np.testing.assert_array_equal(after[0], rows_of(other, "deep", "user")[0])
    (rows,) = [r for r in result.rows if (r.part, r.column) == ("deep", "user")]
    assert (rows.num_carried, rows.num_fresh) == (1, 11)
    assert rows.reason == "ids stand for other values there"


def test_hashed_rows_are_fresh_with_another_hash_seed(source):
    model = WideDeep(dataclasses.replace(SCHEMA, seed=1), SHAPE)
    before = rows_of(model, "deep", "user")
    warm_start(model, source[1])
    np.testing.assert_array_equal(rows_of(model, "deep", "user")[1:], before[1:])


def test_bins_are_fresh_with_other_boundaries(source):
    model = WideDeep(changed("age", boundaries=(1.0, 2.0)), SHAPE)
    before = rows_of(model, "wide", "age_bin")
    warm_start(model, source[1])
    np.testing.assert_array_equal(rows_of(model, "wide", "age_bin")[1:], before[1:])


@pytest.mark.parametrize(
    ("part", "cross"), [("wide", "site*user"), ("wide", "site_x_user")]
)
def test_a_cross_is_fresh_where_a_column_s_ids_have_changed(source, part, cross):
    model = WideDeep(changed("site", vocabulary=("b", "a", "c")), SHAPE)
    before = rows_of(model, part, cross)
    warm_start(model, source[1])
    np.testing.assert_array_equal(rows_of(model, part, cross)[1:], before[1:])


def test_a_cross_of_unchanged_columns_is_taken_over(source):
    other, folder = source
    model = WideDeep(changed("site", vocabulary=("b", "a", "c")), SHAPE)
    warm_start(model, folder)
    np.testing.assert_array_equal(
        rows_of(model, "wide", "age_bin*user"), rows_of(other, "wide", "age_bin*user")
    )


def test_a_cross_in_another_order_is_another_cross(source):
    shape = dataclasses.replace(SHAPE, crosses=("user*site",))
    result = warm_start(WideDeep(SCHEMA, shape), source[1])
    (rows,) = [r for r in result.rows if r.column == "user*site"]
    assert (rows.num_carried, rows.reason) == (0, "not in the other model")


def test_a_new_column_s_rows_and_places_are_fresh(source):
    other, folder = source
    shape = dataclasses.replace(SHAPE, crosses=())
    categorical = (Categorical("new", buckets=5), *SCHEMA.categorical)
    model = WideDeep(with_columns(categorical=categorical), shape)
    weights = ModelWeights(model)
    before = weights["deep/mlp/hidden_0/kernel"]
    result = warm_start(model, folder)
    after, theirs = (
        weights["deep/mlp/hidden_0/kernel"],
        ModelWeights(other)["deep/mlp/hidden_0/kernel"],
    )
    np.testing.assert_array_equal(after[4:8], before[4:8])
    np.testing.assert_array_equal(after[:4], theirs[:4])
    np.testing.assert_array_equal(after[8:], theirs[4:])
    assert result.carried_by_column == ("deep/mlp/hidden_0/kernel",)


def test_a_removed_column_leaves_the_others_as_they_were(source):
    other, folder = source
    schema = with_columns(multivalued=())
    model = WideDeep(schema, SHAPE)
    warm_start(model, folder)
    for column in ("site", "user", "age_bin", "site_x_user"):
        np.testing.assert_array_equal(
            rows_of(model, "deep", column), rows_of(other, "deep", column)
        )
    kernels = [ModelWeights(m)["deep/mlp/hidden_0/kernel"] for m in (model, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1][: len(kernels[0])])


def test_numeric_places_follow_their_columns(source):
    other, folder = source
    numeric = (Numeric("new"), SCHEMA.numeric[1], SCHEMA.numeric[0])
    model = WideDeep(with_columns(numeric=numeric), SHAPE)
    warm_start(model, folder)
    kernel, theirs = (ModelWeights(m)["wide/numeric/kernel"] for m in (model, other))
    expected = [0, 0, *theirs[[2, 3, 0, 1], 0]]
    np.testing.assert_array_equal(kernel[:, 0], np.float32(expected))


def test_a_numeric_column_s_places_are_fresh_with_another_transform(source):
    other, folder = source
    model = WideDeep(changed("price", transform="log1p"), SHAPE)
    warm_start(model, folder)
    kernel, theirs = (ModelWeights(m)["wide/numeric/kernel"] for m in (model, other))
    np.testing.assert_array_equal(kernel[:, 0], [*theirs[:2, 0], 0, 0])


def test_an_embedding_of_another_width_is_fresh_and_the_net_goes_on(source):
    model = WideDeep(SCHEMA, dataclasses.replace(SHAPE, embedding_dim=3))
    before = rows_of(model, "deep", "site")
    result = warm_start(model, source[1])
    np.testing.assert_array_equal(rows_of(model, "deep", "site"), before)
    reasons = {rows.reason for rows in result.rows if rows.part == "deep"}
    assert reasons == {"width 3, there 4"}
    assert "deep/mlp/hidden_1/kernel" in result.carried


@pytest.mark.parametrize("hidden_units", [(7, 5), (6,), (6, 5, 5)])
def test_another_net_is_refused_and_nothing_changes(source, hidden_units):
    model = WideDeep(SCHEMA, dataclasses.replace(SHAPE, hidden_units=hidden_units))
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"source: .*hidden_units is \(6, 5\) there"):
        warm_start(model, source[1])
    for ours, earlier in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, earlier)
