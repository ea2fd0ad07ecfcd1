"""models/tpu_checks.py: what a TPU cannot do is said before anything is sent."""

import dataclasses

import pytest

from smelu_tf.models import (
    DataConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
    WideDeepConfig,
)
from smelu_tf.models.tpu_checks import (
    check_tpu,
    large_table_bytes,
)
from smelu_tf.models.tpu_chips import CHIPS
from smelu_tf.pipelines import Categorical, MultiValued, Numeric, Schema

SCHEMA = Schema(
    "s",
    numeric=(Numeric("age"),),
    categorical=(
        Categorical("site", buckets=3_000_001),
        Categorical("kind", buckets=50),
    ),
    multivalued=(MultiValued("tags", buckets=2_000, max_values=3),),
)
TPU = WideDeepConfig(embedding_dim=12, tables="tpu", tpu_table_ids=1000)


def config(model=TPU, **sections):
    data = sections.pop("data", DataConfig(batch_size=64))
    return TrainConfig(data=data, model=model, **sections)


def changed(**fields):
    return dataclasses.replace(TPU, **fields)


def test_what_a_tpu_can_do_passes():
    check_tpu(config(), SCHEMA, 8)
    check_tpu(config(), SCHEMA, 8, CHIPS["v5p"])
    check_tpu(config(data=DataConfig(batch_size=24)), SCHEMA, 4, CHIPS["v6e"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"data": DataConfig(batch_size=100)},
            "data.batch_size: expected a multiple of 8, the TPU's replicas, "
            "received 100",
        ),
        (
            {"data": DataConfig(batch_size=72)},
            r"data.batch_size: expected a multiple of 32 \(the 4 SparseCores of each "
            r"of 8 replicas\), received 72",
        ),
        (
            {"data": DataConfig(batch_size=64, negative_rate=0.5)},
            "data.negative_rate: expected 1 on a TPU, whose program has static shapes",
        ),
        (
            {"loss": LossConfig(distillation=1.0, teachers=("a", "b"))},
            "loss.teachers: expected none on a TPU, .* received a, b",
        ),
        (
            {"optimizer": OptimizerConfig(clip_norm=1.0)},
            "optimizer.clip_norm: expected 0 where a TPU looks up site .*its gradients "
            "do not leave the embedding hardware; received 1.0",
        ),
        (
            {"optimizer": OptimizerConfig(averaging=0.9)},
            "optimizer.averaging: expected 0 where a TPU looks up site .* no averages",
        ),
        (
            {"model": changed(unknown_rate=0.1)},
            "model.unknown_rate: expected 0 where a TPU looks up site",
        ),
    ],
)
def test_what_it_cannot_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        check_tpu(config(**wrong), SCHEMA, 8, CHIPS["v5p"])


def test_tables_are_not_divided_where_nothing_divides_them():
    message = "model.tables: expected stacked on a TPU without embedding hardware"
    with pytest.raises(ValueError, match=message):
        check_tpu(config(), SCHEMA, 8, has_embedding_hardware=False)
    stacked = config(model=changed(tables="stacked"))
    check_tpu(stacked, SCHEMA, 8, has_embedding_hardware=False)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="compare_to: expected none on a TPU.*d v1;"):
        check_tpu(config(), SCHEMA, 8, compare_to="v1")
    message = "warm_start: expected none where a TPU looks up site .* received last;"
    with pytest.raises(ValueError, match=message):
        check_tpu(config(), SCHEMA, 8, warm_start="last")
    check_tpu(config(model=changed(tables="stacked")), SCHEMA, 8, warm_start="last")


def test_stacked_tables_take_what_the_embedding_hardware_does_not():
    optimizer = OptimizerConfig(clip_norm=1.0, averaging=0.9)
    model = changed(tables="stacked", unknown_rate=0.1)
    check_tpu(config(model=model, optimizer=optimizer), SCHEMA, 8)


def test_tables_that_do_not_fit_are_refused_with_a_remedy():
    huge = changed(embedding_dim=1024, tables="stacked")
    with pytest.raises(
        ValueError,
        match=r"tables: expected at most 16.00 GB on each of 8 v5e chips, received "
        r"36.93 GB \(36.93 GB of them in stacked tables.*model.tables=tpu divides",
    ):
        check_tpu(config(model=huge), SCHEMA, 8, CHIPS["v5e"])
    divided = changed(embedding_dim=1024)
    check_tpu(config(model=divided), SCHEMA, 8, CHIPS["v5e"])
    with pytest.raises(ValueError, match="on each of 2 v5e chips.* more chips, fewer"):
        check_tpu(config(model=divided), SCHEMA, 2, CHIPS["v5e"])


@pytest.mark.parametrize(("name", "slots"), [("adam", 2), ("adagrad", 1)])
def test_memory_is_that_of_rows_and_what_is_kept_of_each(name, slots):
    whole = config(optimizer=OptimizerConfig(name=name))
    site, tags = -(-3_000_001 // 4), 2_000 // 4
    # Widths 12 and 1 are padded to 16 and 8.
    expected = 4 * (site + tags) * (16 * (1 + slots) + 8 * 3)
    assert large_table_bytes(whole, SCHEMA, num_chips=4) == expected


def test_a_part_that_is_not_there_takes_no_memory():
    deep = config(model=changed(wide=False))
    wide = config(model=changed(deep=False))
    both = large_table_bytes(deep, SCHEMA, 1) + large_table_bytes(wide, SCHEMA, 1)
    assert both == large_table_bytes(config(), SCHEMA, 1)
