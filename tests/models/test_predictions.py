"""models/predictions.py: the scores of rows, in their order."""

import os

import numpy as np
import pytest

from smelu_tf.models import ScoringJob, predict, write_predictions


def test_predictions_are_in_input_order_as_parquet(small_run, criteo_dir, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    job = ScoringJob.open(small_run[1], criteo_dir / "day_6.tsv", 1000)
    path = tmp_path / "out" / "predictions.parquet"
    assert write_predictions(path, predict(job.scorer, job.batches)) == 3000
    table = parquet.read_table(path).to_pandas()
    assert list(table.columns) == ["row", "label", "probability", "logit"]
    assert table.row.tolist() == list(range(3000))
    lines = (criteo_dir / "day_6.tsv").read_text().splitlines()
    assert table.label.tolist() == [float(line[0]) for line in lines]
    logit = table.logit.to_numpy().astype(np.float64)
    np.testing.assert_allclose(table.probability, 1 / (1 + np.exp(-logit)), rtol=1e-6)
    assert os.listdir(path.parent) == ["predictions.parquet"]


def test_a_failing_prediction_leaves_no_file(tmp_path):
    pytest.importorskip("pyarrow")

    def failing():
        raise ValueError("no more rows")
        yield

    with pytest.raises(ValueError, match="no more rows"):
        write_predictions(tmp_path / "predictions.parquet", failing())
    assert list(tmp_path.iterdir()) == []
