"""Learning rates that change over a run: a rise at the start, a fall later."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras

from .config import OptimizerConfig


@tf_keras.saving.register_keras_serializable("smelu_tf")
class WarmupDecay(tf_keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a constant rate or a fall to a part of it.

        rate(t) = learning_rate * (t + 1) / warmup_steps              t < warmup_steps
        rate(t) = learning_rate * (final + (1 - final) * fall(u))     afterwards

    with u = min((t - warmup_steps) / decay_steps, 1) and fall(u) = 1 (`constant`),
    1 - u (`linear`) or (1 + cos(pi u)) / 2 (`cosine`).

    Args:
        learning_rate: the full rate.
        warmup_steps: steps of the warm-up.
        kind: `constant`, `linear` or `cosine`.
        decay_steps: steps of the fall.
        final_rate: the part of the rate that is left after it.

    Source: of the cosine, Loshchilov & Hutter, arXiv 1608.03983.

    Examples:
        >>> schedule = WarmupDecay(0.1, 2, "linear", 10)
        >>> [round(float(schedule(t)), 3) for t in (0, 1, 2, 7, 12, 99)]
        [0.05, 0.1, 0.1, 0.05, 0.0, 0.0]
    """

    def __init__(
        self,
        learning_rate: float,
        warmup_steps: int = 0,
        kind: str = "constant",
        decay_steps: int = 0,
        final_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if kind not in ("constant", "linear", "cosine"):
            raise ValueError(
                f"kind: expected constant, linear or cosine, received {kind!r}."
            )
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.kind = kind
        self.decay_steps = decay_steps
        self.final_rate = final_rate

    @classmethod
    def of(cls, config: OptimizerConfig) -> float | WarmupDecay:
        """What a configuration says of its rate: a number where it stays as it is."""
        if not config.warmup_steps and config.schedule == "constant":
            return config.learning_rate
        return cls(
            config.learning_rate,
            config.warmup_steps,
            config.schedule,
            config.decay_steps,
            config.final_rate,
        )

    def __call__(self, step: Any) -> tf.Tensor:
        """The rate of a step, counted from 0: float32."""
        # Steps beyond 2^24 are no float32 numbers, but their quotients are.
        step = tf.cast(step, tf.float64)
        risen = (step + 1) / max(self.warmup_steps, 1)
        u = (step - self.warmup_steps) / max(self.decay_steps, 1)
        u = tf.clip_by_value(u, 0.0, 1.0)
        fall = {
            "constant": tf.ones_like(u),
            "linear": 1 - u,
            "cosine": (1 + tf.cos(math.pi * u)) / 2,
        }[self.kind]
        fallen = self.final_rate + (1 - self.final_rate) * fall
        return tf.cast(self.learning_rate * tf.minimum(risen, fallen), tf.float32)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "kind": self.kind,
            "decay_steps": self.decay_steps,
            "final_rate": self.final_rate,
        }
