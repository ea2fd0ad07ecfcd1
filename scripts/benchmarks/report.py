"""A benchmark's figures, and the machine and versions that they belong to."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata

_VERSIONS = ("tensorflow", "keras", "tf-keras", "numpy", "smelu-tf")


@dataclasses.dataclass(frozen=True)
class Result:
    """A figure: a name, a value and the value's unit."""

    name: str
    value: float
    unit: str


def environment() -> dict[str, str | int]:
    """What figures depend on: processor, cores, versions."""
    from smelu_tf.models.run_record import processor

    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _VERSIONS},
    }


def as_json(results: Sequence[Result]) -> str:
    """One JSON object: `results` and `environment`."""
    values = [dataclasses.asdict(result) for result in results]
    return json.dumps({"results": values, "environment": environment()}, indent=1)


def figure_rows(results: Sequence[Result]) -> list[list[str]]:
    """A row of cells a figure: name, value, unit."""
    return [
        [
            result.name,
            f"{result.value:.2f}" if result.unit == "ratio" else f"{result.value:,.0f}",
            result.unit,
        ]
        for result in results
    ]
