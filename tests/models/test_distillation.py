"""models/distillation.py and losses.py: what teachers predict, learned besides."""

import dataclasses

import numpy as np
import pytest
import small_rows
import small_runs
import tensorflow as tf
from two_devices import run_on_two_devices

from smelu_tf.models import (
    DataConfig,
    LossConfig,
    OptimizerConfig,
    ScoringJob,
    TrainConfig,
    TrainOptions,
    WideDeep,
    WideDeepConfig,
    export_model_dir,
    load_model,
    predict,
    train,
)
from smelu_tf.models.distillation import Distillation, Teachers
from smelu_tf.models.losses import Objective
from smelu_tf.models.replicas import Replicas, with_seed
from smelu_tf.models.techniques import with_technique
from smelu_tf.pipelines import Batch

SCHEMA = small_rows.SCHEMA
SHAPE = WideDeepConfig(embedding_dim=4, hidden_units=(8,))


def rows(num_rows, seed=0):
    rows = small_rows.make_rows(num_rows, seed)
    return Batch(rows.features, rows.label, rows.weight)


def batches(num_rows, seed=0):
    return small_rows.make_rows(num_rows, seed).batches(32)


def _ref_cross_entropy(target, logit):
    p = 1 / (1 + np.exp(-logit.astype(float)))
    return -target * np.log(p) - (1 - target) * np.log(1 - p)


@pytest.mark.parametrize("rate", [1.0, 0.2])
def test_the_loss_is_the_sum_of_two_cross_entropies(rate):
    batch = rows(16)
    fixed = [np.linspace(-2, 1, 16), np.linspace(0, -3, 16)]
    teachers = Teachers(tuple(lambda _, z=z: tf.constant(z, tf.float32) for z in fixed))
    model = WideDeep(SCHEMA, SHAPE)
    config = TrainConfig(
        data=DataConfig(negative_rate=rate),
        loss=LossConfig(distillation=0.7, teachers=("a", "b")),
    )
    loss, logit = Objective.of(config, teachers)(model, batch)
    np.testing.assert_array_equal(logit, model(batch.features)[:, 0])
    kept = logit.numpy() - np.log(rate)
    q = np.mean([1 / (1 + np.exp(-z)) for z in fixed], axis=0)
    # Among the rows kept, those of label 0 are fewer.
    q = q / (q + rate * (1 - q))
    expected = _ref_cross_entropy(batch.label, kept)
    expected = expected + 0.7 * _ref_cross_entropy(q, kept)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_without_teachers_the_loss_is_the_log_loss():
    assert Objective.of(TrainConfig()).terms == ()


def test_no_gradient_goes_to_the_teachers():
    student, teacher = WideDeep(SCHEMA, SHAPE, 0), WideDeep(SCHEMA, SHAPE, 1)
    term = Distillation(1.0, Teachers.of([teacher]))
    batch = rows(16)
    variables = [*student.trainable_variables, *teacher.trainable_variables]
    with tf.GradientTape() as tape:
        logits = tf.reshape(student(batch.features, training=True), [1, -1])
        loss = tf.reduce_sum(term(logits, batch))
    gradients = tape.gradient(loss, variables)
    own = len(student.trainable_variables)
    assert all(g is not None for g in gradients[:own])
    assert all(g is None for g in gradients[own:])


def test_a_strong_teacher_is_what_is_learned():
    teacher = WideDeep(SCHEMA, dataclasses.replace(SHAPE, embedding_stddev=1.0), 5)
    config = TrainConfig(
        model=SHAPE,
        loss=LossConfig(distillation=30.0, teachers=("t",)),
        optimizer=OptimizerConfig(learning_rate=0.02),
    )
    plain = dataclasses.replace(config, loss=LossConfig())
    replicas = Replicas([config, plain], SCHEMA, [Teachers.of([teacher]), None])
    replicas.train(batches(6400))
    (batch,) = batches(32, 1)
    target = teacher(batch.features)[:, 0].numpy()
    distances = np.abs(replicas.logits([batch]) - target).mean(axis=1)
    assert distances[0] < 0.4 * distances[1]


CONFIG = dataclasses.replace(
    small_runs.CONFIG,
    train=TrainOptions(checkpoint_steps=1000, steps_per_execution=4),
)


@pytest.fixture(scope="module")
def teacher(criteo_dir, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("runs") / "teacher"
    # Rates that take it further than its students come by themselves.
    rates = OptimizerConfig(learning_rate=0.02, wide_learning_rate=0.5)
    config = dataclasses.replace(CONFIG, optimizer=rates)
    train(config, criteo_dir / "day_[0-2].tsv", model_dir)
    export_model_dir(model_dir, model_dir.parent / "export")
    return model_dir


def student_of(*teachers, strength=1.0):
    loss = LossConfig(distillation=strength, teachers=tuple(map(str, teachers)))
    return dataclasses.replace(with_seed(CONFIG, 1), loss=loss)


def probabilities(path, file):
    job = ScoringJob.open(path, file)
    return np.concatenate([p.probability for p in predict(job.scorer, job.batches)])


@pytest.mark.slow
def test_a_model_learns_from_model_dirs_and_saved_models_alike(
    teacher, criteo_dir, tmp_path
):
    files, test = criteo_dir / "day_[0-2].tsv", criteo_dir / "day_3.tsv"
    exported = teacher.parent / "export" / "1"
    first = train(student_of(teacher, strength=3.0), files, tmp_path / "a")
    second = train(student_of(exported, strength=3.0), files, tmp_path / "b")
    assert first.progressive["log_loss"] == pytest.approx(
        second.progressive["log_loss"], rel=1e-4
    )
    alone = dataclasses.replace(with_seed(CONFIG, 1))
    train(alone, files, tmp_path / "alone")
    target = probabilities(teacher, test)
    distances = [
        np.abs(probabilities(tmp_path / name, test) - target).mean()
        for name in ("a", "b", "alone")
    ]
    assert max(distances[:2]) < 0.8 * distances[2]
    # A student is a model like any other: no weight of a teacher is in it.
    names = [
        tf.train.list_variables(str(tmp_path / name / "checkpoints"))
        for name in ("a", "alone")
    ]
    assert names[0] == names[1]
    assert len(load_model(tmp_path / "a").get_weights()) == len(
        load_model(teacher).get_weights()
    )


@pytest.mark.slow
def test_a_teacher_of_another_schema_is_refused(teacher, criteo_dir, tmp_path):
    other = criteo_dir / "day_[1-3].tsv"
    for path in (teacher, teacher.parent / "export" / "1"):
        with pytest.raises(
            ValueError, match="loss.teachers: expected a model of these rows' schema"
        ):
            train(student_of(path), other, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    # With the teacher's own schema they are read as it reads them.
    config = dataclasses.replace(
        student_of(teacher), data=DataConfig(schema=str(teacher / "schema.json"))
    )
    result = train(config, criteo_dir / "day_3.tsv", tmp_path / "model")
    assert result.progressive["num_examples"] == 3000


def test_what_is_no_model_is_refused(criteo_dir, tmp_path):
    with pytest.raises(ValueError, match="expected a model_dir or a SavedModel"):
        train(student_of(tmp_path), criteo_dir / "day_0.tsv", tmp_path / "model")


def test_a_training_does_not_train_its_own_teachers(criteo_dir, tmp_path):
    config = with_technique(CONFIG, "distillation")
    with pytest.raises(ValueError, match="only a study trains teachers itself"):
        train(config, criteo_dir / "day_0.tsv", tmp_path / "model")


MIRRORED = """
import sys
import numpy as np
from smelu_tf.models import TrainConfig, load_model, train

config, data, folder, teacher = sys.argv[1:]
results = [
    train(TrainConfig.load(config), data, f"{folder}/{name}", strategy=name,
          compare_to=teacher)
    for name in ("one_device", "mirrored")
]
for a, b in zip(*(r.model.get_weights() for r in results), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
one, two = ([v for v in r.progressive.values()] for r in results)
assert "prediction_difference" in results[0].progressive
np.testing.assert_allclose(one, two, rtol=1e-4)
print("same")
"""


@pytest.mark.slow
def test_two_replicas_learn_and_compare_as_one_does(teacher, criteo_dir, tmp_path):
    exported = teacher.parent / "export" / "1"
    config = student_of(teacher, exported)
    (tmp_path / "config.json").write_text(config.to_json())
    arguments = [
        tmp_path / "config.json",
        criteo_dir / "day_[0-2].tsv",
        tmp_path,
        teacher,
    ]
    assert run_on_two_devices(MIRRORED, *arguments).strip() == "same"
