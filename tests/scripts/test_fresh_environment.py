"""An export in an environment of its own, where pip has installed TensorFlow alone."""

import json
import os
import subprocess
import venv

import numpy as np
import pytest
import tensorflow as tf
from films import SCHEMA, example_of, make_rows
from served_models import random_model

from smelu_tf.models import export_saved_model
from smelu_tf.pipelines import complete_schema

# What the environment runs: it knows of the export and of TensorFlow.
PROGRAM = """
import importlib.util, json, sys
import tensorflow as tf

names = "smelu_tf", "tf_keras", "tensorflow_recommenders", "ml_collections"
assert not [name for name in names if importlib.util.find_spec(name)]
loaded = tf.saved_model.load(sys.argv[1])
records = list(tf.data.TFRecordDataset(sys.argv[2]).as_numpy_iterator())
scores = loaded.signatures["predict_examples"](examples=tf.constant(records))
print(json.dumps({name: values.numpy().tolist() for name, values in scores.items()}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_export_scores_where_only_tensorflow_is_installed(tmp_path):
    rows = make_rows(200)
    frame = {name: [row[name] for row in rows] for name in rows[0]}
    model = random_model(complete_schema(SCHEMA, frame), crosses=("user*site",))
    version = export_saved_model(model, tmp_path / "export")
    columns = {column.name for column in SCHEMA.columns}
    records = [example_of({k: row[k] for k in row if k in columns}) for row in rows]
    with tf.io.TFRecordWriter(str(tmp_path / "rows.tfrecord")) as file:
        for record in records:
            file.write(record)
    venv.create(tmp_path / "environment", with_pip=True)
    python = tmp_path / "environment" / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, f"tensorflow=={tf.__version__}"], check=True)
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", PROGRAM, version, tmp_path / "rows.tfrecord"],
        env={k: v for k, v in clean.items() if k != "TF_USE_LEGACY_KERAS"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    signature = tf.saved_model.load(str(version)).signatures["predict_examples"]
    expected = signature(examples=tf.constant(records))
    assert np.std(expected["logit"]) > 0.1
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name], values, rtol=1e-6, err_msg=name)
