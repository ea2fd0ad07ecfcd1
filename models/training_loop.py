"""The loop of a training: batches, reports, validations and checkpoints in turn."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from pathlib import Path

from . import loss_scale
from .asynchronous import AsynchronousSteps
from .cluster import is_chief
from .comparison import DifferenceCounts
from .config import TrainConfig
from .divergence import divergence_error, suspects
from .history import History, Progress
from .learner import Learner
from .metrics import Figures
from .preemption import StopRequest
from .run_checkpoints import RunCheckpoints
from .steps import MAX_LOSS, TrainSteps
from .training_rows import TrainingRows
from .validation import Validation
from .wide_deep import WideDeep

_REPORT_ROWS = 10_000  # rows between reports of the figures so far, at first
_MAX_REPORTS = 200  # about, for each doubling of the rows


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training run leaves. See `train`.

    Attributes:
        model: the trained model, compiled; with `optimizer.averaging` it has the
            averages of its weights.
        progressive: the figures of the predictions made before learning.
        validation: the figures of the last validation; None without one.
        window: the progressive figures of the latest rows; None if nothing was left.
        rows_per_second: of this call, reading included; None if nothing was left.
        num_bad_rows: rows passed over.
        finished: whether the rows are over; else the run was asked to stop before.
    """

    model: WideDeep
    progressive: dict[str, float | int | None]
    validation: Figures | None
    window: Figures | None
    rows_per_second: float | None
    num_bad_rows: int
    finished: bool


class TrainingLoop:
    """A run of a training, from wherever it is to its end or to a request to stop.

    Made and called under the strategy.

    Args:
        config: the configuration.
        learner: the model and what trains it.
        steps: what trains it on the next batches.
        rows: what is left to learn from.
        validation: what it is validated by, if it is.
        checkpoints: how far the run is, and where that is kept.
        model_dir: what else is written goes there.
    """

    def __init__(
        self,
        config: TrainConfig,
        learner: Learner,
        steps: TrainSteps | AsynchronousSteps,
        rows: TrainingRows,
        validation: Validation | None,
        checkpoints: RunCheckpoints,
        model_dir: Path,
    ) -> None:
        self._config = config
        self._model = learner.model
        self._optimizer = loss_scale.unwrapped(learner.optimizer)
        self._metrics = learner.metrics
        self._comparison = learner.comparison
        self._steps = steps
        self._rows = rows
        self._validation = validation
        self._state = checkpoints.state
        self._checkpoints = checkpoints
        self._model_dir = model_dir
        self._validated: Figures | None = None

    def restore(self) -> None:
        """Goes on from the newest checkpoint, if there is one."""
        self._checkpoints.restore()
        counts = self._state.counts()
        self._metrics.sums.assign(counts.sums)
        self._metrics.histogram.assign(counts.histogram)
        if self._comparison is not None:
            self._comparison.differences.sums.assign(self._state.differences)

    def __call__(self, request: StopRequest, progress: Progress | None) -> TrainResult:
        """Trains on what is left of the rows, with checkpoints and progress."""
        state = self._state
        was_finished = bool(state.finished)
        first_row = self._num_rows_read()
        start = time.monotonic()
        with contextlib.ExitStack() as stack:
            history = None
            if is_chief():
                history = self._history(progress)
                stack.enter_context(contextlib.closing(history))
            if not was_finished:
                self._train(request, history)
        self._optimizer.assign_averages(self._model.trainable_variables)
        self._model.compile(self._model.optimizer)
        figures = self._metrics.counts().figures()
        differences = self._differences()
        if differences is not None:
            figures |= differences.figures()
        num_rows, seconds = self._num_rows_read() - first_row, time.monotonic() - start
        return TrainResult(
            model=self._model,
            progressive=figures,
            validation=self._validated,
            window=None if history is None else history.window,
            rows_per_second=None if was_finished else num_rows / seconds,
            num_bad_rows=int(state.num_bad_rows),
            finished=bool(state.finished),
        )

    def _history(self, progress: Progress | None) -> History:
        state = self._state
        return History(
            self._model_dir,
            self._config.eval.window_rows,
            int(state.position),
            state.counts(),
            progress,
            # Not the metric's, which all workers read together.
            state.difference_counts() if self._comparison else None,
        )

    def _train(self, request: StopRequest, history: History | None) -> None:
        config, state = self._config, self._state
        position = saved = int(state.position)
        iterator = self._rows.iterator(position)
        next_report = position
        next_validation = self._validation_after(position)
        stop = finished = False
        while not (finished or stop):
            steps = self._steps(iterator, request.received)
            self._check(steps.last_loss, position, steps.num_steps)
            position += steps.num_steps
            stop, finished = steps.stop_wanted > 0, steps.finished
            is_last = finished or stop
            saves = is_last or position >= saved + config.train.checkpoint_steps
            validates = self._validation is not None and (
                finished or position >= next_validation
            )
            if not (saves or validates or position >= next_report):
                continue
            self._check(self._steps.join(), position, None)
            # On a cluster all workers take part in this.
            counts, differences = self._metrics.counts(), self._differences()
            if finished and not counts.num_examples:
                raise ValueError("data: expected rows, received none that parse.")
            state.set(position, counts, differences, finished, self._rows.num_bad_rows)
            figures = self._validate() if validates else None
            if history is not None:
                num_rows = self._num_rows_read()
                history.report(position, num_rows, counts, figures, differences)
            next_report = position + self._report_steps(position)
            if validates:
                next_validation = self._validation_after(position)
            if saves:
                self._save()
                saved = position

    def _check(self, loss: float, position: int, num_steps: int | None) -> None:
        """Raises an ArithmeticError where a loss says that the training diverged."""
        if loss < MAX_LOSS:
            return
        where, blamed = f"batches up to {position}", []
        if num_steps is not None and isinstance(self._steps, TrainSteps):
            number, data = position + num_steps - 1, self._config.data
            where, first = f"batch {number}", number * data.batch_size
            if data.epochs == 1 and not data.shuffle:
                where += f" (rows {first} to {first + data.batch_size - 1})"
            for batch in self._rows.again().batches(number).take(1):
                blamed = suspects(batch, self._model.schema)
        newest = self._checkpoints.newest
        optimizer = self._model.optimizer
        raise divergence_error(loss, optimizer, where, blamed, newest)

    def _validate(self) -> Figures | None:
        """The figures on the rows held out; the best weights so far are kept."""
        if self._validation is None or not is_chief():
            return None
        with self._averages():
            figures = self._validated = self._validation.figures()
            merit = self._validation.merit(figures)
            if merit is not None and self._state.is_better(merit):
                self._checkpoints.save("best")
        return figures

    def _save(self) -> None:
        if self._config.optimizer.averaging:
            # Before the other: a run that has ended does not come here again.
            with self._averages():
                self._checkpoints.save("averaged")
        self._checkpoints.save("newest")

    def _averages(self) -> contextlib.AbstractContextManager[None]:
        """Inside, the model has the averages of its weights, if there are any."""
        if not is_chief():
            return contextlib.nullcontext()
        return self._optimizer.averages_in(self._model.trainable_variables)

    def _differences(self) -> DifferenceCounts | None:
        """The differences from the served model that have been counted, if any are."""
        if self._comparison is None:
            return None
        return self._comparison.differences.counts()

    def _num_rows_read(self) -> int:
        # Of text the rows are estimated; those predicted are counted.
        estimated = self._rows.num_read(int(self._state.position))
        return max(estimated, self._state.counts().num_examples)

    def _validation_after(self, position: int) -> float:
        """The batch that the next validation is due at, wherever the run began anew."""
        every = self._config.eval.every_steps
        return (position // every + 1) * every if every else math.inf

    def _report_steps(self, position: int) -> int:
        """Steps to the next report: more of them the longer the run is."""
        size = self._config.data.batch_size
        return max(_REPORT_ROWS // size, position // _MAX_REPORTS, 1)
