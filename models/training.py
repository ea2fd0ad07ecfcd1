"""Training online: rows in their order, every batch predicted, then learned."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from smelu_tf.pipelines import named_schema, open_rows

from . import loss_scale
from .assembly import make_learner, make_model, make_scorer, make_steps
from .checkpoints import discard, has_checkpoint, open_model_dir, update_metrics
from .cluster import is_chief
from .config import TrainConfig
from .distillation import Teachers
from .history import Progress
from .optimizers import WideDeepOptimizer
from .placement import tables_on
from .precision import set_numerics
from .preemption import sigterm_as_request
from .run_checkpoints import RunCheckpoints, RunState
from .run_record import record_run
from .scoring import load_logit
from .strategies import (
    has_embedding_hardware,
    is_tpu,
    make_strategy,
    resolve_strategy,
)
from .table_devices import resolve_table_device
from .tpu_checks import check_tpu
from .tpu_chips import attached_chip
from .training_loop import TrainingLoop, TrainResult
from .training_rows import TrainingRows
from .validation import Validation, split_rows
from .warm_start import warm_start as start_warm
from .wide_deep import WideDeep


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

    Returns:
        The model and the figures, which metrics.json of model_dir has as well.

    Raises:
        ValueError: bad configuration, a missing or empty file, a row that does not
            parse (`BadRowError`: file and line), no row that does, blocks that are
            damaged or of another schema, a model_dir of another model, or a checkpoint
            that cannot be read.
        ArithmeticError: the loss is no longer a number, or far too large. The newest
            checkpoint is from before.
        OSError: no space, or no right to read or write.

    A run that fails before its first checkpoint leaves no model_dir behind.

    Examples:
        >>> config = TrainConfig(model=WideDeepConfig(hidden_units=(16, 8)))
        >>> rows, later = "clicks/day_[0-2].tsv", "clicks/day_3.tsv"
        >>> result = train(config, rows, "small", validation_files=later)
        >>> result.progressive["num_examples"], result.validation["num_examples"]
        (3000, 1000)
        >>> sorted(load_metrics("small"))
        ['progressive', 'validation', 'window']
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
    set_numerics(config.train)
    rejects = model_dir / "rejects.txt" if is_chief() else None
    rows, validation_rows = split_rows(
        open_rows(files, max_bad_rows, rejects), validation_files, config.data
    )
    state = RunState()
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
                model = make_model(config, schema, optimizer, jit_compile)
            if built is not None:
                built(model)
            if warm_start and not has_checkpoint(model_dir):
                start_warm(model, warm_start)
            teachers = Teachers.load(config.loss.teachers, schema)
            served = None
            if compare_to:
                served = load_logit(compare_to, schema, "compare_to")
            learner = make_learner(config, model, optimizer, teachers, served)
            validation = None
            if validation_rows is not None:
                scorer = make_scorer(config, model)
                validation = Validation(validation_rows, scorer, config.eval, served)
            loop = TrainingLoop(
                config,
                learner,
                make_steps(config, learner),
                TrainingRows(rows, config, model, data_service),
                validation,
                RunCheckpoints(model, state, model_dir, config.train.keep_checkpoints),
                model_dir,
            )
            loop.restore()
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
                    compute_dtype=model.compute_dtype,
                )
            with sigterm_as_request() as request:
                result = loop(request, progress)
        except BaseException:
            if is_new and not has_checkpoint(model_dir):
                discard(model_dir)
            raise
    if is_chief():
        _write_figures(model_dir, result, str(compare_to or ""))
    return result


def _write_figures(model_dir: Path, result: TrainResult, compared_to: str) -> None:
    """Writes what came of a run into metrics.json."""
    sections: dict[str, Mapping[str, Any]] = {
        "progressive": {**result.progressive, "num_bad_rows": result.num_bad_rows}
    }
    if result.validation is not None:
        sections["validation"] = result.validation
    if result.window is not None:
        sections["window"] = result.window
        if compared_to:
            sections["comparison"] = {"model": compared_to}
    update_metrics(model_dir, **sections)
