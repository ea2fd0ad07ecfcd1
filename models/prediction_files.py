"""The predictions of several models, from the Parquet files that `predict` writes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from smelu_tf import DifferenceKind
from smelu_tf.pipelines.parquet import open_parquet

_TYPES = {
    "row": np.int64,
    "label": np.float32,
    "probability": np.float32,
    "logit": np.float32,
}


@dataclasses.dataclass(frozen=True, eq=False)
class PredictionFiles:
    """What several models predict of the same rows. See `read_prediction_files`.

    Attributes:
        paths: the files, one a model.
        rows: the rows' numbers, int64 (num_examples,).
        labels: 0 or 1, float32 (num_examples,).
        probabilities: float32 (num_models, num_examples).
        logits: their log odds, float32 (num_models, num_examples).
    """

    paths: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    logits: np.ndarray

    def comparison(
        self, name: str, threshold: float | None = None
    ) -> tuple[np.ndarray, DifferenceKind]:
        """What is compared for a kind of difference: the logits for `logit`.

        Args:
            name: of the kind, one of `smelu_tf.difference_kinds.KINDS`.
            threshold: of `hamming`, as in `DifferenceKind`.

        Returns:
            Predictions, float32 (num_models, num_examples), and the kind of them.

        Raises:
            ValueError: an unknown kind.
        """
        if name == "logit":
            return self.logits, DifferenceKind(name, from_logits=True)
        return self.probabilities, DifferenceKind(
            name, threshold=threshold if name == "hamming" else None
        )

    def log_losses(self) -> np.ndarray:
        """The mean log loss of each model, float64 (num_models,)."""
        found = [
            np.mean(np.logaddexp(0, logit) - self.labels * logit)
            for logit in (row.astype(np.float64) for row in self.logits)
        ]
        return np.array(found)

    def check_same_rows(self, other: PredictionFiles) -> None:
        """Raises a ValueError where the other files have other rows or labels."""
        _check_same(other.paths[0], other.rows, other.labels, self)


def read_prediction_files(
    paths: Iterable[str | os.PathLike[str]],
) -> PredictionFiles:
    """Reads the prediction files of two models or more.

    Args:
        paths: Parquet files with the columns row (whole numbers), label (0 or 1),
            probability and logit, as `write_predictions` writes them. Other columns are
            not read.

    Returns:
        The predictions, in the files' order.

    Raises:
        ValueError: fewer than two files, one twice, one that is no Parquet file, is
            empty, lacks a column or holds a value that is none; or whose rows or labels
            are not those of the first file, in its order.
        ImportError: pyarrow is not installed; names the command that installs it.

    Examples:
        >>> files = read_prediction_files(["a.parquet", "b.parquet"])
        >>> files.probabilities.shape
        (2, 1000)
        >>> bool(smelu_tf.prediction_difference(files.probabilities) > 0.01)
        True
    """
    names = tuple(os.fspath(path) for path in paths)
    if len(names) < 2:
        raise ValueError(
            "prediction files: expected 2 or more, one a model, received "
            f"{', '.join(names) or 'none'}."
        )
    _check_different(names)
    first = _read(names[0])
    num_examples = len(first["row"])
    found = PredictionFiles(
        names,
        first["row"],
        first["label"],
        np.empty((len(names), num_examples), np.float32),
        np.empty((len(names), num_examples), np.float32),
    )
    for i, name in enumerate(names):
        columns = _read(name) if i else first
        _check_same(name, columns["row"], columns["label"], found)
        found.probabilities[i] = columns["probability"]
        found.logits[i] = columns["logit"]
    return found


def _check_different(names: Sequence[str]) -> None:
    """Raises a ValueError where a file comes twice: it would agree with itself."""
    seen: dict[str, str] = {}
    for name in names:
        real = os.path.realpath(name)
        if real in seen:
            raise ValueError(
                f"{name}: expected different files, received this one twice."
            )
        seen[real] = name


def _check_same(
    path: str, rows: np.ndarray, labels: np.ndarray, first: PredictionFiles
) -> None:
    """Raises a ValueError where rows or labels are not those of the first file."""
    if len(rows) != len(first.rows):
        raise ValueError(
            f"{path}: expected {len(first.rows):,} rows, as {first.paths[0]} has, "
            f"received {len(rows):,}."
        )
    for name, values, expected in (
        ("row", rows, first.rows),
        ("label", labels, first.labels),
    ):
        different = np.flatnonzero(values != expected)
        if len(different):
            i = different[0]
            raise ValueError(
                f"{path}, place {i}: expected the {name} {expected[i]:.17g}, as "
                f"{first.paths[0]} has it there, received {values[i]:.17g}; "
                "predictions must be of the same rows, in the same order."
            )


def _read(path: str) -> dict[str, np.ndarray]:
    """The columns of a file, checked."""
    with open_parquet(path) as file:
        types = {field.name: field.type for field in file.schema_arrow}
        for name in _TYPES:
            if name not in types:
                raise ValueError(
                    f"{path}: expected a column {name}, received none of this name "
                    f"({', '.join(types)[:200]})."
                )
        columns = {name: _column(path, file, name) for name in _TYPES}
    if not len(columns["row"]):
        raise ValueError(f"{path}: expected rows, received none.")
    label, probability = columns["label"], columns["probability"]
    expectations = {
        "label": ("0 or 1", (label == 0) | (label == 1)),
        "probability": ("0 to 1", (probability >= 0) & (probability <= 1)),
        "logit": ("a finite number", np.isfinite(columns["logit"])),
    }
    for name, (expected, is_right) in expectations.items():
        if not is_right.all():
            i = int(np.argmin(is_right))
            raise ValueError(
                f"{path}, place {i}, column {name}: expected {expected}, received "
                f"{columns[name][i]:g}."
            )
    return columns


def _column(path: str, file: Any, name: str) -> np.ndarray:
    """A column as an array of its type; nulls are NaN, which a row cannot be."""
    import pyarrow

    try:
        column = file.read(columns=[name]).column(name)
        is_whole = pyarrow.types.is_integer(column.type)
        is_number = is_whole or pyarrow.types.is_floating(column.type)
        if not is_number or (name == "row" and (column.null_count or not is_whole)):
            expected = "whole numbers" if name == "row" else "numbers"
            received = f"{column.type} with {column.null_count} nulls"
            raise ValueError(
                f"{path}, column {name}: expected {expected}, received {received}."
            )
        return column.to_numpy().astype(_TYPES[name])
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}, column {name}: expected values that can be read, received: "
            f"{reason}"
        ) from None
