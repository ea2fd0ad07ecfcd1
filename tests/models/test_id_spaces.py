"""models/id_spaces.py: which ids of two schemas stand for the same."""

import dataclasses

from smelu_tf.models.id_spaces import NONE, id_spaces, same_ids
from smelu_tf.pipelines import Categorical, Schema

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
