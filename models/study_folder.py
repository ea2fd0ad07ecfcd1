"""The folder of a study: what it is of, and the results of its cells."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from smelu_tf.pipelines.dataclass_json import load_json
from smelu_tf.pipelines.files import replacing

from .config import TrainConfig, flat
from .study_plan import Study
from .study_rows import StudyRows


@dataclasses.dataclass(frozen=True, eq=False)
class CellResult:
    """The logits of a cell's replicas. See `run_study`.

    Attributes:
        validation: float32 (num_replicas, rows): of the validation rows, by the models
            as they were before these rows.
        test: float32 (num_replicas, rows): of the test rows, by the trained models.
        curve: float32 (points, num_replicas, rows): of some of the validation rows, in
            the course of the training before them.
        curve_examples: int64 (points,): how many rows had been learned.
        seconds: the training took, compilation included.
    """

    validation: np.ndarray
    test: np.ndarray
    curve: np.ndarray
    curve_examples: np.ndarray
    seconds: float

    def save(self, path: Path) -> None:
        """Writes the file of a cell, whole or not at all."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> CellResult:
        """Reads the file of a cell; a ValueError names one that is damaged."""
        try:
            # np.load leaves a damaged file open that it is given by name.
            with path.open("rb") as file, np.load(file) as values:
                fields = {name: values[name] for name in values.files}
            return cls(**{**fields, "seconds": float(fields["seconds"])})
        except Exception as error:  # of zip files, of pickles, of keys
            raise ValueError(
                f"{path}: expected the results of a cell, received a file that cannot "
                f"be read ({error}); delete it, and it is trained again."
            ) from None


def open_folder(
    output_dir: Path, study: Study, config: TrainConfig, rows: StudyRows
) -> None:
    """Makes the folder of a study, or checks that it is this one's.

    More activations, techniques, rates and sources may be added; all else has to be as
    it was.
    """
    own = {
        "num_replicas": study.num_replicas,
        "order_window": study.order_window,
        "warm_start": study.warm_start,
        "config": dataclasses.asdict(config),
        "schema": rows.schema.fingerprint(),
        "num_rows": [len(rows.train), rows.num_validation, len(rows.test)],
        "sums": [float(np.sum(part.label)) for part in (rows.train, rows.test)],
    }
    own = json.loads(json.dumps(own))
    path = output_dir / "study.json"
    if path.exists():
        theirs = flat(load_json(path, _with_defaults))
        for key, value in flat(own).items():
            if theirs.get(key) != value:
                raise ValueError(
                    f"{output_dir}: expected the folder of this study, received "
                    f"another's ({key} is {theirs.get(key)!r} there, {value!r} here); "
                    "choose another output_dir."
                )
        return
    # Hidden files are those that a process has left which was killed while it wrote.
    if output_dir.exists() and any(output_dir.glob("[!.]*")):
        raise ValueError(
            f"{output_dir}: expected a new or empty folder or one of a study, received "
            "something else (no study.json)."
        )
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(own, indent=2) + "\n", encoding="utf-8")


def _with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """What a `study.json` says; of fields that came later, what they had been."""
    config = TrainConfig.from_dict(values.get("config", {}))
    return {"warm_start": "", **values, "config": json.loads(config.to_json())}
