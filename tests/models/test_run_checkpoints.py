"""models/run_checkpoints.py: how far a run is, saved and restored."""

import numpy as np
import pytest
import small_rows
import tensorflow as tf
from same_weights import assert_same_weights

from smelu_tf.models import BinaryMetrics, WideDeep, WideDeepOptimizer
from smelu_tf.models.comparison import DifferenceCounts
from smelu_tf.models.run_checkpoints import RunCheckpoints, RunState

DIFFERENCES = DifferenceCounts(np.array([2.0, 3.0, 0.4, 0.1]))


def counts():
    metrics = BinaryMetrics()
    metrics.update_state([0.0, 1.0], [-1.0, 2.0])
    return metrics.counts()


def compiled(seed=0):
    model = WideDeep(small_rows.SCHEMA, small_rows.CONFIG.model, seed)
    model.compile(WideDeepOptimizer.of(small_rows.CONFIG.optimizer))
    model.optimizer._create_all_weights(model.trainable_variables)
    return model


def test_only_a_larger_value_is_better():
    state = RunState()
    values = [-0.5, -0.6, -0.5, -0.4]
    assert [state.is_better(value) for value in values] == [True, False, False, True]


def test_bad_rows_are_noted_when_they_are_all_counted():
    state = RunState()
    state.set(8, counts(), None, finished=False, num_bad_rows=3)
    assert (int(state.position), int(state.num_bad_rows)) == (8, 0)
    state.set(9, counts(), None, finished=True, num_bad_rows=3)
    assert (bool(state.finished), int(state.num_bad_rows)) == (True, 3)


def test_what_is_restored_is_what_was_saved(tmp_path):
    model, state = compiled(), RunState()
    state.set(8, counts(), DIFFERENCES, finished=False, num_bad_rows=0)
    saved = RunCheckpoints(model, state, tmp_path, keep=2)
    assert saved.newest is None
    saved.save("newest")
    assert saved.newest == str(tmp_path / "checkpoints" / "ckpt-8")
    other, later = compiled(seed=1), RunState()
    RunCheckpoints(other, later, tmp_path, keep=2).restore()
    assert_same_weights(other, model)
    assert int(later.position) == 8
    assert later.counts().figures() == counts().figures()
    np.testing.assert_array_equal(later.difference_counts().sums, DIFFERENCES.sums)


def test_so_many_are_kept_and_of_the_best_one(tmp_path):
    state = RunState()
    checkpoints = RunCheckpoints(compiled(), state, tmp_path, keep=2)
    for position in (1, 2, 3):
        state.position.assign(position)
        checkpoints.save("newest")
        checkpoints.save("best")
    folder = tmp_path / "checkpoints"
    names = sorted(path.stem for path in folder.glob("*.index"))
    assert names == ["ckpt-2", "ckpt-3"]
    assert [path.stem for path in folder.glob("best/*.index")] == ["ckpt-3"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_not_saved(tmp_path, value):
    model, state = compiled(), RunState()
    state.position.assign(7)
    table = model.deep.embeddings[0].table
    table.scatter_update(tf.IndexedSlices([[value, 0.0]], [3]))
    checkpoints = RunCheckpoints(model, state, tmp_path, keep=2)
    message = rf"step 7: expected finite weights, received others in {table.name}; the"
    with pytest.raises(ArithmeticError, match=message):
        checkpoints.save("newest")
    assert list(tmp_path.iterdir()) == []


def test_who_is_not_the_chief_saves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("smelu_tf.models.run_checkpoints.is_chief", lambda: False)
    RunCheckpoints(compiled(), RunState(), tmp_path, keep=2).save("newest")
    assert list(tmp_path.iterdir()) == []
