"""The configuration of a training run, and what `config.json` holds."""

# No `from __future__ import annotations` here: ml_collections reads the fields'
# types to parse overrides such as --config.optimizer.learning_rate=0.002.
import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import smelu_tf
from smelu_tf.names import trainable_parameters
from smelu_tf.pipelines.dataclass_json import from_json_values, load_json


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is read.

    Attributes:
        schema: a preset's name (`criteo`) or the path of a schema's JSON file.
        batch_size: rows a batch.
        epochs: how often the rows are read; more than once takes blocks.
        shuffle: whether they are read in a random order, another one every epoch;
            takes blocks.
        shuffle_seed: of the order.
        negative_rate: the part of the rows with label 0 that is trained on. The model's
            logits stay those of all rows: its loss takes logit - log(negative_rate).
        validation_fraction: the part of the rows, the last in their order, that is held
            out to validate on; takes blocks.
    """

    schema: str = "criteo"
    batch_size: int = 256
    epochs: int = 1
    shuffle: bool = False
    shuffle_seed: int = 0
    negative_rate: float = 1.0
    validation_fraction: float = 0.0


@dataclasses.dataclass(frozen=True)
class WideDeepConfig:
    """The shape of the model.

    Attributes:
        wide: whether there is a wide part: linear over all columns and crosses.
        deep: whether there is a deep part: embeddings and an MLP.
        crosses: products of id columns for the wide part, `C1*C2` each.
        cross_buckets: ids of each cross; products beyond are folded into them.
        embedding_dim: the width of an id's embedding.
        column_dims: columns whose embedding has another width, `C3:32` each.
        embedding_stddev: the standard deviation of the embeddings' initial weights.
        tables: where the rows of ids are: `stacked`: in the memory of the device, those
            of all columns in one variable; or `tpu`: those of columns with many ids in
            tables of their own, which a TPU's embedding hardware divides among its
            chips and looks up. (Such a model trains and scores on CPUs too, slower.)
        tpu_table_ids: with `tables=tpu`, the most ids of a column that is stacked.
        interaction: what goes before the MLP: `none` (the inputs side by side), `dcn`
            (cross layers) or `dlrm` (products of all pairs of embeddings).
        cross_layers: how many layers `dcn` has.
        cross_rank: the rank of their kernels; 0: full.
        bottom_units: hidden layers of the MLP over the numeric columns in `dlrm`.
        hidden_units: the widths of the MLP's layers.
        bottleneck: the rank of the MLP's kernels where that saves weights; 0: full.
        activation: their activation: a name (`smelu:0.5`, `relu`, `swish` …), or one a
            layer with commas between them.
        trainable_parameters: parameters of these activations that are trained from
            there on, one value a layer: `('beta',)` of SmeLU and RESCU.
        normalization: `none`, or `layer`: of a layer's outputs before its activation.
        dropout: the part of a layer's outputs that is dropped in training.
        unknown_rate: the part of the ids of vocabularies that training takes for those
            of unknown values, so that the model learns what a new value is worth.
        initializer: of the MLP's kernels: `he`, or `signal_preserving` (see
            `smelu_tf.SignalPreserving`).
        towers: models of this shape that are trained together, each from initial
            weights of its own; the logit is the mean of theirs.
        tower_tables: `shared`: they differ in what follows the deep part's lookups;
            `separate`: in everything.
        serve: what scores: `ensemble`, all towers, or `first`: the first one alone,
            at the cost of one.
    """

    wide: bool = True
    deep: bool = True
    crosses: tuple[str, ...] = ()
    cross_buckets: int = 16384
    embedding_dim: int = 8
    column_dims: tuple[str, ...] = ()
    embedding_stddev: float = 0.001
    tables: str = "stacked"
    tpu_table_ids: int = 10_000
    interaction: str = "none"
    cross_layers: int = 2
    cross_rank: int = 0
    bottom_units: tuple[int, ...] = (64,)
    hidden_units: tuple[int, ...] = (128, 64, 32)
    bottleneck: int = 0
    activation: str = "smelu:1"
    trainable_parameters: tuple[str, ...] = ()
    normalization: str = "none"
    dropout: float = 0.0
    unknown_rate: float = 0.0
    initializer: str = "he"
    towers: int = 1
    tower_tables: str = "shared"
    serve: str = "ensemble"

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        _check(self.wide or self.deep, "model.wide or model.deep", "true", False)
        for name in ("crosses", "column_dims", "trainable_parameters"):
            texts = getattr(self, name)
            good = isinstance(texts, tuple) and all(isinstance(t, str) for t in texts)
            _check(good, f"model.{name}", "a tuple of texts", texts)
        for name in ("hidden_units", "bottom_units"):
            units = getattr(self, name)
            good = all(isinstance(n, int) and n > 0 for n in units)
            good &= bool(units) or name == "bottom_units"
            _check(good, f"model.{name}", "positive integers", units)
        for name in ("embedding_dim", "cross_buckets", "cross_layers", "towers"):
            value = getattr(self, name)
            _check(value >= 1, f"model.{name}", "an integer of 1 or more", value)
        for name in ("cross_rank", "bottleneck"):
            value = getattr(self, name)
            _check(value >= 0, f"model.{name}", "an integer of 0 or more", value)
        stddev = self.embedding_stddev
        good = math.isfinite(stddev) and stddev >= 0
        _check(good, "model.embedding_stddev", "a number of 0 or more", stddev)
        for name in ("dropout", "unknown_rate"):
            rate = getattr(self, name)
            _check(0 <= rate < 1, f"model.{name}", "0 <= rate < 1", rate)
        _check_choice(self, "model", "interaction", ("none", "dcn", "dlrm"))
        _check_choice(self, "model", "normalization", ("none", "layer"))
        _check_choice(self, "model", "initializer", ("he", "signal_preserving"))
        _check_choice(self, "model", "tower_tables", ("shared", "separate"))
        _check_choice(self, "model", "serve", ("ensemble", "first"))
        _check_choice(self, "model", "tables", ("stacked", "tpu"))
        good = isinstance(self.tpu_table_ids, int) and self.tpu_table_ids >= 0
        _check(
            good, "model.tpu_table_ids", "an integer of 0 or more", self.tpu_table_ids
        )
        if self.tables == "tpu" and self.towers > 1:
            expected = "shared with model.tables=tpu"
            good = self.tower_tables == "shared"
            _check(good, "model.tower_tables", expected, self.tower_tables)
        # Wide parts begin with zeros: theirs would be equal.
        good = self.towers == 1 or self.deep
        _check(good, "model.towers", "1 without a deep part", self.towers)
        self.layer_activations()

    def layer_activations(self) -> tuple[Any, ...]:
        """The activation of each hidden layer: a name, a function or a layer.

        Raises:
            ValueError: an unknown one, or not as many as there are layers.
        """
        num_layers = len(self.hidden_units)
        if not isinstance(self.activation, str):
            return (self.activation,) * num_layers
        names = tuple(self.activation.split(","))
        for name in names:
            smelu_tf.get(name)
            for parameter in self.trainable_parameters:
                known = tuple(trainable_parameters(name))
                expected = f"parameters of {name} ({', '.join(known) or 'it has none'})"
                _check(
                    parameter in known,
                    "model.trainable_parameters",
                    expected,
                    self.trainable_parameters,
                )
        if len(names) not in (1, num_layers):
            _check(
                False,
                "model.activation",
                f"one activation, or {num_layers} with commas between them",
                self.activation,
            )
        return names if len(names) > 1 else names * num_layers


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What is minimised besides the log loss of each tower.

    Attributes:
        codistillation: the strength with which each tower also learns what the others
            predict; 0: not at all.
        burn_in_steps: batches before it does.
        anti_distillation: the strength with which the towers' logits are kept from
            being correlated over a batch; 0: not at all.
        distillation: the strength with which the model also learns what its teachers
            predict; 0: not at all.
        teachers: model_dirs, or versions of exported SavedModels, of the same schema;
            what they predict is averaged.
        num_teachers: of a study: how many models of this configuration, without
            teachers and with other seeds, each replica trains first on the same rows,
            to be its own teachers. `train` takes `teachers`.
    """

    codistillation: float = 0.0
    burn_in_steps: int = 0
    anti_distillation: float = 0.0
    distillation: float = 0.0
    teachers: tuple[str, ...] = ()
    num_teachers: int = 0

    def validate(self, model: WideDeepConfig) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        for name in ("codistillation", "anti_distillation", "distillation"):
            strength = getattr(self, name)
            good = math.isfinite(strength) and strength >= 0
            _check(good, f"loss.{name}", "a number of 0 or more", strength)
        for name in ("codistillation", "anti_distillation"):
            good = getattr(self, name) == 0 or model.towers > 1
            _check(good, f"loss.{name}", "0 with model.towers=1", getattr(self, name))
        for name in ("burn_in_steps", "num_teachers"):
            value = getattr(self, name)
            _check(value >= 0, f"loss.{name}", "an integer of 0 or more", value)
        good = isinstance(self.teachers, tuple)
        good = good and all(isinstance(path, str) for path in self.teachers)
        _check(good, "loss.teachers", "a tuple of texts", self.teachers)
        good = not (self.teachers and self.num_teachers)
        _check(good, "loss.num_teachers", "0 with loss.teachers", self.num_teachers)
        if self.teachers or self.num_teachers:
            expected = "a number above 0 with teachers"
            _check(
                self.distillation > 0, "loss.distillation", expected, self.distillation
            )
        else:
            expected = f"one or more with loss.distillation={self.distillation}"
            _check(not self.distillation, "loss.teachers", expected, self.teachers)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How the weights are updated: FTRL for the wide part, `name` for the rest.

    Attributes:
        name: `adam` (lazy on embedding tables; best on small data) or `adagrad`.
        learning_rate: its rate.
        adagrad_accumulator: Adagrad's initial accumulator.
        wide_learning_rate: FTRL's rate.
        wide_accumulator: FTRL's initial accumulator.
        l1: FTRL's L1 strength.
        l2: FTRL's L2 strength.
        warmup_steps: batches over which `learning_rate` rises from 0 to its full value.
        schedule: what it does then: `constant`, or fall over `decay_steps` as `linear`
            or `cosine`.
        decay_steps: batches that the fall takes, from the end of the warm-up.
        final_rate: the part of the rate that is left at its end.
        clip_norm: the norm that the gradients of everything but the wide part are
            scaled down to where theirs, over all of them, is larger; 0: never.
        averaging: the decay, a batch, of a moving average of all weights, which then is
            what is validated, evaluated and exported; 0: there is none. It spans about
            1 / (1 - averaging) batches. Progressive figures are the weights' own.
    """

    name: str = "adam"
    learning_rate: float = 0.002
    adagrad_accumulator: float = 0.1
    wide_learning_rate: float = 0.05
    wide_accumulator: float = 0.1
    l1: float = 0.0
    l2: float = 0.0
    warmup_steps: int = 0
    schedule: str = "constant"
    decay_steps: int = 0
    final_rate: float = 0.0
    clip_norm: float = 0.0
    averaging: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """How a run goes.

    Attributes:
        seed: of the initial weights.
        checkpoint_steps: batches between checkpoints.
        steps_per_execution: batches that one compiled call trains on.
        keep_checkpoints: how many checkpoints are kept, besides the best one.
        compute_dtype: of the deep part's arithmetic: `float32`, `bfloat16` (faster
            where the processor has it), or `auto`: bfloat16 where it is faster.
            Weights, logits, loss and figures are float32 or wider in any case.
        deterministic: whether equal runs end with equal bits.
    """

    seed: int = 0
    checkpoint_steps: int = 2000
    steps_per_execution: int = 16
    keep_checkpoints: int = 2
    compute_dtype: str = "float32"
    deterministic: bool = False


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How a model is evaluated.

    Attributes:
        batch_size: rows a batch; it does not change the figures.
        every_steps: batches of training between two validations; 0: at the end only.
        best_metric: what the best checkpoint is chosen by: `log_loss`,
            `normalized_entropy`, `auc` or `pr_auc`, of the validation.
        slices: columns by whose values the figures are split.
        window_rows: rows of the window that the latest progressive figures are of.
    """

    batch_size: int = 4096
    every_steps: int = 0
    best_metric: str = "log_loss"
    slices: tuple[str, ...] = ()
    window_rows: int = 100_000


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that says how a run goes, but where its data and results are.

    Attributes:
        data: what is read.
        model: the model's shape.
        loss: what is minimised besides the log loss.
        optimizer: how the weights are updated.
        train: how the run goes.
        eval: how a model is evaluated.
    """

    data: DataConfig = DataConfig()
    model: WideDeepConfig = WideDeepConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainOptions = TrainOptions()
    eval: EvalConfig = EvalConfig()

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        data, optimizer, train = self.data, self.optimizer, self.train
        self.model.validate()
        self.loss.validate(self.model)
        _check_choice(optimizer, "optimizer", "name", ("adam", "adagrad"))
        schedules = ("constant", "linear", "cosine")
        _check_choice(optimizer, "optimizer", "schedule", schedules)
        _check_choice(train, "train", "compute_dtype", ("float32", "bfloat16", "auto"))
        metrics = ("log_loss", "normalized_entropy", "auc", "pr_auc")
        _check_choice(self.eval, "eval", "best_metric", metrics)
        good = 0 < data.negative_rate <= 1
        _check(good, "data.negative_rate", "0 < rate <= 1", data.negative_rate)
        good = 0 <= data.validation_fraction < 1
        expected = "0 <= fraction < 1"
        _check(good, "data.validation_fraction", expected, data.validation_fraction)
        good = optimizer.schedule == "constant" or optimizer.decay_steps > 0
        expected = f"1 or more with schedule={optimizer.schedule}"
        _check(good, "optimizer.decay_steps", expected, optimizer.decay_steps)
        good = 0 <= optimizer.averaging < 1
        expected = "0 <= decay < 1"
        _check(good, "optimizer.averaging", expected, optimizer.averaging)
        positive_integers = {
            "data.batch_size": self.data.batch_size,
            "data.epochs": self.data.epochs,
            "eval.batch_size": self.eval.batch_size,
            "train.checkpoint_steps": train.checkpoint_steps,
            "train.steps_per_execution": train.steps_per_execution,
            "train.keep_checkpoints": train.keep_checkpoints,
            "eval.window_rows": self.eval.window_rows,
        }
        for name, value in positive_integers.items():
            _check(value >= 1, name, "an integer of 1 or more", value)
        for name, value in (
            ("train.seed", train.seed),
            ("data.shuffle_seed", self.data.shuffle_seed),
            ("eval.every_steps", self.eval.every_steps),
            ("optimizer.warmup_steps", optimizer.warmup_steps),
        ):
            _check(value >= 0, name, "an integer of 0 or more", value)
        for name in ("learning_rate", "wide_learning_rate", "adagrad_accumulator"):
            value = getattr(optimizer, name)
            good = math.isfinite(value) and value > 0
            _check(good, f"optimizer.{name}", "a number above 0", value)
        for name in ("wide_accumulator", "l1", "l2", "final_rate", "clip_norm"):
            value = getattr(optimizer, name)
            good = math.isfinite(value) and value >= 0
            _check(good, f"optimizer.{name}", "a number of 0 or more", value)

    def to_json(self) -> str:
        """The configuration as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The configuration of nested values; a ValueError names a wrong key."""
        return from_json_values(cls, values, "config")

    @classmethod
    def load(cls, path: str | Path) -> "TrainConfig":
        """The configuration of a `config.json`."""

        def checked(values: Mapping[str, Any]) -> "TrainConfig":
            config = cls.from_dict(values)
            config.validate()
            return config

        return load_json(path, checked)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their paths: `{"a": {"b": 1}}` as `{"a.b": 1}`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _check(good: bool, name: str, expected: str, received: Any) -> None:
    if not good:
        raise ValueError(f"{name}: expected {expected}, received {received!r}.")


def _check_choice(
    section: Any, prefix: str, name: str, choices: tuple[str, ...]
) -> None:
    value = getattr(section, name)
    _check(value in choices, f"{prefix}.{name}", f"one of {', '.join(choices)}", value)
