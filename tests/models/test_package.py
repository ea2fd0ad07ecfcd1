"""models/__init__.py: the package says which Keras it needs."""

import os
import subprocess
import sys


def test_keras_3_is_refused_in_one_sentence():
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", "import smelu_tf.models"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert (
        "ImportError: smelu_tf.models: expected tf.keras to be tf-keras" in done.stderr
    )
    assert "TF_USE_LEGACY_KERAS=1" in done.stderr
