"""The teachers that the replicas of a study train for themselves."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from smelu_tf.pipelines import Schema

from .config import TrainConfig
from .distillation import Teachers
from .replicas import Replicas, with_seed
from .study_plan import MAX_TOGETHER
from .wide_deep import WideDeep

_SEEDS = 1_000_000  # from here on


class OwnTeachers:
    """The teachers of replicas, `loss.num_teachers` each.

    They are of the replicas' configuration, without teachers of their own. No two
    replicas share one, since that alone would have them agree.

    Args:
        config: of the replicas.
        seeds: of their initial weights. The teachers have others.
        schema: of the rows.
        prepare: as in `Replicas`.

    Attributes:
        of_replicas: each replica's own; None where `loss.teachers` names them.
    """

    def __init__(
        self,
        config: TrainConfig,
        seeds: Sequence[int],
        schema: Schema,
        prepare: Callable[[WideDeep], object] | None,
    ) -> None:
        number = config.loss.num_teachers
        loss = dataclasses.replace(config.loss, distillation=0.0, num_teachers=0)
        own = dataclasses.replace(config, loss=loss)
        count = len(seeds) * number
        # Replicas' seeds are below; those with equal seeds have equal teachers.
        configs = [
            with_seed(own, _SEEDS + seed * number + i)
            for seed in seeds
            for i in range(number)
        ]
        self._groups = [
            Replicas(configs[i : i + MAX_TOGETHER], schema, prepare=prepare)
            for i in range(0, count, MAX_TOGETHER)
        ]
        models = [model for group in self._groups for model in group.models]
        self.of_replicas = None
        if number:
            self.of_replicas = [
                Teachers.of(models[i : i + number]) for i in range(0, count, number)
            ]

    def train(self, batches: tf.data.Dataset) -> None:
        """Has them learn all batches, in order."""
        for group in self._groups:
            group.train(batches)

    @contextlib.contextmanager
    def averages(self) -> Iterator[None]:
        """Inside, they have the averages of their weights, where there are any."""
        with contextlib.ExitStack() as stack:
            for group in self._groups:
                stack.enter_context(group.averages())
            yield
