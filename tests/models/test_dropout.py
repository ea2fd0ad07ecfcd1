"""models/dropout.py: masks that follow from a seed and a count."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.models.dropout import CountedDropout


def masks(layer, num_calls, size=1000):
    return [layer(tf.ones([size]), training=True).numpy() for _ in range(num_calls)]


def test_elements_are_dropped_at_the_rate_and_the_rest_scaled():
    (mask,) = masks(CountedDropout(0.3, seed=1), 1, size=100_000)
    np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-6)
    assert np.mean(mask == 0) == pytest.approx(0.3, abs=0.005)


def test_the_rate_is_kept_in_bfloat16():
    layer = CountedDropout(0.999, dtype="mixed_bfloat16")
    y = layer(tf.ones([200_000], tf.bfloat16), training=True)
    assert y.dtype == tf.bfloat16
    dropped = np.mean(tf.cast(y, tf.float32) == 0)
    assert dropped == pytest.approx(0.999, abs=0.0003)


def test_outside_training_nothing_happens_and_nothing_is_counted():
    layer = CountedDropout(0.5)
    np.testing.assert_array_equal(layer(tf.ones([9])), np.ones(9))
    np.testing.assert_array_equal(layer(tf.ones([9]), training=False), np.ones(9))
    assert int(layer.num_calls) == 0


def test_masks_differ_from_call_to_call_and_between_seeds():
    first, second = masks(CountedDropout(0.5, seed=1), 2)
    (other,) = masks(CountedDropout(0.5, seed=2), 1)
    assert np.any(first != second)
    assert np.any(first != other)


def test_equal_seeds_draw_equal_masks_eager_in_a_graph_and_compiled():
    x = tf.ones([50])
    expected = masks(CountedDropout(0.5, seed=7), 2, 50)
    for compiled in (False, True):
        layer = CountedDropout(0.5, seed=7)
        layer(x)
        run = tf.function(lambda x: layer(x, training=True), jit_compile=compiled)  # noqa: B023
        np.testing.assert_array_equal([run(x), run(x)], expected)


def test_a_restored_layer_goes_on_with_the_masks_of_one_that_did_not_stop(tmp_path):
    whole = CountedDropout(0.5, seed=3)
    masks(whole, 2)
    path = tf.train.Checkpoint(layer=whole).save(tmp_path / "checkpoint")
    expected = masks(whole, 2)
    resumed = CountedDropout(0.5, seed=3)
    resumed.build([1000])
    tf.train.Checkpoint(layer=resumed).restore(path).assert_consumed()
    np.testing.assert_array_equal(masks(resumed, 2), expected)


def test_the_gradient_passes_where_the_output_does():
    layer = CountedDropout(0.5)
    x = tf.constant(np.full(100, np.inf, np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    gradient = tape.gradient(y, x).numpy()
    np.testing.assert_array_equal(gradient, np.where(np.isinf(y), 2.0, 0.0))
    assert 0 < np.sum(np.isinf(y)) < 100


def test_config_round_trip():
    layer = CountedDropout(0.25, seed=5, name="drop")
    again = CountedDropout.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("rate", "seed", "message"),
    [
        (1.0, 0, "rate: expected 0 <= rate < 1, received 1.0"),
        (-0.1, 0, "rate: expected"),
        (0.1, -1, r"seed: expected 0 <= seed < 2\^32, received -1"),
    ],
)
def test_impossible_settings_are_refused(rate, seed, message):
    with pytest.raises(ValueError, match=message):
        CountedDropout(rate, seed)


REPLICAS = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from smelu_tf.models.dropout import CountedDropout

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = CountedDropout(0.5)
    layer.build([100])

@tf.function
def run():
    return strategy.run(lambda: layer(tf.ones([100]), training=True))

run()
first, second = (value.numpy() for value in strategy.experimental_local_results(run()))
alone = CountedDropout(0.5)
alone(tf.ones([100]), training=True)
expected = alone(tf.ones([100]), training=True).numpy()
if np.any(first != expected) or np.all(first == second):
    raise SystemExit(1)
if layer.num_calls.numpy() != 2:
    raise SystemExit(1)
"""


@pytest.mark.slow
def test_replicas_draw_masks_of_their_own_and_the_first_those_of_one_device():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
