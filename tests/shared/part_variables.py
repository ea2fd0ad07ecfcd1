"""Variables of a wide and of a deep part, as optimizers tell them: by their names."""

import tensorflow as tf


def variables(num_rows=6, units=2):
    """The wide part's table, the deep part's one, and a kernel behind it."""
    with tf.name_scope("model/wide/ids"):
        wide = tf.Variable(tf.zeros([num_rows, 1]), name="table")
    with tf.name_scope("model/deep/embeddings"):
        table = tf.Variable(tf.ones([num_rows, 2]), name="table")
        kernel = tf.Variable(tf.ones([2, units]), name="kernel")
    return wide, table, kernel
