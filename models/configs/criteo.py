"""Presets for Criteo's logs."""

from ..config import TrainConfig


def criteo_small() -> TrainConfig:
    """For up to a few million rows on one machine: a vocabulary, lazy Adam."""
    return TrainConfig()
