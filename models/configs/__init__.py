"""Presets: functions that return the `TrainConfig` of a well-known data set."""

from collections.abc import Callable

from ..config import TrainConfig
from .criteo import criteo_small

PRESETS: dict[str, Callable[[], TrainConfig]] = {"criteo_small": criteo_small}

__all__ = ["PRESETS", "criteo_small"]
