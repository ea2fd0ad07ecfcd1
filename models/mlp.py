"""Affine layers with activations, normalised and with dropout if wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.names import parse
from smelu_tf.tf_keras_layers import RESCU, GSmeLU, SignalPreserving, SmeLU

from .dense import Dense
from .dropout import CountedDropout
from .option_checks import check

NORMALIZATIONS = ("none", "layer")
INITIALIZERS = ("he", "signal_preserving")

_LAYERS: dict[Any, Any] = {
    smelu_tf.smelu: SmeLU,
    smelu_tf.gsmelu: GSmeLU,
    smelu_tf.rescu: RESCU,
}

# Keras's own 0.001 would be no small part of the variance behind small embeddings.
_EPSILON = 1e-5


@tf_keras.saving.register_keras_serializable("smelu_tf")
class MLP(tf_keras.layers.Layer):
    """A stack of affine layers and activations.

        x_{l+1} = dropout(f_l(norm(x_l K_l) + b_l))

    Layer normalisation, whose shift stands in for b, is computed in the dtype of the
    weights: in float32 under mixed precision. All weights and dropout masks follow from
    one seed, the same on every device.

    Args:
        units: widths of the layers.
        activations: f_l, one a layer: names as `smelu_tf.get` takes them, functions or
            layers. A layer is copied, so that its weights are one hidden layer's.
        trainable_parameters: those of named activations that are trained, as
            `smelu_tf.SmeLU` and its kin train them: one value for each hidden layer.
        rank: of the kernels where a bottleneck saves weights, see `Dense`; 0: full.
        normalization: `none` or `layer`.
        dropout: the part of a layer's outputs that is dropped in training.
        initializer: of the kernels: `he`, or `signal_preserving`, for which activations
            have names.
        seed: of weights and masks.
        **kwargs: of the base layer.

    Input shape: (B, n), or several tensors (B, n_i) of one batch.
    Output shape: (B, units[-1]).

    Raises:
        ValueError: more or fewer activations than layers, an unknown choice, or
            signal-preserving weights for an activation without a name.

    Source: of `he`, He et al., arXiv 1502.01852; of `layer`, Ba et al., arXiv
    1607.06450.

    Examples:
        >>> mlp = MLP((8, 4), ("smelu:0.5", "relu"), name="mlp")
        >>> mlp([tf.ones([5, 2]), tf.ones([5, 3])]).shape
        TensorShape([5, 4])
        >>> [w.name for w in mlp.weights][:2]
        ['mlp/hidden_0/kernel:0', 'mlp/hidden_0/bias:0']
    """

    def __init__(
        self,
        units: Sequence[int],
        activations: Sequence[Any],
        *,
        trainable_parameters: Sequence[str] = (),
        rank: int = 0,
        normalization: str = "none",
        dropout: float = 0.0,
        initializer: str = "he",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        num_layers = len(units)
        if len(activations) != num_layers:
            raise ValueError(
                f"activations: expected one for each of {num_layers} layers, "
                f"received {len(activations)}."
            )
        for name, value, choices in (
            ("normalization", normalization, NORMALIZATIONS),
            ("initializer", initializer, INITIALIZERS),
        ):
            check(value in choices, name, f"one of {', '.join(choices)}", value)
        self.units = tuple(units)
        self.trainable_parameters = tuple(trainable_parameters)
        self.rank = rank
        self.normalization = normalization
        self.dropout = dropout
        self.initializer = initializer
        self.seed = seed
        seeds = np.random.SeedSequence(seed).generate_state(3 * num_layers).tolist()
        before = ("linear", *activations[:-1])
        self.hidden = [
            Dense(
                units[i],
                rank=rank,
                kernel_initializer=_initializer(initializer, before[i], seeds[3 * i]),
                # Behind the bottleneck's own product there is no activation.
                expansion_initializer=tf_keras.initializers.LecunNormal(
                    seed=seeds[3 * i + 1]
                ),
                # The normalisation has one.
                use_bias=normalization == "none",
                dtype=self.dtype_policy,
                name=f"hidden_{i}",
            )
            for i in range(num_layers)
        ]
        self.norms = [
            tf_keras.layers.LayerNormalization(
                epsilon=_EPSILON, dtype=self.dtype, name=f"norm_{i}"
            )
            for i in range(num_layers if normalization == "layer" else 0)
        ]
        # Not the activations as they are given: Keras would take a layer among them for
        # one of this layer's.
        self._names = [each if isinstance(each, str) else None for each in activations]
        self.functions = [
            _own_activation(each, self.trainable_parameters, f"activation_{i}")
            for i, each in enumerate(activations)
        ]
        self.dropouts = [
            CountedDropout(
                dropout,
                seeds[3 * i + 2],
                dtype=self.dtype_policy,
                name=f"dropout_{i}",
            )
            for i in range(num_layers if dropout else 0)
        ]

    def call(
        self, inputs: tf.Tensor | Sequence[tf.Tensor], training: bool | None = None
    ) -> tf.Tensor:
        """The last layer's outputs."""
        x: Any = inputs
        for i, dense in enumerate(self.hidden):
            x = dense(x)
            if self.norms:
                x = tf.cast(self.norms[i](x), self.compute_dtype)
            x = self.functions[i](x)
            if self.dropouts:
                x = self.dropouts[i](x, training=training)
        return x

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activations": [
                name or tf_keras.saving.serialize_keras_object(function)
                for name, function in zip(self._names, self.functions, strict=True)
            ],
            "trainable_parameters": self.trainable_parameters,
            "rank": self.rank,
            "normalization": self.normalization,
            "dropout": self.dropout,
            "initializer": self.initializer,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MLP:
        """The layer of `get_config`'s values, with fresh weights."""
        activations = [
            each
            if isinstance(each, str)
            else tf_keras.saving.deserialize_keras_object(each)
            for each in config["activations"]
        ]
        return cls(**{**config, "activations": activations})


def _initializer(name: str, activation: Any, seed: int) -> Any:
    """The initializer of a kernel behind an activation."""
    if name == "he":
        return tf_keras.initializers.HeNormal(seed=seed)
    if not isinstance(activation, str):
        raise ValueError(
            "activations: expected names with initializer=signal_preserving, received "
            f"{activation!r}."
        )
    return SignalPreserving(activation, seed=seed)


def _own_activation(activation: Any, trained: tuple[str, ...], name: str) -> Any:
    """An activation for one layer: a layer's weights are not shared."""
    if trained and isinstance(activation, str):
        function, arguments = parse(activation)
        if function not in _LAYERS:
            raise ValueError(
                f"trainable_parameters: expected none for the activation {activation}, "
                f"received {trained}."
            )
        layer = _LAYERS[function]
        return layer(**arguments, trainable_parameters=trained, name=name)
    if isinstance(activation, tf_keras.layers.Layer):
        config = {**activation.get_config(), "name": name}
        return type(activation).from_config(config)
    return smelu_tf.get(activation)
