"""models/study_teachers.py: the teachers that replicas train for themselves."""

import dataclasses

import numpy as np
import pytest

from smelu_tf.models import (
    Cell,
    DataConfig,
    LossConfig,
    Study,
    StudyRows,
    TrainConfig,
    WideDeepConfig,
    run_study,
)
from smelu_tf.models.distillation import Teachers
from smelu_tf.models.replicas import Replicas, with_seed

CONFIG = TrainConfig(
    data=DataConfig(batch_size=64),
    model=WideDeepConfig(embedding_dim=4, hidden_units=(8,)),
)
STUDY = Study(
    activations=("relu",),
    techniques=("none", "distillation"),
    learning_rates=(0.004,),
    num_replicas=2,
)


@pytest.mark.slow
def test_each_replica_learns_from_teachers_of_its_own(criteo_dir, tmp_path):
    rows = StudyRows.read(
        str(criteo_dir / "day_0.tsv"), str(criteo_dir / "day_1.tsv"), CONFIG
    )
    results = run_study(STUDY, CONFIG, rows, tmp_path / "study")
    cell = Cell("relu", "distillation", 0.004, "init")
    result = results[cell]
    assert np.isfinite(result.test).all()
    assert np.abs(result.test[0] - result.test[1]).max() > 0
    plain = results[Cell("relu", "none", 0.004, "init")]
    assert np.abs(result.test - plain.test).max() > 1e-3
    # By hand: teachers learn the rows before, then those of the validation.
    config = cell.config(CONFIG)
    own = dataclasses.replace(config, loss=LossConfig())
    middle = len(rows.train) - rows.num_validation
    for replica in range(2):
        teachers = Replicas(
            [with_seed(own, 1_000_000 + 3 * replica + i) for i in range(3)],
            rows.schema,
        )
        student = Replicas(
            [with_seed(config, replica)], rows.schema, [Teachers.of(teachers.models)]
        )
        logits = []
        for part, asked in (
            (rows.train[:middle], rows.validation),
            (rows.train[middle:], rows.test),
        ):
            teachers.train(part.batches(64))
            student.train(part.batches(64))
            logits.append(student.logits(asked.batches(4096))[0])
        for got, expected in zip((result.validation, result.test), logits, strict=True):
            np.testing.assert_allclose(got[replica], expected, rtol=1e-3, atol=1e-4)
