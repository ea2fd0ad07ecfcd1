"""The flags --config=PRESET and --config.SECTION.FIELD=VALUE."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from .errors import clean_errors
from .running import import_tensorflow

flags.disclaim_key_flags()  # it is the script's


def define_config(default: str = "criteo_small") -> Any:
    """Defines --config=PRESET and --config.SECTION.FIELD=VALUE.

    Returns:
        A function that gives the `TrainConfig` once the flags are parsed.
    """
    with clean_errors():
        import_tensorflow()
        from smelu_tf.models import PRESETS, TrainConfig

        check_overrides(sys.argv[1:], TrainConfig)

    def preset(name: str) -> Any:
        if name not in PRESETS:
            raise ValueError(f"expected one of {', '.join(PRESETS)}, received {name!r}")
        return _thawed(PRESETS[name]())

    holder = config_flags.DEFINE_config_dataclass(
        "config",
        preset(default),
        f"A preset: {', '.join(PRESETS)}. Any field of it can be set besides: "
        "--config.optimizer.learning_rate=0.001.",
        parse_fn=preset,
    )
    return lambda: TrainConfig.from_dict(dataclasses.asdict(holder.value))


def check_overrides(arguments: Sequence[str], config_type: type) -> None:
    """Raises a ValueError for a --config.SECTION.FIELD that is unknown or comes twice.

    ml_collections would say less of the one, and append a tuple to itself at the other.
    """
    given: set[str] = set()
    for argument in arguments:
        found = re.match(r"--?config\.([\w.]+)", argument)
        if found is None:
            continue
        _check_key(found[1], config_type)
        if found[1] in given:
            raise ValueError(f"config.{found[1]}: expected once, received again.")
        given.add(found[1])


def _check_key(path: str, config_type: type) -> None:
    """Raises a ValueError where a path names no field of a configuration."""
    from smelu_tf.pipelines.dataclass_json import unknown_key

    place: Any = config_type
    where = "config"
    for name in path.split("."):
        if not dataclasses.is_dataclass(place):
            raise ValueError(f"config.{path}: expected a known key, received another.")
        fields = {field.name: field.type for field in dataclasses.fields(place)}
        if name not in fields:
            raise unknown_key(where, name, fields)
        place, where = fields[name], f"{where}.{name}"
    if dataclasses.is_dataclass(place):
        names = ", ".join(field.name for field in dataclasses.fields(place))
        raise ValueError(
            f"{where}: expected a field of this section to be set ({names}), "
            "received the section."
        )


def _thawed(config: Any) -> Any:
    """A frozen dataclass as one whose fields can be set: flags set them in place."""
    fields = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        kind = field.type
        if dataclasses.is_dataclass(value):
            value = _thawed(value)
            kind = type(value)
        default = dataclasses.field(default_factory=lambda value=value: value)
        fields.append((field.name, kind, default))
    return dataclasses.make_dataclass(type(config).__name__, fields)()
