"""What a study trains: its cells, and the configuration of each."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator

from .config import TrainConfig, flat
from .study_rows import StudyRows
from .techniques import with_technique

VARIES = ("init", "order", "threads", "nothing")
"""What may differ between the replicas of a cell."""

MAX_TOGETHER = 16
"""Models in one compiled step: more of them only take longer to build."""

# What techniques do not change: cells have it, or all cells have it in common.
_OF_A_CELL = (
    "model.activation",
    "optimizer.learning_rate",
    "train.seed",
    "train.deterministic",
    "data.schema",
)
_OF_A_STUDY = {"epochs": 1, "shuffle": False, "negative_rate": 1.0}  # of DataConfig


@dataclasses.dataclass(frozen=True)
class Study:
    """What a study of prediction difference trains: cells of replicas.

    A cell is an activation with a technique, a learning rate, and what differs between
    its replicas. All combinations are trained.

    Attributes:
        activations: names, as `smelu_tf.get` takes them, or lists of names for layers
            with `/` between them; behind a + techniques that are for it alone:
            `smelu:1+trained_beta`.
        techniques: as `with_technique` takes them.
        learning_rates: each with every activation and technique.
        varies: what differs between replicas, of `VARIES`: the seed of the initial
            weights; the order of the rows, shuffled in windows of `order_window`; the
            number of threads, and with it the order in which sums are rounded; nothing.
        num_replicas: models a cell, two or more; intervals take three.
        order_window: rows.
        warm_start: a model_dir whose tables all models begin with; where their initial
            weights do not differ, with all of its weights. Empty: none.

    Examples:
        >>> study = Study(("relu", "smelu:1"), learning_rates=(0.001, 0.002))
        >>> [cell.name for cell in study.cells()][:2]
        ['relu_none_0.001_init', 'relu_none_0.002_init']
    """

    activations: tuple[str, ...] = ("relu", "smelu:0.5", "smelu:1")
    techniques: tuple[str, ...] = ("none",)
    learning_rates: tuple[float, ...] = (0.001, 0.002, 0.004)
    varies: tuple[str, ...] = ("init",)
    num_replicas: int = 16
    order_window: int = 10_000
    warm_start: str = ""

    def cells(self) -> Iterator[Cell]:
        """All combinations."""
        for varies, technique, text, rate in itertools.product(
            self.varies, self.techniques, self.activations, self.learning_rates
        ):
            activation, _, own = text.partition("+")
            names = [name for name in (own, technique) if name not in ("", "none")]
            yield Cell(activation, "+".join(names) or "none", rate, varies)

    def validate(self, config: TrainConfig) -> None:
        """Raises a ValueError where a cell cannot be trained.

        Args:
            config: of the models, where the study does not say otherwise.
        """
        for name in ("activations", "techniques", "learning_rates", "varies"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(
                    f"{name}: expected one or more, each once, received {values}."
                )
        for varies in self.varies:
            if varies not in VARIES:
                raise ValueError(
                    f"varies: expected one of {', '.join(VARIES)}, received {varies!r}."
                )
        if self.num_replicas < 2:
            raise ValueError(
                f"num_replicas: expected 2 or more, received {self.num_replicas}."
            )
        if self.order_window < 2:
            raise ValueError(
                f"order_window: expected 2 or more, received {self.order_window}."
            )
        for technique in {cell.technique: None for cell in self.cells()}:
            _check_technique(config, technique)
        for cell in self.cells():
            cell_config = cell.config(config)
            for name, expected in _OF_A_STUDY.items():
                received = getattr(cell_config.data, name)
                if received != expected:
                    raise ValueError(
                        f"data.{name}: expected {expected} in a study, whose models "
                        f"read all rows once, received {received}."
                    )
            cell_config.validate()
        names = [cell.name for cell in self.cells()]
        if len(set(names)) < len(names):
            raise ValueError(
                "expected cells whose files have different names, received "
                f"{', '.join(sorted(names))}."
            )

    def num_examples(self, rows: StudyRows) -> int:
        """The examples to learn, over all models of all cells.

        Args:
            rows: of the data.
        """
        return len([*self.cells()]) * self.num_replicas * len(rows.train)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A combination that replicas are trained of.

    Attributes:
        activation: its name.
        technique: as `with_technique` takes it.
        learning_rate: of the optimizer of all but the wide part.
        varies: what differs between the replicas, of `VARIES`.

    Examples:
        >>> cell = Cell("smelu:0.5", "layer_norm", 0.002, "init")
        >>> cell.config(TrainConfig()).model.normalization
        'layer'
    """

    activation: str
    technique: str
    learning_rate: float
    varies: str

    @property
    def name(self) -> str:
        """Of the cell's file."""
        text = (
            f"{self.activation}_{self.technique}_{self.learning_rate:g}_{self.varies}"
        )
        return re.sub(r"[^\w.=+-]", "-", text)

    def config(self, base: TrainConfig) -> TrainConfig:
        """The configuration of the cell's models.

        Args:
            base: says what the cell does not.
        """
        config = with_technique(base, self.technique)
        return dataclasses.replace(
            config,
            model=dataclasses.replace(
                config.model, activation=self.activation.replace("/", ",")
            ),
            optimizer=dataclasses.replace(
                config.optimizer, learning_rate=self.learning_rate
            ),
        )


def _check_technique(config: TrainConfig, technique: str) -> None:
    """Raises a ValueError where a technique sets what a study says by itself."""
    before, after = (
        flat(dataclasses.asdict(c)) for c in (config, with_technique(config, technique))
    )
    for name in _OF_A_CELL:
        if before[name] != after[name]:
            raise ValueError(
                f"technique: expected no {name}, which a study sets otherwise, "
                f"received {technique!r}."
            )
