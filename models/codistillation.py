"""Co-distillation: towers that learn from one another while they are trained."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from smelu_tf.pipelines import Batch


@dataclasses.dataclass(frozen=True)
class Codistillation:
    """Has each tower learn what the other towers predict, besides the labels.

        λ Σ_i ψ(q_i, p_i),  q_i = stop_gradient(1/(K-1) Σ_{j≠i} p_j),
        ψ(q, p) = -q log p - (1 - q) log(1 - p),  p_i = sigmoid(z_i)

    Nothing of it in the first `burn_in_steps` steps, in which predictions are not worth
    learning. The others' predictions are those of the same step, not stale ones: the
    towers are in one program.

    Attributes:
        strength: λ, above 0.
        burn_in_steps: steps without it.

    Source: Anil et al., Large scale distributed neural network training through online
    distillation, arXiv 1804.03235.

    Examples:
        >>> codistill = Codistillation(1.0)
        >>> batch = Batch({}, label=tf.zeros([1]), weight=tf.ones([1]))
        >>> codistill(tf.constant([[0.0], [2.0]]), batch, step=0).numpy().round(4)
        array([1.8201], dtype=float32)
    """

    strength: float
    burn_in_steps: int = 0

    def __call__(
        self, logits: tf.Tensor, batch: Batch, step: tf.Tensor | int
    ) -> tf.Tensor:
        """The term of each row.

        Args:
            logits: of each tower, float32 (K, B), K of 2 or more.
            batch: the rows.
            step: how many steps were made.

        Returns:
            float32 (B,).
        """
        num_towers = logits.shape[0]
        of_others = (1.0 - tf.eye(num_towers)) / (num_towers - 1)
        targets = tf.matmul(of_others, tf.stop_gradient(tf.sigmoid(logits)))
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
        is_on = tf.convert_to_tensor(step) >= self.burn_in_steps
        return tf.cast(is_on, logits.dtype) * self.strength * tf.reduce_sum(losses, 0)
