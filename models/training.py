"""Training online: rows in their order, every batch predicted, then learned."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from smelu_tf.pipelines import Blocks, Passes, RowFiles, named_schema, open_rows
from smelu_tf.pipelines.files import writing

from .checkpoints import (
    discard,
    open_model_dir,
    restore,
    save,
    update_metrics,
)
from .config import TrainConfig
from .metrics import BinaryMetrics
from .optimizers import WideDeepOptimizer
from .wide_deep import WideDeep

_REPORT_ROWS = 10_000  # rows between reports of the figures so far
_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
)

Progress = Callable[[int, float], None]
"""Called now and then with the rows seen so far and the log loss over them."""


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training run leaves.

    Attributes:
        model: the trained model, compiled.
        progressive: the figures of the predictions made before learning.
        rows_per_second: of this call, reading included; None if nothing was left.
        num_bad_rows: rows passed over.
    """

    model: WideDeep
    progressive: dict[str, float | int | None]
    rows_per_second: float | None
    num_bad_rows: int


def train(
    config: TrainConfig,
    files: str | os.PathLike[str] | Sequence[str],
    model_dir: str | os.PathLike[str],
    *,
    max_bad_rows: int = 0,
    data_service: str = "",
    progress: Progress | None = None,
) -> TrainResult:
    """Trains a model on rows in their order, and leaves it in model_dir.

    A run that was stopped goes on from its newest checkpoint when called with the
    same arguments; one that has ended returns at once.

    Args:
        config: the configuration.
        files: row files (paths or glob patterns, as `read_rows` takes them), or a
            folder of blocks of the configuration's schema.
        model_dir: a new or empty folder, or one of the same run.
        max_bad_rows: how many rows that do not parse are passed over; they are
            written to `rejects.txt` in model_dir.
        data_service: the address of a `tf.data` service (`grpc://host:port`) whose
            workers read the blocks. The order is then not kept: a run that goes on may
            miss or repeat rows that were under way when it stopped.
        progress: see `Progress`.

    Raises:
        ValueError: bad configuration, a missing or empty file, a row that does not
            parse (`BadRowError`: file and line), no row that does, blocks that are
            damaged or of another schema, a model_dir of another model, or a checkpoint
            that cannot be read.
        ArithmeticError: the loss is no longer a number.
        OSError: no space, or no right to read or write.

    A run that fails before its first checkpoint leaves no model_dir behind.
    """
    config.validate()
    model_dir = Path(model_dir)
    rows = open_rows(files, max_bad_rows, model_dir / "rejects.txt")
    with rows.errors():
        schema = rows.complete(named_schema(config.data.schema))
        model = WideDeep(schema, config.model, config.train.seed)
        is_new = open_model_dir(model_dir, config, schema)
        try:
            result = _run(model, rows, config, model_dir, data_service, progress)
        except BaseException:
            if is_new and not any(model_dir.glob("checkpoints/*.index")):
                discard(model_dir)
            raise
    figures = {**result.progressive, "num_bad_rows": result.num_bad_rows}
    update_metrics(model_dir, progressive=figures)
    return result


def _run(
    model: WideDeep,
    rows: RowFiles | Blocks,
    config: TrainConfig,
    model_dir: Path,
    data_service: str,
    progress: Progress | None,
) -> TrainResult:
    """Trains on what is left of the rows, with checkpoints and progress."""
    metrics = BinaryMetrics()
    model.compile(
        WideDeepOptimizer.of(config.optimizer),
        weighted_metrics=[metrics],
        steps_per_execution=config.train.steps_per_execution,
    )
    steps = model.optimizer.iterations
    finished = tf.Variable(False, name="finished")
    num_bad_rows = tf.Variable(0, dtype=tf.int64, name="num_bad_rows")
    checkpoint = tf.train.Checkpoint(
        model=model,
        optimizer=model.optimizer,
        metrics=metrics,
        finished=finished,
        num_bad_rows=num_bad_rows,
    )
    manager = tf.train.CheckpointManager(
        checkpoint,
        str(model_dir / "checkpoints"),
        max_to_keep=config.train.keep_checkpoints,
        checkpoint_interval=config.train.checkpoint_steps,
        step_counter=steps,
    )
    restore(checkpoint, model_dir)
    was_finished = bool(finished)
    train_steps = model.make_train_function()
    batches = rows.batches(
        model.schema,
        config.data.batch_size,
        transform=model.transform,
        first=int(steps),
        passes=Passes(
            config.data.epochs,
            config.data.shuffle_seed if config.data.shuffle else None,
            data_service,
        ),
    )
    iterator = iter(batches)
    seen = int(metrics.num_examples)
    start, first_row, next_report = time.monotonic(), seen, seen
    with writing(model_dir / "tensorboard"):
        events = tf.summary.create_file_writer(str(model_dir / "tensorboard"))
    with contextlib.closing(events):
        while not finished:
            try:
                train_steps(iterator)
            except tf.errors.OutOfRangeError:
                finished.assign(True)
                num_bad_rows.assign(rows.num_bad_rows)
            seen = int(metrics.num_examples)
            if finished or seen >= next_report:
                next_report = seen + _REPORT_ROWS
                _report(events, metrics, int(steps), progress)
            if finished and not seen:
                raise ValueError("data: expected rows, received none that parse.")
            save(manager, at_interval=not finished)
    seconds = time.monotonic() - start
    return TrainResult(
        model=model,
        progressive=metrics.figures(),
        rows_per_second=None if was_finished else (seen - first_row) / seconds,
        num_bad_rows=int(num_bad_rows),
    )


def _report(
    events: tf.summary.SummaryWriter,
    metrics: BinaryMetrics,
    step: int,
    progress: Progress | None,
) -> None:
    """Passes the figures so far on, to TensorBoard too.

    Raises:
        ArithmeticError: the log loss is not a finite number.
    """
    figures = metrics.figures()
    if figures["log_loss"] is None and figures["weight"] != 0:
        raise ArithmeticError(
            f"step {step}: expected a finite log loss, received none; "
            "the training diverged (a smaller learning rate may help)."
        )
    with events.as_default(step=step):
        for name in ("log_loss", "normalized_entropy", "auc", "calibration"):
            if figures[name] is not None:
                # `tf.summary.scalar` needs the package tensorboard; this does not.
                tf.summary.write(
                    f"progressive/{name}",
                    tf.constant(figures[name], tf.float32),
                    metadata=_SCALAR,
                )
    if progress is not None:
        progress(int(metrics.num_examples), float(metrics.log_loss))
