"""Anti-distillation: towers kept from predicting alike, for a better ensemble."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from smelu_tf.pipelines import Batch

# Of logits whose standard deviation over a batch is below a thousandth no correlation
# is asked: its gradient would be as large as that is small.
_MIN_VARIANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class AntiDistillation:
    """Penalises what the towers' logits have in common over a batch.

        λ Σ_{k<l} cov_B(z_k, z_l)² / ((var_B(z_k) + ε)(var_B(z_l) + ε)),  ε = 10⁻⁶

    which is the squared correlation of each pair of towers, over the rows of a batch
    (of each replica's part of it), weighted as they are. It is added to the loss of
    every row, so that it counts in the batch's mean as it stands here.

    The paper says that components are forced away from one another "by techniques like
    de-correlating their outputs over mini-batches of examples". The outputs taken here,
    logits, and the square of the correlation are our reading of these words, not a
    formula of the paper. Nor is there a loss of the ensemble's logit here: each tower
    has its own.

    Attributes:
        strength: λ, above 0.

    Source: of the idea, Shamir & Coviello, Anti-Distillation: Improving reproducibility
    of deep networks, arXiv 2010.09923.

    Examples:
        >>> term = AntiDistillation(0.5)
        >>> batch = Batch({}, label=tf.zeros([3]), weight=tf.ones([3]))
        >>> opposite = tf.constant([[1.0, 2.0, 3.0], [6.0, 4.0, 2.0]])
        >>> term(opposite, batch, step=0).numpy().round(3)
        array([0.5, 0.5, 0.5], dtype=float32)
    """

    strength: float

    def __call__(
        self, logits: tf.Tensor, batch: Batch, step: tf.Tensor | int
    ) -> tf.Tensor:
        """The term of each row.

        Args:
            logits: of each tower, float32 (K, B).
            batch: the rows.
            step: not used.

        Returns:
            float32 (B,), the same for all rows.
        """
        total = tf.reduce_sum(batch.weight)
        share = tf.math.divide_no_nan(batch.weight, total)
        mean = tf.reduce_sum(share * logits, axis=1, keepdims=True)
        centred = logits - mean
        covariance = tf.matmul(share * centred, centred, transpose_b=True)
        variance = tf.linalg.diag_part(covariance) + _MIN_VARIANCE
        squared = covariance**2 / (variance[:, tf.newaxis] * variance)
        pairs = tf.linalg.band_part(squared, 0, -1) - tf.linalg.band_part(squared, 0, 0)
        return self.strength * tf.reduce_sum(pairs) * tf.ones_like(batch.label)
