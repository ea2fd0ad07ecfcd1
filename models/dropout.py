"""Random masks in training, a function of a seed and of how many came before."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras


class CountedMask(tf_keras.layers.Layer):
    """A layer that draws masks in training, which a resumed run draws again.

    The mask is that of (seed, replica, number of training calls). The number is a
    variable of the layer: a checkpoint holds it, so that a run goes on with the masks
    that it would have drawn without a stop. Every replica draws its own.

    Args:
        rate: the part of the elements that the mask holds, 0 <= rate < 1.
        seed: 0 <= seed < 2^32.
        **kwargs: of the base layer.

    Raises:
        ValueError: rate or seed out of range.
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate: expected 0 <= rate < 1, received {rate!r}.")
        if not 0 <= seed < 1 << 32:
            raise ValueError(f"seed: expected 0 <= seed < 2^32, received {seed!r}.")
        self.rate = rate
        self.seed = seed

    def build(self, input_shape: Any) -> None:
        """Makes the counter."""
        self.num_calls = self.add_weight(
            name="num_calls",
            shape=(),
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            # Each replica counts for itself: no communication, and equal counts.
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        super().build(input_shape)

    def drawn(self, shape: tf.Tensor) -> tf.Tensor:
        """The next mask: bool of a shape, true with probability `rate`."""
        # A step that finds no batch, at the data's end, draws nothing: no count.
        with tf.control_dependencies([shape]):
            number = tf.convert_to_tensor(self.num_calls)
            self.num_calls.assign_add(1)
        # Integers of a key and a counter, whose low word numbers the elements: what
        # TensorFlow makes of a seed, and of these bits as floats, is another thing
        # within XLA.
        key = tf.cast(_replica(), tf.int64) + (self.seed << 16)
        bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=shape,
            key=tf.cast([key], tf.uint64),
            counter=tf.cast([tf.zeros_like(number), number], tf.uint64),
            alg=tf.random.Algorithm.PHILOX.value,
            dtype=tf.uint32,
        )
        return bits < tf.constant(int(self.rate * 2**32), tf.uint32)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@tf_keras.saving.register_keras_serializable("smelu_tf")
class CountedDropout(CountedMask):
    """Drops elements in training, by masks that a resumed run draws again.

        y = x · m / (1 - rate),    m = 1 with probability 1 - rate, else 0

    Args:
        rate: the part that is dropped, 0 <= rate < 1.
        seed: as in `CountedMask`.
        **kwargs: of the base layer.

    Input shape: any. Output shape: the input's.

    Raises:
        ValueError: rate or seed out of range.

    Source: Srivastava et al., Dropout, JMLR 15, 2014.

    Examples:
        >>> layer = CountedDropout(0.5, seed=0)
        >>> sorted(set(layer(tf.ones([100]), training=True).numpy().tolist()))
        [0.0, 2.0]
        >>> layer(tf.ones([2])).numpy(), int(layer.num_calls)
        (array([1., 1.], dtype=float32), 1)
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """The inputs, in training with elements dropped."""
        if not training or self.rate == 0:
            return inputs
        is_dropped = self.drawn(tf.shape(inputs))
        scaled = tf.cast(inputs, tf.float32) / (1 - self.rate)
        return tf.cast(tf.where(is_dropped, 0.0, scaled), inputs.dtype)


def _replica() -> int | tf.Tensor:
    context = tf.distribute.get_replica_context()
    return 0 if context is None else context.replica_id_in_sync_group
