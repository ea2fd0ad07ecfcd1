"""An affine layer whose gradients cost a CPU less than those of Keras's own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from smelu_tf import recording


@tf_keras.saving.register_keras_serializable("smelu_tf")
class Dense(tf_keras.layers.Layer):
    """Inputs side by side times one kernel, plus a bias; no activation.

        y = [x_1, x_2, …] K + b,    or with a bottleneck    y = ([x_1, x_2, …] U) V + b

    While a gradient is recorded it is one of our own: each input gets its part by a
    product of its own, so that what nobody wants the gradient of costs nothing, and the
    bias its sum by a product with ones, faster than TensorFlow's own sum.

    Args:
        units: width of the output.
        rank: of the product U V in place of K, where that has fewer weights
            (rank · (n + units) < n · units for n inputs); 0: never.
        kernel_initializer: of K, or of U.
        expansion_initializer: of V.
        use_bias: whether there is b.
        **kwargs: of the base layer.

    Input shape: (B, n), or several tensors (B, n_i) of one batch.
    Output shape: (B, units).

    Raises:
        ValueError: units or rank out of range; when called, inputs of other than two
            axes.

    Source: of the bottleneck, Sainath et al., Low-rank Matrix Factorization for Deep
    Neural Network Training, ICASSP 2013.

    Examples:
        >>> layer = Dense(2, kernel_initializer="ones")
        >>> layer([tf.constant([[1.0]]), tf.constant([[2.0, 3.0]])]).numpy()
        array([[6., 6.]], dtype=float32)
        >>> [weight.shape.as_list() for weight in layer.weights]
        [[3, 2], [2]]
    """

    def __init__(
        self,
        units: int,
        *,
        rank: int = 0,
        kernel_initializer: Any = "glorot_normal",
        expansion_initializer: Any = "lecun_normal",
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units: expected 1 or more, received {units}.")
        if rank < 0:
            raise ValueError(f"rank: expected 0 or more, received {rank}.")
        self.units = units
        self.rank = rank
        self.kernel_initializer = tf_keras.initializers.get(kernel_initializer)
        self.expansion_initializer = tf_keras.initializers.get(expansion_initializer)
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        """Makes the kernel or its factors, and the bias."""
        shapes = _shapes(input_shape)
        if any(shape.rank != 2 or shape[1] is None for shape in shapes):
            raise ValueError(
                f"{self.name}: expected inputs (B, n) of a known width, received "
                f"{', '.join(map(str, shapes))}."
            )
        num_inputs = sum(shape[1] for shape in shapes)
        saves = 0 < self.rank * (num_inputs + self.units) < num_inputs * self.units
        self.kernel = self.add_weight(
            name="kernel",
            shape=(num_inputs, self.rank if saves else self.units),
            initializer=self.kernel_initializer,
        )
        self.expansion = self.bias = None
        if saves:
            self.expansion = self.add_weight(
                name="expansion",
                shape=(self.rank, self.units),
                initializer=self.expansion_initializer,
            )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.units,), initializer="zeros"
            )
        self.built = True

    def call(self, inputs: tf.Tensor | Sequence[tf.Tensor]) -> tf.Tensor:
        """The affine function of a batch."""
        parts = _as_list(inputs)
        kernel, bias = self._read(self.kernel), self._read(self.bias)
        if self.expansion is None:
            return affine(parts, kernel, bias)
        return affine([affine(parts, kernel)], self._read(self.expansion), bias)

    def _read(self, weight: tf.Variable | None) -> tf.Tensor | None:
        if weight is None:
            return None
        return tf.cast(tf.convert_to_tensor(weight), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        serialize = tf_keras.initializers.serialize
        return {
            **super().get_config(),
            "units": self.units,
            "rank": self.rank,
            "kernel_initializer": serialize(self.kernel_initializer),
            "expansion_initializer": serialize(self.expansion_initializer),
            "use_bias": self.use_bias,
        }


@tf.autograph.experimental.do_not_convert
def affine(
    parts: Sequence[tf.Tensor], kernel: tf.Tensor, bias: tf.Tensor | None = None
) -> tf.Tensor:
    """Tensors (B, n_i) side by side times a kernel (Σ n_i, units), plus a bias.

    Where no gradient is recorded it is TensorFlow's plain operations: a saved model
    holds nothing else.
    """
    x = parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)
    if not recording.is_recording():
        return _forward(x, kernel, bias)
    ends = list(itertools.accumulate((part.shape[1] for part in parts), initial=0))
    # What the gradient is computed from, as the function below is given it: within a
    # branch or a loop these are not the caller's tensors.
    kept: list[tf.Tensor] = []

    def forward(x: tf.Tensor, kernel: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
        kept[:] = [x, kernel]
        return _forward(x, kernel, None if bias is None else others[0])

    def gradient(dy: tf.Tensor) -> list[tf.Tensor | None]:
        x, kernel = kept
        in_parts = [
            tf.matmul(dy, kernel[start:end], transpose_b=True)
            for start, end in itertools.pairwise(ends)
        ]
        in_kernel = tf.matmul(x, dy, transpose_a=True)
        in_bias = [] if bias is None else [_sum_over_batch(dy)]
        if len(parts) == 1:
            return [*in_parts, in_kernel, *in_bias]
        # The parts have theirs, so x, made of them, gets none. The kernel's gradient
        # is computed from x all the same, and differentiated through it.
        return [None, in_kernel, *in_bias, *in_parts]

    inputs = [x, kernel, *([] if bias is None else [bias])]
    if len(parts) > 1:
        inputs += parts
    return recording.with_gradient(forward, gradient, inputs)


def _forward(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    # Not x @ K + b: TensorFlow fuses this pair with the activation behind it.
    y = tf.matmul(x, kernel)
    return y if bias is None else tf.nn.bias_add(y, bias)


def _sum_over_batch(dy: tf.Tensor) -> tf.Tensor:
    ones = tf.ones([1, tf.shape(dy)[0]], dy.dtype)
    return tf.reshape(tf.matmul(ones, dy), [-1])


def _as_list(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _shapes(input_shape: Any) -> list[tf.TensorShape]:
    """The shapes of the inputs, from a shape or a list of them in Keras's forms."""
    is_list = isinstance(input_shape, list | tuple)
    if is_list and not all(n is None or isinstance(n, int) for n in input_shape):
        return [tf.TensorShape(shape) for shape in input_shape]
    return [tf.TensorShape(input_shape)]
