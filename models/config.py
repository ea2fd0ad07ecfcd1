"""The configuration of a training run, and what `config.json` holds."""

# No `from __future__ import annotations` here: ml_collections reads the fields'
# types to parse overrides such as --config.optimizer.learning_rate=0.002.
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smelu_tf.pipelines.dataclass_json import from_json_values, load_json

from .loss_config import LossConfig
from .model_config import WideDeepConfig
from .option_checks import (
    check,
    check_choice,
    check_integers,
    check_not_negative,
    check_positive,
)


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

    Examples:
        >>> DataConfig(schema="avazu", negative_rate=0.25).validate()
        >>> DataConfig(negative_rate=0.0).validate()
        Traceback (most recent call last):
        ValueError: data.negative_rate: expected 0 < rate <= 1, received 0.0.
    """

    schema: str = "criteo"
    batch_size: int = 256
    epochs: int = 1
    shuffle: bool = False
    shuffle_seed: int = 0
    negative_rate: float = 1.0
    validation_fraction: float = 0.0

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        good = 0 < self.negative_rate <= 1
        check(good, "data.negative_rate", "0 < rate <= 1", self.negative_rate)
        fraction = self.validation_fraction
        good = 0 <= fraction < 1
        check(good, "data.validation_fraction", "0 <= fraction < 1", fraction)
        check_integers(self, "data", 1, "batch_size", "epochs")
        check_integers(self, "data", 0, "shuffle_seed")


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

    Source: of the two optimizers, Cheng et al., Wide & Deep Learning, arXiv 1606.07792.

    Examples:
        >>> WideDeepOptimizer.of(OptimizerConfig(name="adagrad")).rule
        'adagrad'
        >>> OptimizerConfig(schedule="linear").validate()
        Traceback (most recent call last):
        ValueError: optimizer.decay_steps: expected 1 or more with schedule=linear, ...
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

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        check_choice(self, "optimizer", "name", ("adam", "adagrad"))
        schedules = ("constant", "linear", "cosine")
        check_choice(self, "optimizer", "schedule", schedules)
        good = self.schedule == "constant" or self.decay_steps > 0
        expected = f"1 or more with schedule={self.schedule}"
        check(good, "optimizer.decay_steps", expected, self.decay_steps)
        good = 0 <= self.averaging < 1
        check(good, "optimizer.averaging", "0 <= decay < 1", self.averaging)
        check_integers(self, "optimizer", 0, "warmup_steps")
        positive = ("learning_rate", "wide_learning_rate", "adagrad_accumulator")
        check_positive(self, "optimizer", *positive)
        others = ("wide_accumulator", "l1", "l2", "final_rate", "clip_norm")
        check_not_negative(self, "optimizer", *others)


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """How a run goes. See `TrainConfig`.

    Attributes:
        seed: of the initial weights.
        checkpoint_steps: batches between checkpoints.
        steps_per_execution: batches that one compiled call trains on.
        keep_checkpoints: how many checkpoints are kept, besides the best one.
        compute_dtype: of the deep part's arithmetic: `float32`, `bfloat16` (faster
            where the processor has it), `float16` (for GPUs without bfloat16, with a
            loss scale), or `auto`: bfloat16 where it is faster. Weights, logits, loss
            and figures are float32 or wider in any case.
        deterministic: whether equal runs end with equal bits.
        tensor_float_32: whether GPUs of compute capability 8 and above may multiply
            float32 matrices as TF32: faster, with about three decimal digits of each
            input. TensorFlow's own default is that they may. Here they may not, so that
            float32 is the same thing on a CPU, on any GPU, and where a model is served;
            for speed there is `compute_dtype`.
    """

    seed: int = 0
    checkpoint_steps: int = 2000
    steps_per_execution: int = 16
    keep_checkpoints: int = 2
    compute_dtype: str = "float32"
    deterministic: bool = False
    tensor_float_32: bool = False

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        dtypes = ("float32", "bfloat16", "float16", "auto")
        check_choice(self, "train", "compute_dtype", dtypes)
        steps = ("checkpoint_steps", "steps_per_execution", "keep_checkpoints")
        check_integers(self, "train", 1, *steps)
        check_integers(self, "train", 0, "seed")


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How a model is evaluated. See `TrainConfig`.

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

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        metrics = ("log_loss", "normalized_entropy", "auc", "pr_auc")
        check_choice(self, "eval", "best_metric", metrics)
        check_integers(self, "eval", 1, "batch_size", "window_rows")
        check_integers(self, "eval", 0, "every_steps")


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

    Examples:
        >>> config = TrainConfig(
        ...     model=WideDeepConfig(hidden_units=(64, 32), activation="smelu:0.5"),
        ...     train=TrainOptions(seed=3, deterministic=True),
        ...     eval=EvalConfig(every_steps=1000, best_metric="auc"),
        ... )
        >>> config.validate()
        >>> TrainConfig.load("model/config.json").model.activation
        'smelu:1'
    """

    data: DataConfig = DataConfig()
    model: WideDeepConfig = WideDeepConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainOptions = TrainOptions()
    eval: EvalConfig = EvalConfig()

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        self.data.validate()
        self.model.validate()
        self.loss.validate(self.model)
        self.optimizer.validate()
        self.train.validate()
        self.eval.validate()

    def to_json(self) -> str:
        """The configuration as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The configuration of nested values; keys that are absent are as by default.

        Raises:
            ValueError: an unknown key, or a value of another type.

        Examples:
            >>> TrainConfig.from_dict({"model": {"towers": 2}}).model.towers
            2
        """
        return from_json_values(cls, values, "config")

    @classmethod
    def load(cls, path: str | Path) -> "TrainConfig":
        """The configuration of a `config.json`.

        Raises:
            ValueError: no JSON, an unknown key, or an impossible value.
            OSError: the file cannot be read.
        """

        def checked(values: Mapping[str, Any]) -> "TrainConfig":
            config = cls.from_dict(values)
            config.validate()
            return config

        return load_json(path, checked)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their paths.

    Examples:
        >>> flat({"a": {"b": 1}, "c": 2})
        {'a.b': 1, 'c': 2}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
