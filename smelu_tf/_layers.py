"""The layers' logic, without a Keras: each flavour mixes it into its own base class."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from .functional import check_smelu, smelu


class SmeLUMixin:
    """Smooth ReLU as a layer: 0 left of -beta, x right of beta, a parabola between.

        y = x where x > beta, else beta · r²
        r = clip((x + beta) / (2 · beta), 0, 1)

    Args:
        beta: half-width of the transition, a number from 0 to 1e38; 0 is ReLU.
        **kwargs: of the base layer: `name`, `dtype` …

    Input shape: any.
    Output shape: the input's.

    Raises:
        ValueError: beta is no number in this range.

    Source: Shamir & Lin, arXiv 2202.06499.

    Example:
        >>> SmeLU(beta=0.5)(tf.constant([-1.0, 0.0, 1.0])).numpy()
        array([0.   , 0.125, 1.   ], dtype=float32)
    """

    def __init__(self, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if np.ndim(beta) != 0:
            raise ValueError(f"beta: expected a single number, received {beta!r}.")
        check_smelu(beta)
        self.beta = float(beta)
        self.supports_masking = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The activation of the inputs."""
        return smelu(inputs, self.beta)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "beta": self.beta}  # type: ignore[misc]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape
