"""The model_dir: what a run leaves behind, and how it is found again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from smelu_tf.pipelines import Schema
from smelu_tf.pipelines.dataclass_json import load_json
from smelu_tf.pipelines.files import reading, replacing, writing

from .config import TrainConfig, flat
from .precision import dtype_policy
from .wide_deep import WideDeep

FOLDERS = {
    "newest": "checkpoints",
    "best": "checkpoints/best",
    "averaged": "checkpoints/averaged",
}
"""Where in a model_dir checkpoints are.

The newest one is what a training goes on from. Where weights are averaged, the newest
averages are another one, which is what is served.
"""


def open_model_dir(model_dir: Path, config: TrainConfig, schema: Schema) -> bool:
    """Makes a model_dir, or checks that it is this run's.

    Returns:
        Whether it was made: there was none, or one that was left before anything
        had begun.

    Raises:
        ValueError: it holds a run of another configuration or another schema, or
            other files; says which value differs.
    """
    if (model_dir / "config.json").exists():
        theirs = flat(dataclasses.asdict(TrainConfig.load(model_dir / "config.json")))
        for key, ours in flat(dataclasses.asdict(config)).items():
            if theirs[key] != ours:
                raise ValueError(
                    f"{model_dir}: expected a model_dir of this configuration, "
                    f"received another model's ({key} is {theirs[key]!r} there, "
                    f"{ours!r} here); choose another model_dir."
                )
        difference = schema.difference(Schema.load(model_dir / "schema.json"))
        if difference:
            raise ValueError(
                f"{model_dir}: expected a model of this schema ({schema.name}), "
                f"received one whose schema differs in {difference} (vocabularies and "
                "means may be of other data); choose another model_dir."
            )
        load_metrics(model_dir)
        return False
    if model_dir.exists() and not _is_unused(model_dir):
        raise ValueError(
            f"{model_dir}: expected a new or empty folder or a model_dir, "
            "received something else (no config.json)."
        )
    model_dir.mkdir(parents=True, exist_ok=True)
    try:
        _write_whole(model_dir / "schema.json", schema.to_json())
        _write_whole(model_dir / "config.json", config.to_json())
    except OSError:
        discard(model_dir)
        raise
    return True


def discard(model_dir: Path) -> None:
    """Removes a model_dir of which nothing came, where it may be removed."""
    for path in model_dir.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    with contextlib.suppress(OSError):  # a mount point, say
        model_dir.rmdir()


def _is_unused(folder: Path) -> bool:
    """Whether a folder is empty but for what a run killed at its start leaves."""
    leftover = re.compile(r"schema\.json|\.(schema|config)\.json\.[0-9a-f.]+\.partial")
    return folder.is_dir() and all(
        leftover.fullmatch(path.name) for path in folder.iterdir()
    )


def load_metrics(model_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """What metrics.json of a model_dir holds.

    Args:
        model_dir: where.

    Returns:
        The figures of each section: `progressive` and, where there are any, `window`,
        `validation`, `evaluation` and others; nothing where there is no file yet.

    Raises:
        ValueError: the file holds no JSON object.

    Examples:
        >>> load_metrics("model")["evaluation"]["num_examples"]
        1000
    """
    path = Path(model_dir) / "metrics.json"
    return load_json(path, dict) if path.exists() else {}


def update_metrics(
    model_dir: str | os.PathLike[str], **sections: Mapping[str, Any]
) -> None:
    """Writes sections into metrics.json of a model_dir; others in it stay.

    Args:
        model_dir: where.
        **sections: figures by name, ready for JSON.

    Raises:
        ValueError: the file is there, but holds no JSON object.
        OSError: no space, or no right to write.

    Examples:
        >>> update_metrics("model", holiday={"log_loss": 0.5})
        >>> metrics = load_metrics("model")
        >>> metrics["holiday"], "progressive" in metrics
        ({'log_loss': 0.5}, True)
    """
    metrics = load_metrics(model_dir)
    text = json.dumps({**metrics, **sections}, indent=2) + "\n"
    _write_whole(Path(model_dir) / "metrics.json", text)


def load_config(model_dir: str | os.PathLike[str]) -> TrainConfig:
    """The configuration that a model_dir was trained with.

    Args:
        model_dir: where.

    Raises:
        ValueError: there is no config.json, or no configuration in it.

    Examples:
        >>> load_config("model").model.hidden_units
        (128, 64, 32)
    """
    path = Path(model_dir) / "config.json"
    if not path.exists():
        raise ValueError(
            f"{model_dir}: expected a model_dir, received a path without config.json."
        )
    return TrainConfig.load(path)


def restore(
    checkpoint: tf.train.Checkpoint, model_dir: Path, which: str = "newest"
) -> bool:
    """Restores a checkpoint of a model_dir; returns whether there is one.

    Args:
        checkpoint: the objects.
        model_dir: where.
        which: `newest`, `best`: of the validations so far, or `averaged`: the newest
            averages of the weights.

    Raises:
        ValueError: it cannot be read, or belongs to another model.
    """
    if which not in FOLDERS:
        raise ValueError(
            f"checkpoint: expected one of {', '.join(FOLDERS)}, received {which!r}."
        )
    found = _newest_checkpoint(model_dir / FOLDERS[which])
    if found is None:
        return False
    expected = "a checkpoint of this model"
    with reading(found, expected):
        status = checkpoint.restore(found)
        try:
            # What a model to be scored has not, an optimizer say, stays unread.
            status.assert_existing_objects_matched().expect_partial()
        except AssertionError:
            raise ValueError(
                f"{found}: expected {expected}, received another's."
            ) from None
    return True


def has_checkpoint(model_dir: Path, which: str = "newest") -> bool:
    """Whether a model_dir has a checkpoint."""
    return _newest_checkpoint(model_dir / FOLDERS[which]) is not None


def _newest_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint of a folder, whose files need not all be there."""
    state = tf.train.get_checkpoint_state(folder)  # None where it cannot be read, too
    if state is not None:
        return state.model_checkpoint_path
    # The file that names it is written last: a run may have been killed before.
    steps = [int(path.stem[5:]) for path in folder.glob("ckpt-*.index")]
    return str(folder / f"ckpt-{max(steps)}") if steps else None


def save(manager: tf.train.CheckpointManager, step: int) -> None:
    """Saves a checkpoint, named by its step.

    Raises:
        OSError: no space, or no right to write; nothing half-written is left.
    """
    try:
        with writing(manager.directory):
            manager.save(checkpoint_number=step)
    except OSError:
        for left in Path(manager.directory).glob("*_temp"):
            shutil.rmtree(left)
        raise


def load_model(
    model_dir: str | os.PathLike[str],
    checkpoint: str = "newest",
    compute_dtype: str = "float32",
) -> WideDeep:
    """The model of a model_dir with the weights of a checkpoint.

    With `optimizer.averaging` they are the averages of the weights.

    Args:
        model_dir: where.
        checkpoint: `newest`, or `best`: of the validations.
        compute_dtype: of the deep part, whatever it was trained in: see
            `TrainOptions`.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: no model_dir there, or no checkpoint that can be read in it.

    Examples:
        >>> model = load_model("model")
        >>> batch = next(iter(read_text("clicks/day_6.tsv", model.schema, 100)))
        >>> model(batch.features).shape
        TensorShape([100, 1])
    """
    model_dir = Path(model_dir)
    config = load_config(model_dir)
    schema = Schema.load(model_dir / "schema.json")
    policy = dtype_policy(compute_dtype)
    model = WideDeep(schema, config.model, config.train.seed, dtype=policy)
    which = checkpoint
    if checkpoint == "newest" and config.optimizer.averaging:
        which = "averaged"
    if not restore(tf.train.Checkpoint(model=model), model_dir, which):
        reason = (
            "nothing has been validated"
            if checkpoint == "best"
            else "the training has not come that far"
        )
        raise ValueError(
            f"{model_dir}: expected a checkpoint, received none: {reason}."
        )
    return model


def _write_whole(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
