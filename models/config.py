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
    """

    schema: str = "criteo"
    batch_size: int = 256
    epochs: int = 1
    shuffle: bool = False
    shuffle_seed: int = 0


@dataclasses.dataclass(frozen=True)
class WideDeepConfig:
    """The shape of the model.

    Attributes:
        wide: whether there is a wide part: linear over all columns and crosses.
        deep: whether there is a deep part: embeddings and an MLP.
        crosses: products of id columns for the wide part, `C1*C2` each.
        cross_buckets: ids of each cross; products beyond are folded into them.
        embedding_dim: the width of an id's embedding.
        hidden_units: the widths of the MLP's layers.
        activation: their activation: a name (`smelu:0.5`, `relu`, `swish` …).
    """

    wide: bool = True
    deep: bool = True
    crosses: tuple[str, ...] = ()
    cross_buckets: int = 16384
    embedding_dim: int = 8
    hidden_units: tuple[int, ...] = (128, 64, 32)
    activation: str = "smelu:1"

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        _check(self.wide or self.deep, "model.wide or model.deep", "true", False)
        crosses = self.crosses
        good = isinstance(crosses, tuple) and all(isinstance(c, str) for c in crosses)
        _check(good, "model.crosses", "a tuple of texts", crosses)
        units = self.hidden_units
        good = bool(units) and all(isinstance(n, int) and n > 0 for n in units)
        _check(good, "model.hidden_units", "positive integers", units)
        for name in ("embedding_dim", "cross_buckets"):
            value = getattr(self, name)
            _check(value >= 1, f"model.{name}", "an integer of 1 or more", value)
        if isinstance(self.activation, str):
            smelu_tf.get(self.activation)


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
    """

    name: str = "adam"
    learning_rate: float = 0.002
    adagrad_accumulator: float = 0.1
    wide_learning_rate: float = 0.05
    wide_accumulator: float = 0.1
    l1: float = 0.0
    l2: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """How a run goes.

    Attributes:
        seed: of the initial weights.
        checkpoint_steps: batches between checkpoints.
        steps_per_execution: batches that one compiled call trains on.
        keep_checkpoints: how many checkpoints are kept.
    """

    seed: int = 0
    checkpoint_steps: int = 2000
    steps_per_execution: int = 16
    keep_checkpoints: int = 2


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How a model is evaluated.

    Attributes:
        batch_size: rows a batch; it does not change the figures.
    """

    batch_size: int = 4096


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that says how a run goes, but where its data and results are.

    Attributes:
        data: what is read.
        model: the model's shape.
        optimizer: how the weights are updated.
        train: how the run goes.
        eval: how a model is evaluated.
    """

    data: DataConfig = DataConfig()
    model: WideDeepConfig = WideDeepConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainOptions = TrainOptions()
    eval: EvalConfig = EvalConfig()

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        optimizer, train = self.optimizer, self.train
        self.model.validate()
        if optimizer.name not in ("adam", "adagrad"):
            _check(False, "optimizer.name", "adam or adagrad", optimizer.name)
        positive_integers = {
            "data.batch_size": self.data.batch_size,
            "data.epochs": self.data.epochs,
            "eval.batch_size": self.eval.batch_size,
            "train.checkpoint_steps": train.checkpoint_steps,
            "train.steps_per_execution": train.steps_per_execution,
            "train.keep_checkpoints": train.keep_checkpoints,
        }
        for name, value in positive_integers.items():
            _check(value >= 1, name, "an integer of 1 or more", value)
        for name, seed in (
            ("train.seed", train.seed),
            ("data.shuffle_seed", self.data.shuffle_seed),
        ):
            _check(seed >= 0, name, "an integer of 0 or more", seed)
        for name in ("learning_rate", "wide_learning_rate", "adagrad_accumulator"):
            value = getattr(optimizer, name)
            good = math.isfinite(value) and value > 0
            _check(good, f"optimizer.{name}", "a number above 0", value)
        for name in ("wide_accumulator", "l1", "l2"):
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


def _check(good: bool, name: str, expected: str, received: Any) -> None:
    if not good:
        raise ValueError(f"{name}: expected {expected}, received {received!r}.")
