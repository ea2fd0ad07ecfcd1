"""models/warm_start.py: a fresh model takes over what another one has learned."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.models import TrainConfig, WideDeep, WideDeepConfig, WideDeepOptimizer
from smelu_tf.models.id_spaces import NONE, id_spaces, same_ids
from smelu_tf.models.model_weights import ModelWeights, column_tables
from smelu_tf.models.warm_start import warm_start
from smelu_tf.pipelines import Categorical, Cross, MultiValued, Numeric, Schema

SCHEMA = Schema(
    "ads",
    (Numeric("age", binned=True), Numeric("price", transform="none")),
    (Categorical("site", vocabulary=("a", "b", "c")), Categorical("user", buckets=9)),
    multivalued=(MultiValued("tags", vocabulary=("x", "y"), max_values=3),),
    crosses=(Cross(("site", "user"), 20),),
)
SHAPE = WideDeepConfig(
    crosses=("site*user", "age_bin*user"), embedding_dim=4, hidden_units=(6, 5)
)


def saved(folder, schema=SCHEMA, shape=SHAPE):
    """A model_dir of a model with weights that occur nowhere else, and the model."""
    model = WideDeep(schema, shape, seed=1)
    rng = np.random.default_rng(7)
    for variable in model.variables:
        variable.assign(rng.normal(size=variable.shape))
    folder.mkdir()
    config = dataclasses.replace(TrainConfig(), model=shape)
    (folder / "config.json").write_text(config.to_json())
    (folder / "schema.json").write_text(schema.to_json())
    tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model), str(folder / "checkpoints"), 1
    ).save()
    return model


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "source"
    return saved(folder), folder


def rows_of(model, part, column):
    (table,) = [t for t in column_tables(model) if (t.part, t.column) == (part, column)]
    array = ModelWeights(model)[table.path]
    return array[table.offset : table.offset + table.num_ids]


def weights_of(model):
    """All weights, without the row that is there for padding alone."""
    weights = ModelWeights(model)
    rows = {t.path: t.offset + t.num_ids for t in column_tables(model)}
    return {path: weights[path][: rows.get(path)] for path in weights}


def assert_same_weights(model, other):
    theirs = weights_of(other)
    for path, ours in weights_of(model).items():
        np.testing.assert_array_equal(ours, theirs[path], path)


def with_columns(**columns):
    return dataclasses.replace(SCHEMA, fields=(), **columns)


def logits_of(model, **columns):
    raw = {"age": [3.0], "price": [2.0], "site": ["b"], "user": ["u"], "tags": ["x|y"]}
    return model.predict({**raw, **columns}, verbose=0)


def changed(name, **values):
    """The schema with another column of this name."""

    def of(columns):
        return tuple(
            dataclasses.replace(c, **values) if c.name == name else c for c in columns
        )

    return dataclasses.replace(
        SCHEMA,
        numeric=of(SCHEMA.numeric),
        categorical=of(SCHEMA.categorical),
        multivalued=of(SCHEMA.multivalued),
    )


def test_of_the_same_schema_all_weights_are_taken_over(source):
    other, folder = source
    model = WideDeep(SCHEMA, SHAPE)
    result = warm_start(model, folder)
    assert_same_weights(model, other)
    assert not result.fresh
    assert not result.carried_by_column
    assert sum(rows.num_fresh for rows in result.rows) == 0


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


UNKNOWN = Schema("a", (), (Categorical("c", vocabulary=("v",), oov_buckets=3),))


def test_unknown_ids_have_unknown_ids_as_counterparts():
    one = Schema("b", (), (Categorical("c", vocabulary=("v",)),))
    assert same_ids("c", UNKNOWN, one).tolist() == [0, 1, 1, 1, 2]
    assert same_ids("c", one, UNKNOWN).tolist() == [0, 1, 4]


def test_several_unknown_ids_depend_on_the_hash_s_seed():
    other = dataclasses.replace(UNKNOWN, seed=1)
    assert id_spaces(UNKNOWN) != id_spaces(other)


def test_hashed_ids_have_no_counterparts_in_a_vocabulary():
    hashed = Schema("b", (), (Categorical("c", buckets=3),))
    assert same_ids("c", hashed, UNKNOWN).tolist() == [0, NONE, NONE]


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
