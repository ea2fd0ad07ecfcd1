"""What goes between a deep part's inputs and its MLP: feature interactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_recommenders.layers.feature_interaction import Cross, DotInteraction

from .dense import Dense
from .mlp import MLP
from .model_config import WideDeepConfig


class Interaction(tf_keras.layers.Layer):
    """From numeric columns and embeddings to the inputs of an MLP.

    Input shape: numeric (B, 2N), N of 0 or more, and a list of embeddings (B, C_i,
    dim_i), one for each table, which may be empty.
    Output: a list of tensors (B, n_i), not empty.
    """

    @classmethod
    def of(
        cls,
        config: WideDeepConfig,
        num_numeric: int,
        dims: Sequence[int],
        seed: int = 0,
        **kwargs: Any,
    ) -> Interaction:
        """The layer that a configuration describes; here, one without settings.

        Args:
            config: the model's shape.
            num_numeric: numeric columns of the schema.
            dims: the width of each other column's embedding.
            seed: of the layer's weights.
            **kwargs: of the base layer.

        Raises:
            ValueError: columns among which there is no such interaction.
        """
        return cls(**kwargs)

    def call(
        self,
        numeric: tf.Tensor,
        embeddings: Sequence[tf.Tensor],
        training: bool | None = None,
    ) -> list[tf.Tensor]:
        """The inputs of the MLP."""
        raise NotImplementedError


@tf_keras.saving.register_keras_serializable("smelu_tf")
class NoInteraction(Interaction):
    """The numeric columns and all embeddings, side by side.

    Examples:
        >>> NoInteraction()(tf.ones([5, 2]), [tf.ones([5, 3, 4])])[1].shape
        TensorShape([5, 12])
    """

    def call(
        self,
        numeric: tf.Tensor,
        embeddings: Sequence[tf.Tensor],
        training: bool | None = None,
    ) -> list[tf.Tensor]:
        """The inputs of the MLP: one for each table, and one of the numbers."""
        return _flat(numeric, embeddings)


@tf_keras.saving.register_keras_serializable("smelu_tf")
class DCN(Interaction):
    """The cross layers of DCN-v2, stacked: the MLP sees the last one's output alone.

        x_0 = [numeric, embeddings],    x_{l+1} = x_0 · (x_l K_l + b_l) + x_l

    Args:
        num_layers: how many.
        rank: of K_l, where that saves weights, see `Dense`; 0: full.
        seed: of the weights.
        **kwargs: of the base layer.

    Raises:
        ValueError: fewer than one layer.

    Source: Wang et al., DCN V2, arXiv 2008.13535.

    Examples:
        >>> DCN(num_layers=2)(tf.ones([5, 2]), [tf.ones([5, 3, 4])])[0].shape
        TensorShape([5, 14])
    """

    def __init__(
        self, num_layers: int = 2, rank: int = 0, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_layers < 1:
            raise ValueError(f"num_layers: expected 1 or more, received {num_layers}.")
        self.num_layers = num_layers
        self.rank = rank
        self.seed = seed
        seeds = np.random.SeedSequence(seed).generate_state(2 * num_layers).tolist()
        self.crosses = [
            _Cross(
                rank,
                seeds[2 * i : 2 * i + 2],
                dtype=self.dtype_policy,
                name=f"cross_{i}",
            )
            for i in range(num_layers)
        ]

    @classmethod
    def of(
        cls,
        config: WideDeepConfig,
        num_numeric: int,
        dims: Sequence[int],
        seed: int = 0,
        **kwargs: Any,
    ) -> DCN:
        """The layer that a configuration describes."""
        return cls(config.cross_layers, config.cross_rank, seed, **kwargs)

    def call(
        self,
        numeric: tf.Tensor,
        embeddings: Sequence[tf.Tensor],
        training: bool | None = None,
    ) -> list[tf.Tensor]:
        """The inputs of the MLP: one."""
        x0 = tf.concat(_flat(numeric, embeddings), axis=1)
        x = x0
        for cross in self.crosses:
            x = cross(x0, x)
        return [x]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "rank": self.rank,
            "seed": self.seed,
        }


class _Cross(Cross):
    """A cross layer of TensorFlow Recommenders with an affine layer of ours.

    Its own would compute in float32 under mixed precision, and draw both factors of a
    low-rank kernel from the same random numbers.
    """

    def __init__(self, rank: int, seeds: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._rank = rank
        self._seeds = tuple(seeds)

    def build(self, input_shape: Any) -> None:
        """Makes the affine layer."""
        first, second = self._seeds
        self._dense = Dense(
            int(input_shape[-1]),
            rank=self._rank,
            kernel_initializer=tf_keras.initializers.GlorotNormal(seed=first),
            expansion_initializer=tf_keras.initializers.GlorotNormal(seed=second),
            dtype=self.dtype_policy,
            name="affine",
        )
        self.built = True


@tf_keras.saving.register_keras_serializable("smelu_tf")
class DLRM(Interaction):
    """DLRM: the products of all pairs of embeddings, the numbers' own one among them.

        e_0 = MLP(numeric),    output: e_0 and e_i · e_j for all i > j

    Without numeric columns there is no e_0.

    Args:
        dim: the width of every embedding.
        bottom_units: hidden layers of the MLP of the numeric columns; one of `dim`
            follows.
        activation: of all layers of that MLP.
        normalization: as in `MLP`.
        initializer: as in `MLP`.
        seed: of the weights.
        **kwargs: of the base layer.

    Raises:
        ValueError: as `MLP`; from `of`, embeddings of several widths, or fewer than two
            vectors to multiply.

    Source: Naumov et al., Deep Learning Recommendation Model, arXiv 1906.00091.

    Examples:
        >>> layer = DLRM(4, bottom_units=(8,))
        >>> [x.shape.as_list() for x in layer(tf.ones([5, 2]), [tf.ones([5, 3, 4])])]
        [[5, 4], [5, 6]]
    """

    def __init__(
        self,
        dim: int,
        bottom_units: Sequence[int] = (64,),
        activation: Any = "smelu:1",
        *,
        normalization: str = "none",
        initializer: str = "he",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        units = (*bottom_units, dim)
        self.bottom = MLP(
            units,
            (activation,) * len(units),
            normalization=normalization,
            initializer=initializer,
            seed=seed,
            dtype=self.dtype_policy,
            name="bottom",
        )
        # Its output is the whole matrix of products, whose triangle is picked here: the
        # mask that it would pick it with gives a shape that XLA does not know.
        self.dot = DotInteraction(skip_gather=True, dtype=self.dtype_policy, name="dot")

    @classmethod
    def of(
        cls,
        config: WideDeepConfig,
        num_numeric: int,
        dims: Sequence[int],
        seed: int = 0,
        **kwargs: Any,
    ) -> DLRM:
        """The layer that a configuration describes."""
        other = [dim for dim in dims if dim != config.embedding_dim]
        if other:
            raise ValueError(
                "model.column_dims: expected the width of model.embedding_dim, "
                f"{config.embedding_dim}, for every column with interaction=dlrm, "
                f"received {other[0]}."
            )
        num_vectors = len(dims) + (num_numeric > 0)
        if num_vectors < 2:
            raise ValueError(
                "model.interaction: expected none or dcn for fewer than two vectors "
                "(one a column with ids, one for all numeric columns), received dlrm "
                f"with {num_vectors}."
            )
        return cls(
            config.embedding_dim,
            config.bottom_units,
            config.layer_activations()[0],
            normalization=config.normalization,
            initializer=config.initializer,
            seed=seed,
            **kwargs,
        )

    def call(
        self,
        numeric: tf.Tensor,
        embeddings: Sequence[tf.Tensor],
        training: bool | None = None,
    ) -> list[tf.Tensor]:
        """The inputs of the MLP: the numbers' embedding and the products."""
        bottom = []
        if numeric.shape[1]:
            bottom = [self.bottom(numeric, training=training)]
        vectors = [
            *bottom,
            *(vector for table in embeddings for vector in tf.unstack(table, axis=1)),
        ]
        n = len(vectors)
        below_diagonal = [i * n + j for i in range(n) for j in range(i)]
        products = tf.gather(self.dot(vectors), below_diagonal, axis=1)
        return [*bottom, products]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        bottom = self.bottom.get_config()
        return {
            **super().get_config(),
            "dim": self.dim,
            "bottom_units": self.bottom.units[:-1],
            "activation": bottom["activations"][0],
            **{key: bottom[key] for key in ("normalization", "initializer", "seed")},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DLRM:
        """The layer of `get_config`'s values, with fresh weights."""
        activation = config["activation"]
        if not isinstance(activation, str):
            activation = tf_keras.saving.deserialize_keras_object(activation)
        return cls(**{**config, "activation": activation})


def _flat(numeric: tf.Tensor, embeddings: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Every input as (B, n); without the numbers where there are none."""
    flat = [
        tf.reshape(table, [-1, table.shape[1] * table.shape[2]]) for table in embeddings
    ]
    return [numeric, *flat] if numeric.shape[1] or not flat else flat


INTERACTIONS: dict[str, type[Interaction]] = {
    "none": NoInteraction,
    "dcn": DCN,
    "dlrm": DLRM,
}
"""The interactions by their names in a configuration."""
