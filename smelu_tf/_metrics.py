"""The metrics' logic without a Keras: each flavour mixes it into its own base class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from .difference_counts import PredictionDifferenceCounts
from .difference_kinds import DifferenceKind, comparable, distance, over_labels

_DTYPES = ("float64", "float32")


class PredictionDifferenceMixin:
    """The prediction difference over all pairs of models, as a Keras metric.

        mean over pairs (p, q) and examples of the difference, by weight

    Of what is predicted the first axis is the batch, as always in Keras, and the second
    one the models: of models side by side, or of one model that has several heads. The
    labels are not looked at. Only sums are kept, which merge exactly over batches and
    replicas.

    Args:
        num_models: how many models are compared, two or more.
        kind: a name of `difference_kinds.KINDS`: `relative`, `absolute`, `euclidean`,
            `squared`, `logit` or `hamming`; `DifferenceKind` says what they are.
        from_logits: the predictions are logits.
        threshold: of `hamming`, as in `DifferenceKind`.
        name: of the metric.
        dtype: of the arithmetic and the sums: `float64`, or for devices that have none
            `float32`, in which a sum stops growing at 16.7 million times what is added.

    Raises:
        ValueError: fewer than two models, an unknown kind, a threshold that is none, or
            another dtype.

    Source: Shamir & Lin, arXiv 2202.06499, use the relative difference.

    Examples:
        >>> metric = smelu_tf.metrics.PredictionDifference(num_models=2)
        >>> metric.update_state(None, [[0.10, 0.12], [0.20, 0.20]])
        >>> round(float(metric.result()), 4)
        0.0909
    """

    # Variables of each flavour's own kind.
    pair_sums: Any
    totals: Any

    def __init__(
        self,
        num_models: int,
        kind: str = "relative",
        from_logits: bool = False,
        threshold: float | None = None,
        name: str = "prediction_difference",
        dtype: Any = "float64",
    ) -> None:
        if tf.as_dtype(dtype).name not in _DTYPES:
            raise ValueError(
                f"dtype: expected one of {', '.join(_DTYPES)}, received {dtype}."
            )
        if num_models < 2:
            raise ValueError(f"num_models: expected 2 or more, received {num_models}.")
        dtype = tf.as_dtype(dtype).name
        super().__init__(name=name, dtype=dtype)  # type: ignore[call-arg]
        self.num_models = num_models
        self._kind = DifferenceKind(kind, from_logits, threshold)
        # As in `PredictionDifferenceCounts`.
        self.pair_sums = self.add_weight(  # type: ignore[attr-defined]
            name="pair_sums",
            shape=(num_models * (num_models - 1) // 2,),
            initializer="zeros",
            dtype=dtype,
        )
        # The weight and the number of examples.
        self.totals = self.add_weight(  # type: ignore[attr-defined]
            name="totals", shape=(2,), initializer="zeros", dtype=dtype
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: anything; it is not looked at.
            y_pred: predictions, (batch, num_models) or (batch, num_models, num_labels).
                Values are not checked: where one is not finite, so is the result.
            sample_weight: weights, (batch,) or (batch, 1); 1 where None.

        Raises:
            ValueError: predictions of another shape.
        """
        predictions = tf.cast(y_pred, self.pair_sums.dtype)
        shape = predictions.shape
        if shape.rank not in (2, 3) or shape[1] not in (None, self.num_models):
            raise ValueError(
                f"y_pred: expected shape (batch, {self.num_models}[, num_labels]), a "
                f"column for each model, received {shape}."
            )
        size = tf.shape(predictions)[0]
        weight = tf.ones([size], predictions.dtype)
        if sample_weight is not None:
            weight = tf.reshape(tf.cast(sample_weight, weight.dtype), [-1])
        values = comparable(predictions, self._kind, tnp)
        first, second = np.triu_indices(self.num_models, 1)
        each = distance(
            tf.gather(values, first, axis=1),
            tf.gather(values, second, axis=1),
            self._kind,
            tnp,
        )
        each = tf.cast(each, weight.dtype)
        each = over_labels(each, self._kind, values.shape.rank == 3, tnp)
        self.pair_sums.assign_add(tf.linalg.matvec(each, weight, transpose_a=True))
        num_examples = tf.cast(size, weight.dtype)
        self.totals.assign_add(tf.stack([tf.reduce_sum(weight), num_examples]))

    def result(self) -> tf.Tensor:
        """The mean over all pairs and examples; NaN as long as there is no weight.

        Returns:
            A scalar of the metric's dtype.
        """
        mean = tf.reduce_mean(tf.convert_to_tensor(self.pair_sums))
        return mean / tf.convert_to_tensor(self.totals)[0]

    def counts(self) -> PredictionDifferenceCounts:
        """What has been added, each pair's sum; the variables are read once.

        Returns:
            The counts, which are added up, stored and read again without a Keras.

        Raises:
            ValueError: predictions were not finite.
        """
        variables = (self.pair_sums, self.totals)
        sums, totals = (
            np.array(tf.convert_to_tensor(v), np.float64) for v in variables
        )
        weight, num_examples = map(float, totals)
        return PredictionDifferenceCounts(
            self._kind, self.num_models, sums, weight, int(num_examples)
        )

    def merge_state(self, metrics: Iterable[PredictionDifferenceMixin]) -> None:
        """Adds what others have added up.

        Args:
            metrics: of the same kind and number of models.

        Raises:
            ValueError: of another one.
        """
        for other in metrics:
            ours, theirs = ((m.num_models, m._kind) for m in (self, other))
            if ours != theirs:
                raise ValueError(
                    f"metrics: expected those of {ours[0]} models and the kind "
                    f"{ours[1]}, received {theirs[0]} and {theirs[1]}."
                )
            for name in ("pair_sums", "totals"):
                variable = getattr(self, name)
                value = tf.convert_to_tensor(getattr(other, name))
                variable.assign_add(tf.cast(value, variable.dtype))

    def reset_state(self) -> None:
        """Starts again from nothing."""
        for variable in (self.pair_sums, self.totals):
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),  # type: ignore[misc]
            "num_models": self.num_models,
            "kind": self._kind.name,
            "from_logits": self._kind.from_logits,
            "threshold": self._kind.threshold,
        }
