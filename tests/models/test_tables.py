"""models/tables.py: which columns' tables stand alone."""

import pytest

from smelu_tf.models import WideDeepConfig
from smelu_tf.models.tables import LargeTable, large_columns, large_tables
from smelu_tf.pipelines import Categorical, MultiValued, Numeric, Schema

SCHEMA = Schema(
    "s",
    numeric=(Numeric("age"),),
    categorical=(Categorical("site", buckets=300), Categorical("kind", buckets=5)),
    multivalued=(MultiValued("tags", buckets=200, max_values=3),),
)


def tpu(**fields):
    return WideDeepConfig(**{"tables": "tpu", "tpu_table_ids": 199, **fields})


def test_columns_of_many_ids_have_tables_of_their_own_in_both_parts():
    config = tpu(column_dims=("tags:4",))
    assert large_tables(SCHEMA, config) == (
        LargeTable("wide", "site", 300, 1),
        LargeTable("wide", "tags", 200, 1, 3),
        LargeTable("deep", "site", 300, 8),
        LargeTable("deep", "tags", 200, 4, 3),
    )
    assert large_columns(SCHEMA, config) == {"site", "tags"}
    assert [table.name for table in large_tables(SCHEMA, config)][1] == "wide/tags"


def test_a_part_that_is_not_there_has_none():
    assert {t.part for t in large_tables(SCHEMA, tpu(wide=False))} == {"deep"}
    assert {t.part for t in large_tables(SCHEMA, tpu(deep=False))} == {"wide"}


def test_the_bound_is_the_most_that_is_stacked():
    assert large_columns(SCHEMA, tpu(tpu_table_ids=200)) == {"site"}
    assert large_columns(SCHEMA, tpu(tpu_table_ids=300)) == set()
    assert large_columns(SCHEMA, tpu(tpu_table_ids=0)) == {"site", "kind", "tags"}


def test_stacked_tables_are_all_that_there_is_by_default():
    assert large_tables(SCHEMA, WideDeepConfig(tpu_table_ids=0)) == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tables": "gpu"}, "model.tables: expected one of stacked, tpu, received"),
        ({"tpu_table_ids": -1}, "model.tpu_table_ids: expected an integer of 0 or"),
        (
            {"tables": "tpu", "towers": 2, "tower_tables": "separate"},
            "model.tower_tables: expected shared with model.tables=tpu, received",
        ),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        WideDeepConfig(**fields).validate()
