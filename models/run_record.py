"""What is written beside a run so that it can be repeated: `environment.json`."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

import smelu_tf
from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.dataclass_json import load_json, parse_json
from smelu_tf.pipelines.files import Paths, expand_files, replacing
from smelu_tf.pipelines.manifest import MANIFEST, is_blocks, read_manifest

FILE_NAME = "environment.json"

_PACKAGES = ("tensorflow", "tf-keras", "keras", "tensorflow-recommenders", "numpy")
_GIT_SECONDS = 10  # after which git is not waited for


def record_run(
    model_dir: str | os.PathLike[str],
    *,
    schema: Schema,
    data: Paths,
    validation_data: Paths = (),
    strategy: tf.distribute.Strategy | None = None,
    first_step: int = 0,
    warm_start: str = "",
    table_device: str = "",
    compute_dtype: str = "",
) -> None:
    """Appends what a run depends on to `environment.json` of a model_dir.

    What is found there besides is kept: a run that was stopped and goes on is a second
    entry. No user's name and no environment variable is written; the command line is,
    with whatever paths it has.

    Args:
        model_dir: the folder, which has config.json and schema.json.
        schema: the completed schema.
        data: what is read, as `open_rows` takes it.
        validation_data: what is validated on, likewise; empty: none of its own.
        strategy: what distributes the run; by default that in force.
        first_step: the batches that were learned before: 0 of a new run.
        warm_start: the model_dir whose weights the run began with; empty: none.
        table_device: the device of the stacked tables; empty: with everything else.
        compute_dtype: what the deep part computes in, as `train.compute_dtype=auto` was
            resolved on this machine; empty: nobody said.

    Raises:
        ValueError: the file is there, but cannot be read.
        OSError: no space, or no right to write.

    Examples:
        >>> schema = Schema.load("model/schema.json")
        >>> record_run("model", schema=schema, data="clicks/day_[0-5].tsv")
        >>> run = recorded_runs("model")[-1]
        >>> run["schema"]["name"], len(run["data"]["files"])
        ('criteo', 6)
    """
    path = Path(model_dir) / FILE_NAME
    strategy = strategy or tf.distribute.get_strategy()
    run = {
        "started": _utc_now(),
        "command": list(sys.argv),
        "first_step": first_step,
        "warm_start": warm_start or None,
        "versions": versions(),
        "git": _git_of_the_code(),
        "machine": machine(),
        "strategy": {
            "name": type(strategy).__name__.removeprefix("_"),
            "num_replicas": strategy.num_replicas_in_sync,
        },
        "table_device": table_device or None,
        "compute_dtype": compute_dtype or None,
        "tensor_float_32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "schema": {"name": schema.name, "fingerprint": schema.fingerprint()},
        "data": data_summary(data),
        "validation_data": data_summary(validation_data) if validation_data else None,
    }
    runs = [*recorded_runs(model_dir), run]
    with replacing(path) as temporary:
        text = json.dumps({"runs": runs}, indent=2) + "\n"
        temporary.write_text(text, encoding="utf-8")


def versions() -> dict[str, str | None]:
    """The versions of Python and of the packages that a result depends on."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "smelu-tf": smelu_tf.__version__,
    }
    for name in _PACKAGES:
        found[name] = None
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def machine() -> dict[str, Any]:
    """The machine: system, processor, cores and accelerators."""
    return {
        "platform": platform.platform(),
        "processor": processor(),
        "num_cores": os.cpu_count(),
        "num_usable_cores": len(os.sched_getaffinity(0)),
        "accelerators": [
            _device_name(device)
            for device in tf.config.list_logical_devices()
            if device.device_type in ("GPU", "TPU")
        ],
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that a folder is at; None outside a repository, or without git.

    Returns:
        `commit`, and `is_dirty`: whether a file that git knows was changed since; None
        where git took too long to say.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "is_dirty": None if changes is None else bool(changes)}


def data_summary(data: Paths) -> dict[str, Any]:
    """What rows are recognised by, without reading them.

    Returns:
        Of files `num_bytes` in all and `files`: their `name` and `num_bytes`. Of blocks
        `blocks`, the folder, `num_rows`, and the manifest's `checksum`, which covers
        those of all shards.

    Raises:
        ValueError: a missing file, or blocks with a damaged manifest.
    """
    if is_blocks(data):
        folder = Path(data)  # type: ignore[arg-type]
        manifest = parse_json((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
        return {
            "blocks": str(folder),
            "num_rows": read_manifest(folder).num_rows,
            "checksum": manifest["checksum"],
        }
    sizes = [(path, os.path.getsize(path)) for path in expand_files(data)]
    return {
        "num_bytes": sum(size for _, size in sizes),
        "files": [{"name": path, "num_bytes": size} for path, size in sizes],
    }


def recorded_runs(model_dir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """What `record_run` wrote of the runs of a model_dir, the first one first.

    Raises:
        ValueError: the file is there, but cannot be read.
    """
    path = Path(model_dir) / FILE_NAME
    if not path.exists():
        return []

    def listed(values: Mapping[str, Any]) -> list[Any]:
        runs = values.get("runs")
        if not isinstance(runs, list):
            raise ValueError(f"runs: expected a list, received {runs!r}.")
        return runs

    return load_json(path, listed)


def _utc_now() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="seconds")


def _git_of_the_code() -> dict[str, Any] | None:
    """Of the working directory's repository, or else of this package's."""
    return git_state(Path.cwd()) or git_state(Path(smelu_tf.__file__).parent)


def _git(folder: Path, *arguments: str) -> str | None:
    """What a git command prints; None if it fails, or takes too long."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # `status` would lock the index to bring it up to date.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()


def processor() -> str:
    """The processor's name, which Python alone does not know on Linux."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _device_name(device: Any) -> str:
    """An accelerator's name, or its kind where TensorFlow does not tell."""
    kind = device.device_type
    number = int(device.name.rpartition(":")[2])
    physical = tf.config.list_physical_devices(kind)
    if number >= len(physical):
        return kind
    details = tf.config.experimental.get_device_details(physical[number])
    return details.get("device_name", kind)
