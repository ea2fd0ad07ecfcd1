"""The flags of scripts that compare a model with the one that is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from absl import flags

from .errors import complain

flags.disclaim_key_flags()  # they are the script's


class MaxPredictionDifference:
    """Defines --compare_to and --max_prediction_difference, and judges by the latter.

    Args:
        purpose: what the comparison is for, the end of a sentence of --help.
    """

    def __init__(self, purpose: str) -> None:
        self._model = flags.DEFINE_string(
            "compare_to",
            "",
            "A model_dir or an exported SavedModel of the same schema, the model that "
            "is being served: the prediction difference from it (mean of 2|p-q|/(p+q), "
            f"and of |p-q|) is reported {purpose}.",
        )
        self._max = flags.DEFINE_float(
            "max_prediction_difference",
            None,
            "The prediction difference from --compare_to, relative (0.05: 5 %), above "
            "which the exit code is 1. All files are written nevertheless.",
            lower_bound=0.0,
        )

    def model(self) -> str:
        """The model to compare with; empty: none. A ValueError: a bound without it."""
        if self._max.value is not None and not self._model.value:
            raise ValueError(
                "--max_prediction_difference: expected --compare_to with it, received "
                "none."
            )
        return str(self._model.value)

    def exit_code(
        self, where: Mapping[str, Mapping[str, Any]], model: str | None = None
    ) -> int:
        """The program's: 1, with a line on stderr, where the difference is too large.

        Args:
            where: figures by what they are of; the first that have a difference count.
            model: what they are the difference from; by default --compare_to.

        Raises:
            ValueError: none of them has, but there is a bound.
        """
        if self._max.value is None:
            return 0
        if model not in (None, self._model.value):
            raise ValueError(
                f"--compare_to: expected {model or 'none'}, as in the run that has "
                f"ended, received {self._model.value}; scripts/evaluate.py compares "
                "with another."
            )
        for what, figures in where.items():
            found = figures.get("prediction_difference")
            if found is None:
                continue
            if found <= self._max.value:
                return 0
            # TensorFlow is imported here: flags are shown without it.
            from smelu_tf.models.promotion import reading_above

            complain(
                f"{what}: expected a prediction difference of at most "
                f"{self._max.value:g} from {self._model.value}, received "
                f"{reading_above(found, self._max.value)}. The model is kept."
            )
            return 1
        raise ValueError(
            "--max_prediction_difference: expected figures with a prediction "
            "difference, received none (no row had a weight, or the run had ended "
            "without --compare_to)."
        )
