"""models/warm_start.py: a fresh model takes over what another one has learned."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from ads_models import (
    SCHEMA,
    SHAPE,
    assert_same_weights,
    changed,
    logits_of,
    rows_of,
    saved,
    weights_of,
    with_columns,
)

from smelu_tf.models import WideDeep, WideDeepOptimizer, warm_start
from smelu_tf.models.model_weights import ModelWeights, column_tables
from smelu_tf.pipelines import Categorical, Schema


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "source"
    return saved(folder), folder


def test_of_the_same_schema_all_weights_are_taken_over(source):
    other, folder = source
    model = WideDeep(SCHEMA, SHAPE)
    result = warm_start(model, folder)
    assert_same_weights(model, other)
    assert not result.fresh
    assert not result.carried_by_column
    assert sum(rows.num_fresh for rows in result.rows) == 0


def test_without_the_net_tables_and_wide_part_are_taken_over(source):
    other, folder = source
    model = WideDeep(SCHEMA, dataclasses.replace(SHAPE, hidden_units=(3,)))
    fresh = ModelWeights(model)["deep/mlp/hidden_0/kernel"]
    result = warm_start(model, folder, dense=False)
    ours, theirs = weights_of(model), weights_of(other)
    for path in ("wide/bias", "wide/numeric/kernel", "wide/ids/table"):
        np.testing.assert_array_equal(ours[path], theirs[path])
    np.testing.assert_array_equal(
        rows_of(model, "deep", "site"), rows_of(other, "deep", "site")
    )
    np.testing.assert_array_equal(ours["deep/mlp/hidden_0/kernel"], fresh)
    assert "deep/logit/kernel" in result.fresh


@pytest.mark.parametrize("part", ["wide", "deep"])
def test_a_part_that_the_other_model_lacks_is_fresh(tmp_path, part):
    saved(tmp_path / "run", shape=dataclasses.replace(SHAPE, **{part: False}))
    model = WideDeep(SCHEMA, SHAPE)
    before = weights_of(model)
    result = warm_start(model, tmp_path / "run")
    for path, value in weights_of(model).items():
        is_same = np.array_equal(value, before[path])
        assert is_same == path.startswith(part), path
    assert {path.partition("/")[0] for path in result.fresh} == {part}


def test_a_model_without_common_columns_is_refused(source):
    schema = Schema("x", (), (Categorical("other", buckets=4),))
    model = WideDeep(schema, dataclasses.replace(SHAPE, crosses=()))
    with pytest.raises(ValueError, match="expected a model that shares columns"):
        warm_start(model, source[1])


def test_what_is_no_model_dir_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a model_dir"):
        warm_start(WideDeep(SCHEMA, SHAPE), tmp_path)


def test_a_model_dir_without_checkpoint_is_refused(source, tmp_path):
    for name in ("config.json", "schema.json"):
        (tmp_path / name).write_text((source[1] / name).read_text())
    with pytest.raises(ValueError, match="expected a checkpoint, received none"):
        warm_start(WideDeep(SCHEMA, SHAPE), tmp_path)


def test_a_model_whose_optimizer_has_begun_is_refused(source):
    model = WideDeep(SCHEMA, SHAPE)
    model.compile(WideDeepOptimizer())
    model.optimizer.apply_gradients([(tf.ones([1]), model.wide.bias)])
    with pytest.raises(ValueError, match="expected one whose optimizer has made no"):
        warm_start(model, source[1])


def test_wide_weights_that_were_taken_over_outlive_their_first_update(source):
    """FTRL's weights follow from its sums, which start anew."""
    other, folder = source
    model = WideDeep(SCHEMA, SHAPE)
    warm_start(model, folder)
    optimizer = WideDeepOptimizer(l1=0.01, l2=0.1)
    nothing = [(tf.zeros_like(v), v) for v in model.trainable_variables]
    optimizer.apply_gradients(nothing)
    for path in ("wide/bias", "wide/numeric/kernel", "wide/ids/table"):
        ours, theirs = weights_of(model)[path], weights_of(other)[path]
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, err_msg=path)


NETS = {
    "none": {},
    "cross layers": {"interaction": "dcn"},
    "low-rank cross layers": {"interaction": "dcn", "cross_rank": 2},
    "products": {"interaction": "dlrm", "bottom_units": (3,)},
    "bottleneck": {"bottleneck": 2},
    "layer norm": {"normalization": "layer"},
    "two widths": {"column_dims": ("site:7", "tags:2")},
}


@pytest.mark.parametrize("values", NETS.values(), ids=NETS)
def test_all_weights_of_any_net_are_taken_over(tmp_path, values):
    shape = dataclasses.replace(SHAPE, **values)
    other = saved(tmp_path / "run", shape=shape)
    model = WideDeep(SCHEMA, shape)
    result = warm_start(model, tmp_path / "run")
    assert not result.fresh + result.carried_by_column
    assert_same_weights(model, other)


@pytest.mark.parametrize("values", NETS.values(), ids=NETS)
def test_columns_may_come_in_another_order_in_any_net(tmp_path, values):
    shape = dataclasses.replace(SHAPE, **values)
    other = saved(tmp_path / "run", shape=shape)
    schema = with_columns(
        numeric=SCHEMA.numeric[::-1], categorical=SCHEMA.categorical[::-1]
    )
    model = WideDeep(schema, shape)
    warm_start(model, tmp_path / "run")
    # The schema's and the model's crosses know their columns by name.
    np.testing.assert_allclose(logits_of(model), logits_of(other), rtol=1e-4)


@pytest.mark.parametrize("values", NETS.values(), ids=NETS)
def test_a_column_may_be_added_to_any_net(tmp_path, values):
    """With an embedding of 0, and a kernel of 0 below it, it changes nothing."""
    shape = dataclasses.replace(SHAPE, crosses=(), **values)
    other = saved(tmp_path / "run", shape=shape)
    categorical = (*SCHEMA.categorical, Categorical("new", buckets=5))
    model = WideDeep(with_columns(categorical=categorical), shape)
    for variable in model.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    warm_start(model, tmp_path / "run")
    np.testing.assert_allclose(logits_of(model, new=["n"]), logits_of(other), rtol=1e-4)


def test_dropout_may_be_added(source):
    model = WideDeep(SCHEMA, dataclasses.replace(SHAPE, dropout=0.5))
    assert not warm_start(model, source[1]).fresh


def test_a_mirrored_model_takes_over_the_same(source):
    other, folder = source
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model = WideDeep(SCHEMA, SHAPE)
        warm_start(model, folder)
    assert_same_weights(model, other)


def test_the_summary_tells_every_column_and_what_was_fresh(source):
    model = WideDeep(changed("site", vocabulary=("a", "d")), SHAPE)
    text = str(warm_start(model, source[1]))
    assert text.startswith(f"warm start from {source[1]}\n")
    (line,) = [x for x in text.splitlines() if x.startswith("deep  site ")]
    assert line.split()[2:] == ["3", "rows", "carried", "1", "fresh"]
    assert "weights carried by column: deep/mlp/hidden_0/kernel" in text


@pytest.mark.parametrize("tables", ["shared", "separate"])
@pytest.mark.parametrize("interaction", ["none", "dcn", "dlrm"])
def test_an_ensemble_takes_over_an_ensemble(tmp_path, tables, interaction):
    shape = dataclasses.replace(
        SHAPE, interaction=interaction, towers=3, tower_tables=tables
    )
    other = saved(tmp_path / "other", shape=shape)
    model = WideDeep(SCHEMA, shape)
    result = warm_start(model, tmp_path / "other")
    assert_same_weights(model, other)
    assert not result.fresh
    # Another order of values, then a column less: every tower follows.
    model = WideDeep(changed("site", vocabulary=("c", "a", "b")), shape)
    warm_start(model, tmp_path / "other")
    for part in {t.part for t in column_tables(model)}:
        theirs = rows_of(other, part, "site")[[0, 1, 4, 2, 3]]
        np.testing.assert_array_equal(rows_of(model, part, "site"), theirs)
    model = WideDeep(with_columns(numeric=SCHEMA.numeric[:1]), shape)
    warm_start(model, tmp_path / "other")
    ours, weights = ModelWeights(model), ModelWeights(other)
    kernels = [
        path
        for path in ours
        if path.endswith(("mlp/hidden_0/kernel", "bottom/hidden_0/kernel"))
    ]
    assert len(kernels) == (6 if interaction == "dlrm" else 3)
    for path in kernels:
        here, there = ours[path], weights[path]
        if len(here) < len(there):  # the places of price, the second numeric column
            there = np.delete(there, [2, 3], axis=0)
        np.testing.assert_array_equal(here, there, path)


def test_an_ensemble_is_no_net_of_a_single_model_s_shape(source):
    _, folder = source
    model = WideDeep(SCHEMA, dataclasses.replace(SHAPE, towers=2))
    with pytest.raises(ValueError, match=r"model\.towers is 1 there, 2 here"):
        warm_start(model, folder)
    other, _ = source
    warm_start(model, folder, dense=False)
    np.testing.assert_array_equal(
        rows_of(model, "deep", "site"), rows_of(other, "deep", "site")
    )


def test_of_towers_with_tables_of_their_own_the_first_takes_over_a_single_model(source):
    other, folder = source
    shape = dataclasses.replace(SHAPE, towers=2, tower_tables="separate")
    model = WideDeep(SCHEMA, shape)
    before = rows_of(model, "tower_1/deep", "site")
    result = warm_start(model, folder, dense=False)
    for part in ("wide", "deep"):
        np.testing.assert_array_equal(
            rows_of(model, part, "site"), rows_of(other, part, "site")
        )
    np.testing.assert_array_equal(rows_of(model, "tower_1/deep", "site"), before)
    reasons = {r.reason for r in result.rows if r.part.startswith("tower_1")}
    assert reasons == {"not in the other model"}
