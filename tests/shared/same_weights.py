"""Models that have the same weights, or are given them."""

import numpy as np

from smelu_tf.models.model_weights import ModelWeights, column_tables


def copy_weights(source, target):
    """Gives a model another one's weights, column by column and path by path.

    Their tables may be laid out in different ways.
    """
    ours, theirs = ModelWeights(target), ModelWeights(source)
    tables = {(t.part, t.column): t for t in column_tables(source)}
    paths = {t.path for t in column_tables(target)}
    for path in ours:
        if path not in paths:
            ours[path] = theirs[path]
    for here in column_tables(target):
        there = tables[here.part, here.column]
        rows = theirs[there.path][there.offset : there.offset + here.num_ids]
        array = ours[here.path]
        array[here.offset : here.offset + here.num_ids] = rows
        ours[here.path] = array


def assert_same_weights(model, other):
    """Two models' weights are the same to the bit."""
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
