"""models/study_rows.py: which rows train, validate and test."""

from pathlib import Path

import numpy as np
import pytest

from smelu_tf.models import StudyRows, TrainConfig
from smelu_tf.pipelines import InMemoryRows


def test_the_last_rows_validate(criteo_dir):
    files, test_files = (str(criteo_dir / name) for name in ("day_0.tsv", "day_1.tsv"))
    rows = StudyRows.read(files, test_files, TrainConfig(), fraction=0.2)
    assert rows.schema.is_complete
    assert (len(rows.train), rows.num_validation, len(rows.test)) == (3000, 600, 3000)
    np.testing.assert_array_equal(rows.validation.label, rows.train.label[2400:])
    labels = [line[0] for line in Path(test_files).read_text().splitlines()]
    assert rows.test.label.tolist() == [float(label) for label in labels]


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_there_are_rows_to_train_and_to_validate_on(criteo_dir, fraction):
    path = str(criteo_dir / "day_0.tsv")
    with pytest.raises(ValueError, match="expected rows to train and to validate on"):
        StudyRows.read(path, path, TrainConfig(), fraction)


def test_rows_without_weight_compare_nothing(criteo_dir, monkeypatch):
    path = str(criteo_dir / "day_0.tsv")
    read = InMemoryRows.read

    def weightless(rows, schema):
        found = read(rows, schema)
        found.weight[:] = 0
        return found

    monkeypatch.setattr(InMemoryRows, "read", weightless)
    with pytest.raises(ValueError, match="expected rows of weight above 0"):
        StudyRows.read(path, path, TrainConfig())
