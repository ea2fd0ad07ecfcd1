"""Whether two structures of arrays agree to the bit."""

import numpy as np
import tensorflow as tf


def all_of(dataset):
    """The rows of all batches of a dataset, as one batch of arrays."""
    batches = list(dataset.as_numpy_iterator())
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


def assert_same_bits(received, expected):
    """Fails unless structure, types, shapes and bytes are the same."""
    tf.nest.assert_same_structure(received, expected)
    for ours, theirs in zip(
        tf.nest.flatten(received), tf.nest.flatten(expected), strict=True
    ):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.tobytes() == theirs.tobytes()
