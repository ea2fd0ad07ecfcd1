"""A small training that the tests of several modules look at."""

import pytest
import small_runs

from smelu_tf.models import train
from smelu_tf.pipelines import CRITEO, convert


@pytest.fixture(scope="session")
def small_run(criteo_dir, tmp_path_factory):
    """The result of a training of `small_runs.CROSSED`, and its model_dir."""
    model_dir = tmp_path_factory.mktemp("runs") / "model"
    return train(small_runs.CROSSED, criteo_dir / "day_[0-5].tsv", model_dir), model_dir


@pytest.fixture(scope="session")
def small_blocks(criteo_dir, tmp_path_factory):
    """The same rows as blocks."""
    folder = tmp_path_factory.mktemp("blocks") / "rows"
    convert(criteo_dir / "day_[0-5].tsv", CRITEO, folder, rows_per_block=1000)
    return folder
