"""Small trainings: their configurations, files of few rows, an interrupted run."""

import dataclasses

import pytest

from smelu_tf.models import (
    DataConfig,
    TrainConfig,
    TrainOptions,
    WideDeepConfig,
    train,
)
from smelu_tf.pipelines import CRITEO, Categorical

CONFIG = TrainConfig(
    model=WideDeepConfig(embedding_dim=4, hidden_units=(16, 8)),
    train=TrainOptions(checkpoint_steps=8, steps_per_execution=4),
)
CROSSED = dataclasses.replace(
    CONFIG,
    model=dataclasses.replace(CONFIG.model, activation="smelu:0.5", crosses=("C9*C6",)),
)
"""That of the fixture `small_run`."""


def hashed(config, folder):
    """The configuration with a schema that needs no pass over the data to be counted.

    Its file goes into the folder.
    """
    columns = tuple(Categorical(c.name, buckets=50) for c in CRITEO.categorical)
    schema = dataclasses.replace(CRITEO, categorical=columns)
    (folder / "hashed.json").write_text(schema.to_json())
    data = DataConfig(schema=str(folder / "hashed.json"))
    return dataclasses.replace(config, data=data)


def first_rows(criteo_dir, folder):
    """A file in the folder, of 300 rows."""
    lines = (criteo_dir / "day_0.tsv").read_text().splitlines(keepends=True)
    (folder / "rows.tsv").write_text("".join(lines[:300]))
    return folder / "rows.tsv"


def interrupt(num_rows, *args, **kwargs):
    """Trains until more rows than so many were read, then as Control-C ends it."""

    def stop(rows, *_):
        if rows > num_rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*args, **kwargs, progress=stop)
