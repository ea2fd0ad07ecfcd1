"""Settings and data that all tests share."""

import os

# Before TensorFlow is first imported, by whichever test module comes first:
# smelu_tf.models needs tf-keras, and TensorFlow need not list its devices.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def criteo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """21,000 generated rows in seven files, day_0.tsv … day_6.tsv, and truth.json."""
    from smelu_tf.pipelines import generate

    folder = tmp_path_factory.mktemp("criteo")
    generate(folder, num_rows=21_000, seed=1)
    return folder
