"""models/loss_scale.py in a training: it goes on at its scale, or says why not."""

import dataclasses

import numpy as np
import pytest
import small_rows
from half_precision import HALF, lines_of, make_steep

from smelu_tf.models import OptimizerConfig, TrainConfig, load_model, train


@pytest.fixture(scope="module")
def files(criteo_dir):
    return criteo_dir / "day_0.tsv"


CRITEO = TrainConfig(
    model=dataclasses.replace(small_rows.CONFIG.model, column_dims=(), crosses=()),
    optimizer=OptimizerConfig(averaging=0.9),
    train=HALF,
)


STEEP = dataclasses.replace(
    CRITEO,
    model=dataclasses.replace(CRITEO.model, activation="swish"),
    optimizer=dataclasses.replace(CRITEO.optimizer, learning_rate=1e-6),
    train=dataclasses.replace(HALF, checkpoint_steps=4, deterministic=True),
)


@pytest.mark.slow
def test_training_follows_that_in_float32(files, tmp_path):
    exact = dataclasses.replace(
        CRITEO, train=dataclasses.replace(HALF, compute_dtype="float32")
    )
    half = train(CRITEO, files, tmp_path / "half")
    whole = train(exact, files, tmp_path / "whole")
    assert half.progressive["log_loss"] == pytest.approx(
        whole.progressive["log_loss"], rel=1e-3
    )
    assert half.progressive["log_loss"] != whole.progressive["log_loss"]
    # Compiled anew, it goes on to train.
    assert float(half.model.optimizer.loss_scale) >= 2.0**14
    again = train(CRITEO, files, tmp_path / "half")
    for a, b in zip(again.model.get_weights(), half.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.model.optimizer.loss_scale == half.model.optimizer.loss_scale
    assert load_model(tmp_path / "half").compute_dtype == "float32"


def test_a_training_without_finite_gradients_ends_and_says_so(criteo_dir, tmp_path):
    config = dataclasses.replace(STEEP, train=HALF)
    files = criteo_dir / "day_[01].tsv"
    with pytest.raises(ArithmeticError) as got:
        train(
            config,
            files,
            tmp_path / "model",
            built=lambda model: make_steep(model, 1e9),
        )
    message = str(got.value)
    # 15 steps halve the scale to 1.
    assert message.startswith(
        "batch 15 (rows 3840 to 4095): expected finite gradients in float16, received "
        "others at every loss scale down to 1 (float32 or bfloat16 may do: "
        "train.compute_dtype); no column stands out"
    )
    for weight in load_model(tmp_path / "model").get_weights():
        assert np.all(np.isfinite(weight))


RESUMED = """
import functools, sys
sys.path[:0] = sys.argv[1:3]
import numpy as np
from half_precision import make_steep
from test_loss_scale_training import STEEP
from smelu_tf.models import train, training_loop

class Killed(Exception):
    pass

def kill(rows, *_):
    if rows >= 256 * number:
        raise Killed

files, folder = sys.argv[3:]
# Gradients too large for the first scales.
train = functools.partial(train, STEEP, files, built=lambda m: make_steep(m, 1e4))
runs = [train(folder + "/whole")]
training_loop._REPORT_ROWS = training_loop._MAX_REPORTS = 1
num_killed = 0
for number in (3, 6, 9, 1000):
    try:
        runs.append(train(folder + "/model", progress=kill))
    except Killed:
        num_killed += 1
assert num_killed == 3 and len(runs) == 2
for a, b in zip(*(run.model.get_weights() for run in runs), strict=True):
    np.testing.assert_array_equal(a, b)
assert runs[0].progressive == runs[1].progressive
for run in runs:
    optimizer = run.model.optimizer
    print(float(optimizer.loss_scale), int(optimizer.dynamic_counter))
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_at_its_scale(files, tmp_path):
    whole, killed = lines_of(RESUMED, files, tmp_path)
    assert whole == killed
    scale, num_good_steps = map(float, whole.split())
    num_skipped = np.log2(2.0**15 / scale)
    assert num_skipped > 1
    assert num_good_steps == 12 - num_skipped  # of 12 batches, the skipped ones first
