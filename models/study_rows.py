"""The rows of a study, in memory."""

from __future__ import annotations

import dataclasses

import numpy as np

from smelu_tf.pipelines import InMemoryRows, Schema, named_schema, open_rows

from .config import TrainConfig


@dataclasses.dataclass(frozen=True, eq=False)
class StudyRows:
    """The rows of a study, in memory.

    Attributes:
        schema: complete.
        train: in time order; the last of them validate.
        num_validation: how many.
        test: other rows.

    Examples:
        >>> files = ("clicks/day_0.tsv", "clicks/day_6.tsv")
        >>> rows = StudyRows.read(*files, TrainConfig(), fraction=0.2)
        >>> len(rows.train), rows.num_validation, len(rows.test)
        (1000, 200, 1000)
    """

    schema: Schema
    train: InMemoryRows
    num_validation: int
    test: InMemoryRows

    @classmethod
    def read(
        cls, files: str, test_files: str, config: TrainConfig, fraction: float = 0.1
    ) -> StudyRows:
        """Reads the rows into memory.

        Args:
            files: paths or glob patterns of row files, or a folder of blocks.
            test_files: the same of the test rows.
            config: says the schema, which is completed on `files`.
            fraction: the part of the rows that validates.

        Returns:
            The rows, their schema complete.

        Raises:
            ValueError: files that are missing, a row that does not parse, or too few
                rows.
        """
        rows, test = open_rows(files), open_rows(test_files)
        with rows.errors():
            schema = rows.complete(named_schema(config.data.schema))
        train = InMemoryRows.read(rows, schema)
        num_validation = round(len(train) * fraction)
        if not 0 < num_validation < len(train):
            raise ValueError(
                f"{files}: expected rows to train and to validate on, received "
                f"{len(train)}."
            )
        found = cls(schema, train, num_validation, InMemoryRows.read(test, schema))
        for where, part in ((files, found.validation), (test_files, found.test)):
            if not np.any(part.weight > 0):
                raise ValueError(
                    f"{where}: expected rows of weight above 0 to compare models on, "
                    "received none."
                )
        return found

    @property
    def validation(self) -> InMemoryRows:
        """The rows that validate."""
        return self.train[len(self.train) - self.num_validation :]
