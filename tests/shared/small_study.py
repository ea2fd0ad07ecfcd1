"""A study of one small cell."""

import small_rows

from smelu_tf.models import Cell, Study

CONFIG = small_rows.CONFIG
ROWS = small_rows.make_study_rows()
STUDY = Study(("relu",), learning_rates=(0.01,), num_replicas=3)
CELL = Cell("relu", "none", 0.01, "init")
