"""Training online: rows in their order, every batch predicted, then learned."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import (
    Batch,
    Blocks,
    Passes,
    RowFiles,
    Schema,
    Transform,
    for_replicas,
    named_schema,
    open_rows,
    sample_negatives,
    with_last_batch,
)

from . import loss_scale
from .asynchronous import AsynchronousSteps
from .checkpoints import (
    FOLDERS,
    discard,
    has_checkpoint,
    open_model_dir,
    restore,
    save,
    update_metrics,
)
from .comparison import Comparison, DifferenceCounts, Logit
from .config import TrainConfig
from .distillation import Teachers
from .divergence import suspects
from .evaluation import Scorer, evaluate, load_logit
from .history import Figures, History, Progress
from .losses import Objective
from .metrics import BinaryCounts, BinaryMetrics
from .optimizers import WideDeepOptimizer
from .placement import beside, tables_on
from .precision import dtype_policy
from .preemption import StopRequest, sigterm_as_request
from .replicated_scoring import replicated_logit
from .run_record import record_run
from .steps import MAX_LOSS, Learner, TrainSteps
from .strategies import (
    has_accelerator,
    has_embedding_hardware,
    is_chief,
    is_tpu,
    make_strategy,
    num_workers,
    outside_scope,
    resolve_strategy,
)
from .table_devices import resolve_table_device
from .tpu_checks import check_tpu
from .tpu_chips import attached_chip
from .warm_start import warm_start as start_warm
from .wide_deep import WideDeep

_REPORT_ROWS = 10_000  # rows between reports of the figures so far, at first
_MAX_REPORTS = 200  # about, for each doubling of the rows

_BETTER = {"log_loss": -1, "normalized_entropy": -1, "auc": 1, "pr_auc": 1}


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training run leaves.

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


def train(
    config: TrainConfig,
    files: str | os.PathLike[str] | Sequence[str],
    model_dir: str | os.PathLike[str],
    *,
    validation_files: str | os.PathLike[str] | Sequence[str] = (),
    warm_start: str | os.PathLike[str] | None = None,
    compare_to: str | os.PathLike[str] | None = None,
    max_bad_rows: int = 0,
    data_service: str = "",
    strategy: str = "one_device",
    communication: str = "auto",
    tpu: str = "local",
    table_device: str = "auto",
    jit_compile: bool | None = None,
    built: Callable[[WideDeep], None] | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Trains a model on rows in their order, and leaves it in model_dir.

    A run that was stopped goes on from its newest checkpoint when called with the
    same arguments; one that has ended returns at once. SIGTERM makes it save a
    checkpoint and return.

    Args:
        config: the configuration.
        files: row files (paths or glob patterns, as `read_rows` takes them), or a
            folder of blocks of the configuration's schema.
        model_dir: a new or empty folder, or one of the same run. On a cluster all
            processes see it.
        validation_files: rows to validate on; the best checkpoint is chosen by them.
            By default those that `data.validation_fraction` holds out, if any.
        warm_start: another run's model_dir, whose weights a new run begins with; see
            `warm_start.warm_start`.
        compare_to: a model_dir or an exported SavedModel of the same schema, the model
            that is being served: all figures have the prediction difference from it
            besides. Progressive ones are of the weights as they are learned, those of
            the validation of their averages where there are any.
        max_bad_rows: how many rows that do not parse are passed over; they are
            written to `rejects.txt` in model_dir.
        data_service: the address of a `tf.data` service (`grpc://host:port`) whose
            workers read the blocks. The order is then not kept: a run that goes on may
            miss or repeat rows that were under way when it stopped.
        strategy: where it runs; see `strategies.make_strategy`. `data.batch_size` is
            that of all replicas together. With parameter servers, this process is the
            chief, and the order of updates is not determined. On a TPU a last batch
            that is not full is left out.
        communication: how replicas add up their gradients; see there.
        tpu: which TPU; see there.
        table_device: where a GPU's training keeps its stacked tables: `gpu`, `host`, or
            `auto`: by their size; see `table_devices.resolve_table_device`. What is
            computed is the same.
        jit_compile: whether XLA compiles the deep part's layers; by default on GPUs,
            since on CPUs they get slower. On TPUs it compiles all.
        built: called with the model before it learns anything.
        progress: see `history.Progress`.

    Raises:
        ValueError: bad configuration, a missing or empty file, a row that does not
            parse (`BadRowError`: file and line), no row that does, blocks that are
            damaged or of another schema, a model_dir of another model, or a checkpoint
            that cannot be read.
        ArithmeticError: the loss is no longer a number, or far too large. The newest
            checkpoint is from before.
        OSError: no space, or no right to read or write.

    A run that fails before its first checkpoint leaves no model_dir behind.
    """
    config.validate()
    if config.loss.num_teachers:
        raise ValueError(
            "loss.num_teachers: expected 0, since only a study trains teachers itself, "
            f"received {config.loss.num_teachers}; train them, and name their "
            "model_dirs in loss.teachers."
        )
    model_dir = Path(model_dir)
    # A cluster has to be known before anything is computed.
    tf_strategy = make_strategy(strategy, communication, tpu)
    loss_scale.check_strategy(config.train.compute_dtype, tf_strategy)
    if config.train.deterministic:
        tf.keras.utils.set_random_seed(config.train.seed)
        tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(
        config.train.tensor_float_32
    )
    rejects = model_dir / "rejects.txt" if is_chief() else None
    rows, held_out = _split(
        open_rows(files, max_bad_rows, rejects), validation_files, config
    )
    state = _State()
    with rows.errors(), tf_strategy.scope():
        schema = rows.complete(named_schema(config.data.schema))
        if is_tpu():
            check_tpu(
                config,
                schema,
                tf_strategy.num_replicas_in_sync,
                attached_chip(),
                has_embedding_hardware=has_embedding_hardware(),
                compare_to=str(compare_to or ""),
                warm_start=str(warm_start or ""),
            )
        placed = resolve_table_device(
            table_device, schema, config, resolve_strategy(strategy)
        )
        is_new = is_chief() and open_model_dir(model_dir, config, schema)
        try:
            optimizer = WideDeepOptimizer.of(config.optimizer)
            with tables_on(placed):
                model = _model(config, schema, optimizer, jit_compile)
            if built is not None:
                built(model)
            if warm_start and not has_checkpoint(model_dir):
                start_warm(model, warm_start)
            teachers = Teachers.load(config.loss.teachers, schema)
            served = None
            if compare_to:
                served = load_logit(compare_to, schema, "compare_to")
            learner = _learner(config, model, optimizer, teachers, served)
            run = _Run(
                config, learner, served, state, model_dir, rows, held_out, data_service
            )
            run.restore()
            if is_chief() and not state.finished:
                record_run(
                    model_dir,
                    schema=schema,
                    data=files,
                    validation_data=validation_files,
                    strategy=tf_strategy,
                    first_step=int(state.position),
                    warm_start=str(warm_start or ""),
                    table_device=placed,
                )
            with sigterm_as_request() as request:
                result = run(request, progress)
        except BaseException:
            if is_new and not has_checkpoint(model_dir):
                discard(model_dir)
            raise
    if is_chief():
        sections: dict[str, Mapping[str, Any]] = {
            "progressive": {**result.progressive, "num_bad_rows": result.num_bad_rows}
        }
        if result.validation is not None:
            sections["validation"] = result.validation
        if result.window is not None:
            sections["window"] = result.window
            if compare_to:
                sections["comparison"] = {"model": str(compare_to)}
        update_metrics(model_dir, **sections)
    return result


def _model(
    config: TrainConfig,
    schema: Schema,
    optimizer: WideDeepOptimizer,
    jit_compile: bool | None,
) -> WideDeep:
    """The model, made for the strategy in force."""
    tpu_options = {}
    if is_tpu():
        jit_compile = False  # the program that it is a part of is compiled
        tpu_options = {"optimizer": optimizer, "replica_rows": _replica_rows(config)}
    return WideDeep(
        schema,
        config.model,
        config.train.seed,
        jit_compile=has_accelerator() if jit_compile is None else jit_compile,
        static_shapes=is_tpu(),
        tpu_options=tpu_options,
        dtype=dtype_policy(config.train.compute_dtype),
    )


def _replica_rows(config: TrainConfig) -> int:
    """Rows of a replica's part of a batch, where all have as many."""
    return config.data.batch_size // tf.distribute.get_strategy().num_replicas_in_sync


def _learner(
    config: TrainConfig,
    model: WideDeep,
    optimizer: WideDeepOptimizer,
    teachers: Teachers | None,
    served: Logit | None,
) -> Learner:
    """A model with what trains it, made under the strategy."""
    # In float16 Keras wraps the optimizer in one that scales the loss.
    # Without figures of its own: reading them would take all workers of a cluster.
    model.compile(optimizer, weighted_metrics=[])
    # Slots too are made under the strategy, and are there to be restored.
    model.optimizer._create_all_weights(model.trainable_variables)
    return Learner(
        model,
        model.optimizer,
        # A TPU's program does not count: see `TrainSteps`.
        outside_scope(BinaryMetrics) if is_tpu() else BinaryMetrics(),
        Objective.of(config, teachers),
        None if served is None else Comparison(served),
    )


class _Run:
    """A model, what trains it, and what is saved of both.

    Made and called under the strategy.
    """

    def __init__(
        self,
        config: TrainConfig,
        learner: Learner,
        served: Logit | None,
        state: _State,
        model_dir: Path,
        rows: RowFiles | Blocks,
        held_out: RowFiles | Blocks | None,
        data_service: str,
    ) -> None:
        self._config = config
        self._model = model = learner.model
        self._optimizer = loss_scale.unwrapped(learner.optimizer)
        self._strategy = tf.distribute.get_strategy()
        self._scorer = Scorer.of(model)
        if is_tpu():
            logit = replicated_logit(model, _replica_rows(config))
            self._scorer = dataclasses.replace(self._scorer, logit=logit)
        self._served = served and tf.function(served, reduce_retracing=True)
        self._model_dir = model_dir
        self._rows = rows
        self._held_out = held_out
        self._held_out_batches: tf.data.Dataset | None = None
        self._data_service = data_service
        self._metrics = learner.metrics
        self._comparison = learner.comparison
        self._steps: TrainSteps | AsynchronousSteps = TrainSteps(
            [learner], config.train.steps_per_execution, static_shapes=is_tpu()
        )
        if isinstance(self._strategy, tf.distribute.ParameterServerStrategy):
            self._steps = AsynchronousSteps(
                self._steps,
                num_workers(),
                config.train.steps_per_execution,
            )
        self._state = state
        self._checkpoints = {
            "newest": tf.train.Checkpoint(
                model=model, optimizer=model.optimizer, state=state
            ),
            "best": tf.train.Checkpoint(model=model),
            "averaged": tf.train.Checkpoint(model=model),
        }
        for checkpoint in self._checkpoints.values():
            # A variable, which all workers of a cluster have to make together.
            _ = checkpoint.save_counter
        self._validated: Figures | None = None

    def restore(self) -> None:
        """Goes on from the newest checkpoint, if there is one."""
        restore(self._checkpoints["newest"], self._model_dir)
        counts = self._state.counts()
        self._metrics.sums.assign(counts.sums)
        self._metrics.histogram.assign(counts.histogram)
        if self._comparison is not None:
            self._comparison.differences.sums.assign(self._state.differences)

    def _differences(self) -> DifferenceCounts | None:
        """The differences from the served model that have been counted, if any are."""
        if self._comparison is None:
            return None
        return self._comparison.differences.counts()

    def __call__(self, request: StopRequest, progress: Progress | None) -> TrainResult:
        """Trains on what is left of the rows, with checkpoints and progress."""
        config, state = self._config, self._state
        self._manager = self._manager_of("newest", config.train.keep_checkpoints)
        self._best = self._manager_of("best", 1)
        self._averaged = self._manager_of("averaged", 1)
        counts = state.counts()
        was_finished = bool(state.finished)
        first_row = self._rows_read()
        start = time.monotonic()
        with contextlib.ExitStack() as stack:
            self._history = None
            if is_chief():
                self._history = stack.enter_context(
                    contextlib.closing(
                        History(
                            self._model_dir,
                            config.eval.window_rows,
                            int(state.position),
                            counts,
                            progress,
                            # Not the metric's, which all workers read together.
                            state.difference_counts() if self._comparison else None,
                        )
                    )
                )
            if not was_finished:
                self._train(request)
        self._optimizer.assign_averages(self._model.trainable_variables)
        self._model.compile(self._model.optimizer)
        figures = self._metrics.counts().figures()
        differences = self._differences()
        if differences is not None:
            figures |= differences.figures()
        seconds = time.monotonic() - start
        return TrainResult(
            model=self._model,
            progressive=figures,
            validation=self._validated,
            window=None if self._history is None else self._history.window,
            rows_per_second=None
            if was_finished
            else (self._rows_read() - first_row) / seconds,
            num_bad_rows=int(state.num_bad_rows),
            finished=bool(state.finished),
        )

    def _train(self, request: StopRequest) -> None:
        config, state = self._config, self._state
        position = saved = int(state.position)
        iterator = self._iterator(position)
        next_report = position
        next_validation = position + config.eval.every_steps
        stop = finished = False
        while not (finished or stop):
            steps = self._steps(iterator, request.received)
            self._check(steps.last_loss, position, steps.num_steps)
            position += steps.num_steps
            stop, finished = steps.stop_wanted > 0, steps.finished
            is_last = finished or stop
            saves = is_last or position >= saved + config.train.checkpoint_steps
            validates = self._held_out is not None and (
                finished or 0 < config.eval.every_steps and position >= next_validation
            )
            if not (saves or validates or position >= next_report):
                continue
            self._check(self._steps.join(), position, None)
            # On a cluster all workers take part in this.
            counts, differences = self._metrics.counts(), self._differences()
            if finished and not counts.num_examples:
                raise ValueError("data: expected rows, received none that parse.")
            state.set(position, counts, finished, self._rows.num_bad_rows)
            if differences is not None:
                state.differences.assign(differences.sums)
            figures = None
            if validates:
                with self._averages():
                    figures = self._validate()
            if self._history is not None:
                self._history.report(
                    position, self._rows_read(), counts, figures, differences
                )
            next_report = position + self._report_steps(position)
            if validates:
                next_validation = position + config.eval.every_steps
            if saves:
                if config.optimizer.averaging:
                    # Before the other: a run that has ended does not come here again.
                    with self._averages():
                        self._save(self._averaged)
                self._save(self._manager)
                saved = position

    def _averages(self) -> contextlib.AbstractContextManager[None]:
        """Inside, the model has the averages of its weights, if there are any."""
        model = self._model
        if not is_chief():
            return contextlib.nullcontext()
        return self._optimizer.averages_in(model.trainable_variables)

    def _iterator(self, first: int) -> Iterator[Any]:
        """The batches from a number on, as the steps take them."""
        batches = self._batches(first, Transform(self._model.schema))

        def parts(context: tf.distribute.InputContext) -> tf.data.Dataset:
            own = self._strategy.num_replicas_in_sync // context.num_input_pipelines
            parts = for_replicas(
                batches,
                context.input_pipeline_id * own,
                own,
                self._strategy.num_replicas_in_sync,
            )
            return self._with_lookups(parts).prefetch(4)

        if isinstance(self._steps, AsynchronousSteps):
            return iter(for_replicas(batches, 0, 1, 1).prefetch(4))
        if is_tpu():
            # Its embedding hardware is given ids by the host.
            on_host = tf.distribute.InputOptions(experimental_fetch_to_device=False)
            distribute = self._strategy.distribute_datasets_from_function
            return iter(distribute(parts, on_host))
        if self._strategy.num_replicas_in_sync == 1:
            return iter(parts(tf.distribute.InputContext()))
        return iter(self._strategy.distribute_datasets_from_function(parts))

    def _with_lookups(self, parts: tf.data.Dataset) -> tf.data.Dataset:
        """Parts of batches, on a TPU with what its embedding hardware is given."""
        tables = self._model.tpu_tables
        if tables is None or not is_tpu():
            return parts

        def apart(batch: Batch, size: tf.Tensor) -> tuple[Batch, tf.Tensor]:
            features = {**batch.features, **tables.lookups(batch.features)}
            return batch._replace(features=features), size

        return parts.map(tf.autograph.experimental.do_not_convert(apart))

    def _batches(self, first: int, transform: Transform) -> tf.data.Dataset:
        data = self._config.data
        batches = self._rows.batches(
            self._model.schema,
            data.batch_size,
            transform=transform,
            first=first,
            passes=Passes(
                data.epochs,
                data.shuffle_seed if data.shuffle else None,
                self._data_service,
            ),
        )
        if is_tpu():
            batches = with_last_batch(batches, data.batch_size, "drop")
        return sample_negatives(
            batches, data.negative_rate, self._config.train.seed, first
        )

    def _check(self, loss: float, position: int, num_steps: int | None) -> None:
        """Raises an ArithmeticError where a loss says that the training diverged."""
        if loss < MAX_LOSS:
            return
        where, blamed = f"batches up to {position}", ""
        if num_steps is not None and isinstance(self._steps, TrainSteps):
            number, size = position + num_steps - 1, self._config.data.batch_size
            where = (
                f"batch {number} (rows {number * size} to {(number + 1) * size - 1})"
            )
            schema = self._model.schema
            for batch in self._batches(number, Transform(schema)).take(1):
                blamed = "; ".join(suspects(batch, schema)[:5])
        reason = (
            f"the columns that stand out: {blamed}."
            if blamed
            else "no column stands out: the training diverged (a smaller learning "
            "rate, a warm-up or clipping may help)."
        )
        newest = self._manager.latest_checkpoint or "none"
        wrong = loss_scale.exhausted_text(self._model.optimizer) or (
            f"expected a finite log loss below {MAX_LOSS:g}, received {loss:g}"
        )
        raise ArithmeticError(
            f"{where}: {wrong}; {reason} Checkpoint from before: {newest}."
        )

    def _rows_read(self) -> int:
        """About how many rows have been read, exactly but at the end of a pass."""
        most = self._rows.estimated_rows() * self._config.data.epochs
        return min(int(self._state.position) * self._config.data.batch_size, most)

    def _report_steps(self, position: int) -> int:
        """Steps to the next report: more of them the longer the run is."""
        size = self._config.data.batch_size
        return max(_REPORT_ROWS // size, position // _MAX_REPORTS, 1)

    def _validate(self) -> Figures | None:
        """The figures on the rows held out; the best weights so far are kept."""
        if self._held_out is None or not is_chief():
            return None
        scorer = self._scorer
        with self._held_out.errors():
            if self._held_out_batches is None:
                self._held_out_batches = self._held_out.batches(
                    scorer.schema,
                    self._config.eval.batch_size,
                    transform=scorer.transform,
                )
            figures = outside_scope(
                evaluate, scorer, self._held_out_batches, compare_to=self._served
            )
        self._validated = figures
        name = self._config.eval.best_metric
        value = figures[name]
        if value is not None and self._state.is_better(_BETTER[name] * float(value)):
            self._save(self._best)
        return figures

    def _manager_of(self, which: str, keep: int) -> tf.train.CheckpointManager:
        return tf.train.CheckpointManager(
            self._checkpoints[which],
            str(self._model_dir / FOLDERS[which]),
            max_to_keep=keep,
        )

    def _save(self, manager: tf.train.CheckpointManager) -> None:
        """Saves the weights, which all are numbers."""
        if not is_chief():
            return
        wrong = [v.name for v in self._model.variables if not _is_finite(v)]
        if wrong:
            raise ArithmeticError(
                f"step {int(self._state.position)}: expected finite weights, received "
                f"others in {', '.join(wrong)}; the training diverged (a smaller "
                "learning rate, a warm-up or clipping may help)."
            )
        save(manager, int(self._state.position))


class _State(tf.Module):
    """How far a run is: plain variables of this process, made outside the strategy."""

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

    def difference_counts(self) -> DifferenceCounts:
        """What the differences from the served model are of."""
        return DifferenceCounts(tf.convert_to_tensor(self.differences).numpy())

    def counts(self) -> BinaryCounts:
        """What the figures are of."""
        return BinaryCounts(self.sums.numpy(), self.histogram.numpy())

    def set(
        self, position: int, counts: BinaryCounts, finished: bool, num_bad_rows: int
    ) -> None:
        """Notes how far the run is."""
        self.position.assign(position)
        self.sums.assign(counts.sums)
        self.histogram.assign(counts.histogram)
        self.finished.assign(finished)
        if finished:
            self.num_bad_rows.assign(num_bad_rows)

    def is_better(self, value: float) -> bool:
        """Whether a value is the largest so far, which it is from then on."""
        if value <= float(self.best):
            return False
        self.best.assign(value)
        return True


def _split(
    rows: RowFiles | Blocks,
    validation_files: str | os.PathLike[str] | Sequence[str],
    config: TrainConfig,
) -> tuple[RowFiles | Blocks, RowFiles | Blocks | None]:
    """The rows to train on, and those to validate on."""
    fraction = config.data.validation_fraction
    if validation_files:
        if fraction:
            raise ValueError(
                "data.validation_fraction: expected 0 with validation files, "
                f"received {fraction}."
            )
        return rows, open_rows(validation_files)
    if fraction:
        if config.data.shuffle:
            raise ValueError(
                "data.validation_fraction: expected 0 with data.shuffle (validation "
                f"files may be given instead), received {fraction}."
            )
        return rows.split(fraction)
    return rows, None


def _is_finite(variable: tf.Variable) -> bool:
    """Whether all values are numbers: their sum is none where one of them is none."""
    if not variable.dtype.is_floating:
        return True
    with beside(variable):
        return bool(tf.math.is_finite(tf.reduce_sum(variable)))
