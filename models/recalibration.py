"""Recalibration: a small rising function of a trained model's logits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines.dataclass_json import from_json_values

Kind = Literal["platt", "isotonic"]

MAX_KNOTS = 64
"""How many knots an isotonic table has at most."""

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Recalibration:
    """A rising function from a model's logits to logits that fit held-out rows.

        platt       z' = scale · z + shift
        isotonic    z' = the value at z of straight lines between knots; below the
                    first knot and above the last one that knot's value

    The order of rows stays. An isotonic table makes ties where its values are equal,
    as those of `fit_recalibration` never are, and beyond the outermost knots; there
    is also the rounding to float32.

    Attributes:
        kind: `platt` or `isotonic`.
        scale: of `platt`, above 0.
        shift: of `platt`.
        knots: of `isotonic`: 2 to 64 logits, rising.
        values: what the knots become, not falling.

    Raises:
        ValueError: values that are none of such a function.

    Sources: Platt, Advances in Large Margin Classifiers, 1999; Zadrozny & Elkan,
    KDD 2002.

    Examples:
        >>> halved = Recalibration("platt", scale=0.5, shift=-1.0)
        >>> halved(tf.constant([-2.0, 0.0, 4.0])).numpy()
        array([-2., -1.,  1.], dtype=float32)
        >>> bent = Recalibration("isotonic", knots=(-1.0, 1.0), values=(-2.0, 0.0))
        >>> bent(tf.constant([-9.0, 0.0, 9.0])).numpy()
        array([-2., -1.,  0.], dtype=float32)
    """

    kind: Kind
    scale: float = 1.0
    shift: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_kind(self.kind)
        numbers = (self.scale, self.shift, *self.knots, *self.values)
        if not all(abs(number) <= _FLOAT32_MAX for number in numbers):
            raise ValueError(
                "recalibration: expected finite numbers of float32, received others."
            )
        if self.kind == "platt":
            if not self.scale > 0:
                raise ValueError(
                    "recalibration.scale: expected a number above 0, received "
                    f"{self.scale}."
                )
            if self.knots or self.values:
                raise ValueError(
                    "recalibration: expected knots and values of isotonic alone, "
                    f"received {len(self.knots)} and {len(self.values)} of platt."
                )
            return
        if (self.scale, self.shift) != (1.0, 0.0):
            raise ValueError(
                "recalibration: expected scale and shift of platt alone, received "
                f"{self.scale} and {self.shift} of isotonic."
            )
        if not 2 <= len(self.knots) == len(self.values) <= MAX_KNOTS:
            raise ValueError(
                f"recalibration: expected 2 to {MAX_KNOTS} knots and as many values, "
                f"received {len(self.knots)} and {len(self.values)}."
            )
        if np.min(np.diff(self.knots)) <= 0:
            raise ValueError(
                "recalibration.knots: expected rising ones, received others."
            )
        if np.min(np.diff(self.values)) < 0:
            raise ValueError(
                "recalibration.values: expected none that fall, received others."
            )

    def __call__(self, logit: tf.Tensor) -> tf.Tensor:
        """The recalibrated logits; NaN stays NaN.

        Computed in float64 and rounded, so that it is the same at every place of a
        tensor. The gradient is finite everywhere, and 0 beyond the outermost knots.

        Args:
            logit: float32 (B,).

        Returns:
            float32 (B,).
        """
        z = tf.cast(logit, tf.float64)
        if self.kind == "platt":
            scale, shift = (np.float64(number) for number in (self.scale, self.shift))
            return tf.cast(scale * z + shift, tf.float32)
        knots, values = np.array(self.knots), np.array(self.values)
        # The line that a logit is on; that of the first two knots is 0.
        inner = tf.constant(knots[1:-1], tf.float64)
        line = tf.searchsorted(inner, z, side="right")
        z = tf.clip_by_value(z, knots[0], knots[-1])
        start = tf.gather(tf.constant(knots[:-1]), line)
        low = tf.gather(tf.constant(values[:-1]), line)
        high = tf.gather(tf.constant(values[1:]), line)
        slope = tf.gather(tf.constant(np.diff(values) / np.diff(knots)), line)
        # Rounding must not lift the end of one line above the start of the next.
        return tf.cast(tf.minimum(low + slope * (z - start), high), tf.float32)

    def to_dict(self) -> dict[str, Any]:
        """The recalibration as plain, JSON-ready values, to the bit."""
        return {
            **dataclasses.asdict(self),
            "knots": list(self.knots),
            "values": list(self.values),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recalibration:
        """The recalibration of `to_dict`'s values; a ValueError names a wrong one."""
        return from_json_values(cls, values, "recalibration")


def check_kind(kind: str) -> None:
    """Raises a ValueError for a kind that there is not."""
    if kind not in ("platt", "isotonic"):
        raise ValueError(
            f"recalibration.kind: expected one of platt, isotonic, received {kind!r}."
        )
