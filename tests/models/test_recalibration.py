"""models/recalibration.py: the functions, their places in a tensor, and their JSON."""

import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from recalibrated_rows import KINDS, mapped, sample

from smelu_tf.models import Recalibration, fit_recalibration

BENT = Recalibration("isotonic", knots=(-2.0, 0.0, 1.0), values=(-3.0, 1.0, 1.5))


def test_lines_between_knots_and_their_ends():
    z = [-np.inf, -5.0, -2.0, -1.0, 0.0, 0.5, 1.0, 7.0, np.inf]
    expected = [-3.0, -3.0, -3.0, -1.0, 1.0, 1.25, 1.5, 1.5, 1.5]
    assert mapped(BENT, z).tolist() == expected
    assert mapped(BENT, z).dtype == np.float32
    two = Recalibration("isotonic", knots=(0.0, 2.0), values=(0.0, 1.0))
    assert mapped(two, [-1.0, 1.0, 3.0]).tolist() == [0.0, 0.5, 1.0]
    platt = Recalibration("platt", scale=2.0, shift=-1.0)
    assert mapped(platt, [-1.0, 0.0, 3.0]).tolist() == [-3.0, -1.0, 5.0]


@pytest.mark.parametrize("recalibration", [BENT, Recalibration("platt", 1.7, 0.3)])
def test_a_logit_that_is_none_stays_none(recalibration):
    for size in (1, 9):
        assert np.all(np.isnan(mapped(recalibration, [np.nan] * size)))


@given(st.floats(-5, 5, width=32), st.integers(1, 40), st.sampled_from(KINDS))
@settings(deadline=None, max_examples=60)
def test_the_place_in_the_tensor_does_not_matter(value, size, kind):
    fitted = {"platt": Recalibration("platt", 1.3, -0.7), "isotonic": BENT}[kind]
    assert len({*mapped(fitted, [value] * size)}) == 1


def test_gradients_are_the_slopes_and_finite():
    z = tf.constant([-np.inf, -9.0, -2.0, -1.0, 0.0, 0.5, 1.0, 9.0, np.inf])
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = BENT(z)
    gradient = tape.gradient(value, z).numpy()
    assert np.all(np.isfinite(gradient))
    assert gradient[[0, 1, 3, 5, 7, 8]].tolist() == [0, 0, 2, 0.5, 0, 0]
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = Recalibration("platt", 1.5)(z)
    assert set(tape.gradient(value, z).numpy()) == {1.5}


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_function_gives_the_same_bits_for_any_batch(kind, tmp_path):
    z, y, _ = sample(1000)
    recalibration = fit_recalibration(z, y, kind=kind)
    module = tf.Module()
    module.score = tf.function(
        recalibration, input_signature=[tf.TensorSpec([None], tf.float32)]
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for size in (0, 1, 3, 1000):
        got = loaded.score(tf.constant(z[:size]))
        np.testing.assert_array_equal(got, recalibration(tf.constant(z[:size])))
        assert got.shape == (size,)
    one_by_one = [loaded.score(tf.constant([value]))[0] for value in z[:50]]
    np.testing.assert_array_equal(one_by_one, mapped(recalibration, z[:50]))


@pytest.mark.parametrize("kind", KINDS)
def test_json_keeps_every_bit(kind):
    z, y, _ = sample(1000)
    recalibration = fit_recalibration(z, y, kind=kind)
    text = json.dumps(recalibration.to_dict(), allow_nan=False)
    assert Recalibration.from_dict(json.loads(text)) == recalibration


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "other"}, "kind: expected one of platt, isotonic, received 'other'"),
        ({"kind": "platt", "scale": 0.0}, "scale: expected a number above 0, .* 0.0"),
        ({"kind": "platt", "scale": -1.0}, "scale: expected a number above 0"),
        ({"kind": "platt", "shift": np.nan}, "expected finite numbers of float32"),
        ({"kind": "platt", "shift": 1e39}, "expected finite numbers of float32"),
        (
            {"kind": "platt", "knots": (1.0,)},
            "isotonic alone, received 1 and 0 of platt",
        ),
        ({"kind": "isotonic"}, "expected 2 to 64 knots .*, received 0 and 0"),
        (
            {"kind": "isotonic", "knots": (0.0, 1.0), "values": (0.0,)},
            "expected 2 to 64 knots and as many values, received 2 and 1",
        ),
        (
            {"kind": "isotonic", "knots": (*range(65),), "values": (*range(65),)},
            "expected 2 to 64 knots .*, received 65 and 65",
        ),
        (
            {"kind": "isotonic", "knots": (0.0, 0.0), "values": (0.0, 1.0)},
            "knots: expected rising ones",
        ),
        (
            {"kind": "isotonic", "knots": (0.0, 1.0), "values": (1.0, 0.0)},
            "values: expected none that fall",
        ),
        (
            {"kind": "isotonic", "knots": (0.0, 1.0), "values": (0.0, np.inf)},
            "expected finite numbers of float32",
        ),
        (
            {**vars(BENT), "scale": 2.0},
            "scale and shift of platt alone, received 2.0 and 0.0 of isotonic",
        ),
    ],
)
def test_a_function_that_cannot_be_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Recalibration(**values)


def test_a_wrong_key_or_type_is_named():
    for values, message in (
        ({"kind": "platt", "slope": 2.0}, r"received recalibration\.slope; .*\.scale"),
        ({}, "recalibration: expected the key kind"),
        ({"kind": "platt", "scale": "2"}, r"recalibration\.scale: expected a number"),
        ({"kind": "x"}, r"recalibration\.kind: expected one of platt, isotonic"),
    ):
        with pytest.raises(ValueError, match=message):
            Recalibration.from_dict(values)
