"""Presets: functions that return the `TrainConfig` of a well-known data set."""

from collections.abc import Callable

from ..config import TrainConfig
from .adult import adult
from .avazu import avazu
from .criteo import criteo_1tb, criteo_kaggle, criteo_small
from .movielens import movielens

PRESETS: dict[str, Callable[[], TrainConfig]] = {
    preset.__name__: preset
    for preset in (criteo_small, criteo_kaggle, criteo_1tb, avazu, movielens, adult)
}
"""The presets by the names that `--config` takes."""

__all__ = [
    "PRESETS",
    "adult",
    "avazu",
    "criteo_1tb",
    "criteo_kaggle",
    "criteo_small",
    "movielens",
]
