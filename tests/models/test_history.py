"""models/history.py: the figures of a run, line by line and for TensorBoard."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.models import BinaryMetrics
from smelu_tf.models.comparison import DifferenceCounts
from smelu_tf.models.history import History


def counts_of(*logits):
    """The counts of predictions of which every other one has label 1."""
    metrics = BinaryMetrics()
    metrics.update_state(np.arange(len(logits)) % 2, np.array(logits, "f"))
    return metrics.counts()


FIRST = counts_of(-1.0, 1.0, -2.0, 0.5)
SECOND = FIRST + counts_of(3.0, 0.0)
DIFFERENCES = DifferenceCounts(np.array([4.0, 4.0, 0.8, 0.2]))


def lines_of(model_dir):
    return [*map(json.loads, (model_dir / "progress.jsonl").read_text().splitlines())]


def events_of(model_dir):
    """The scalars in TensorBoard's files by (tag, step)."""
    paths = [str(path) for path in (model_dir / "tensorboard").iterdir()]
    found = {}
    for record in tf.data.TFRecordDataset(paths).as_numpy_iterator():
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name in ("scalars", "")
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_a_report_is_a_line_of_all_rows_and_of_the_latest(tmp_path):
    history = History(tmp_path, window_rows=2)
    history.report(10, 40, FIRST)
    history.report(20, 60, SECOND, validation={"log_loss": 0.5})
    history.close()
    first, second = lines_of(tmp_path)
    assert list(first) == ["step", "num_examples", "seconds", "progressive", "window"]
    assert (first["step"], first["num_examples"]) == (10, 4)
    assert first["progressive"] == first["window"] == FIRST.figures()
    assert second["progressive"] == SECOND.figures()
    assert second["window"] == (SECOND - FIRST).figures() == history.window
    assert second["validation"] == {"log_loss": 0.5}
    assert 0 <= first["seconds"] <= second["seconds"]


def test_a_run_that_goes_on_leaves_out_what_lies_behind_its_checkpoint(tmp_path):
    history = History(tmp_path, window_rows=100)
    for step in (10, 20, 30):
        history.report(step, 4 * step, FIRST)
    history.close()
    path = tmp_path / "progress.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"step": 40, "num')  # killed while it wrote
    again = History(tmp_path, window_rows=100, first_step=20, start=FIRST)
    assert path.read_text() == "".join(whole.splitlines(keepends=True)[:2])
    again.report(25, 100, SECOND)
    again.close()
    assert [line["step"] for line in lines_of(tmp_path)] == [10, 20, 25]
    # No window looks beyond the start.
    assert again.window == (SECOND - FIRST).figures()


@pytest.mark.parametrize("spoilt", ["half a li", "[]", "{}", "3"])
def test_lines_behind_a_spoilt_one_are_left_out(tmp_path, spoilt):
    path = tmp_path / "progress.jsonl"
    path.write_text(f'{{"step": 1}}\n{spoilt}\n{{"step": 2}}\n')
    History(tmp_path, window_rows=100, first_step=5).close()
    assert path.read_text() == '{"step": 1}\n'


def test_a_new_run_begins_with_no_line(tmp_path):
    (tmp_path / "progress.jsonl").write_text('{"step": 1}\n')
    History(tmp_path, window_rows=100).close()
    assert lines_of(tmp_path) == []


def test_differences_from_another_model_are_figures_too(tmp_path):
    told = []
    history = History(
        tmp_path,
        window_rows=100,
        progress=lambda *values: told.append(values),
        differences=DifferenceCounts.zero(),
    )
    history.report(10, 40, FIRST, differences=DIFFERENCES)
    history.close()
    (line,) = lines_of(tmp_path)
    for section in ("progressive", "window"):
        assert line[section]["prediction_difference"] == pytest.approx(0.2)
        assert line[section]["absolute_prediction_difference"] == pytest.approx(0.05)
    figures = FIRST.figures()
    expected = (40, figures["log_loss"], figures["normalized_entropy"], 0.2)
    assert told == [pytest.approx(expected)]
    assert events_of(tmp_path)["window/prediction_difference", 10] == pytest.approx(0.2)


def test_what_is_not_determined_is_shown_as_no_number(tmp_path):
    told = []
    history = History(tmp_path, 100, progress=lambda *values: told.append(values))
    history.report(1, 1, counts_of(0.5))  # of one class
    history.close()
    ((rows, log_loss, normalized_entropy),) = told
    assert rows == 1
    assert log_loss == pytest.approx(math.log1p(math.exp(0.5)))
    assert math.isnan(normalized_entropy)
    (line,) = lines_of(tmp_path)
    assert line["progressive"]["normalized_entropy"] is None
    tags = {tag for tag, _ in events_of(tmp_path)}
    assert "progressive/log_loss" in tags
    assert "progressive/normalized_entropy" not in tags


def test_tensorboard_has_the_figures_of_every_step(tmp_path):
    history = History(tmp_path, window_rows=2)
    history.report(10, 40, FIRST)
    history.report(20, 60, SECOND, validation={"log_loss": 0.5})
    history.close()
    events = events_of(tmp_path)
    for step, figures in ((10, FIRST.figures()), (20, SECOND.figures())):
        for name in ("log_loss", "normalized_entropy", "auc", "pr_auc", "calibration"):
            got = events[f"progressive/{name}", step]
            assert got == pytest.approx(figures[name], rel=1e-6)
    assert events["validation/log_loss", 20] == 0.5
    assert ("validation/log_loss", 10) not in events


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(OSError):
        History(tmp_path, window_rows=100)


def test_tensorboard_events_hold_the_figures(small_run):
    _, model_dir = small_run
    paths = [str(path) for path in (model_dir / "tensorboard").iterdir()]
    tags = {
        value.tag
        for record in tf.data.TFRecordDataset(paths).as_numpy_iterator()
        for value in tf.compat.v1.Event.FromString(record).summary.value
    }
    assert "progressive/log_loss" in tags
