"""How far a run is, and the checkpoints from which it goes on and is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from .checkpoints import FOLDERS, restore, save
from .cluster import is_chief
from .comparison import DifferenceCounts
from .divergence import ADVICE
from .metrics import BinaryCounts
from .placement import beside
from .wide_deep import WideDeep


class RunState(tf.Module):
    """How far a run is: plain variables of this process, made outside the strategy.

    Attributes:
        position: how many batches have been learned.
        finished: whether the rows are over.
        num_bad_rows: rows passed over, once the run is finished.
        best: the best value of the validations so far; see `is_better`.
        sums: the counts of the progressive figures, with `histogram`.
        histogram: see there.
        differences: those of the differences from the model that is being served.
    """

    def __init__(self) -> None:
        super().__init__(name="state")
        zeros = BinaryCounts.zero()
        self.position = tf.Variable(0, dtype=tf.int64, name="position")
        self.finished = tf.Variable(False, name="finished")
        self.num_bad_rows = tf.Variable(0, dtype=tf.int64, name="num_bad_rows")
        self.best = tf.Variable(-np.inf, dtype=tf.float64, name="best")
        self.sums = tf.Variable(zeros.sums, name="sums")
        self.histogram = tf.Variable(zeros.histogram, name="histogram")
        zeros_of_differences = DifferenceCounts.zero().sums
        self.differences = tf.Variable(zeros_of_differences, name="differences")

    def counts(self) -> BinaryCounts:
        """What the figures are of."""
        return BinaryCounts(self.sums.numpy(), self.histogram.numpy())

    def difference_counts(self) -> DifferenceCounts:
        """What the differences from the served model are of."""
        return DifferenceCounts(tf.convert_to_tensor(self.differences).numpy())

    def set(
        self,
        position: int,
        counts: BinaryCounts,
        differences: DifferenceCounts | None,
        finished: bool,
        num_bad_rows: int,
    ) -> None:
        """Notes how far the run is."""
        self.position.assign(position)
        self.sums.assign(counts.sums)
        self.histogram.assign(counts.histogram)
        if differences is not None:
            self.differences.assign(differences.sums)
        self.finished.assign(finished)
        if finished:
            self.num_bad_rows.assign(num_bad_rows)

    def is_better(self, value: float) -> bool:
        """Whether a value is the largest so far, which it is from then on."""
        if value <= float(self.best):
            return False
        self.best.assign(value)
        return True


class RunCheckpoints:
    """The checkpoints of a run, in the folders of `checkpoints.FOLDERS`.

    Args:
        model: compiled, and made under the strategy in force.
        state: how far the run is.
        model_dir: where.
        keep: how many of the newest checkpoints are kept.

    Attributes:
        state: how far the run is.
    """

    def __init__(
        self, model: WideDeep, state: RunState, model_dir: Path, keep: int
    ) -> None:
        self._model = model
        self.state = state
        self._model_dir = model_dir
        self._newest = tf.train.Checkpoint(
            model=model, optimizer=model.optimizer, state=state
        )
        checkpoints = {
            "newest": self._newest,
            "best": tf.train.Checkpoint(model=model),
            "averaged": tf.train.Checkpoint(model=model),
        }
        for checkpoint in checkpoints.values():
            # A variable, which all workers of a cluster have to make together.
            _ = checkpoint.save_counter
        self._managers = {
            which: tf.train.CheckpointManager(
                checkpoint,
                str(model_dir / FOLDERS[which]),
                max_to_keep=keep if which == "newest" else 1,
            )
            for which, checkpoint in checkpoints.items()
        }

    @property
    def newest(self) -> str | None:
        """The path of the newest checkpoint."""
        return self._managers["newest"].latest_checkpoint

    def restore(self) -> None:
        """Restores the newest checkpoint, if there is one."""
        restore(self._newest, self._model_dir)

    def save(self, which: str) -> None:
        """Saves the weights, which all are numbers; only the chief does.

        Args:
            which: a key of `checkpoints.FOLDERS`.

        Raises:
            ArithmeticError: weights that are no numbers.
            OSError: no space, or no right to write.
        """
        if not is_chief():
            return
        step = int(self.state.position)
        wrong = [v.name for v in self._model.variables if not _is_finite(v)]
        if wrong:
            raise ArithmeticError(
                f"step {step}: expected finite weights, received others in "
                f"{', '.join(wrong)}; {ADVICE}."
            )
        save(self._managers[which], step)


def _is_finite(variable: tf.Variable) -> bool:
    """Whether all values are numbers: their sum is none where one of them is none."""
    if not variable.dtype.is_floating:
        return True
    with beside(variable):
        return bool(tf.math.is_finite(tf.reduce_sum(variable)))
