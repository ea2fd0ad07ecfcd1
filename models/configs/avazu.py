"""The preset for Avazu's mobile ads."""

import dataclasses

from ..config import DataConfig, TrainConfig
from ..model_config import WideDeepConfig
from .criteo import criteo_kaggle


def avazu() -> TrainConfig:
    """For Kaggle's train.csv: 40.4 million rows of ten days, read once in their order.

    There are no numbers, only 21 id columns, two of which (the device and its address)
    have millions of values: a vocabulary keeps those that occur at least four times.
    For such columns a second pass tends to fit their single rows rather than the
    clicks to come, so there is one pass. Otherwise as `criteo_kaggle`, with a smaller
    MLP over the fewer inputs.

    Not measured: the set was not at hand.
    """
    return dataclasses.replace(
        criteo_kaggle(),
        data=DataConfig(schema="avazu", batch_size=4096),
        model=WideDeepConfig(embedding_dim=16, hidden_units=(512, 256, 128)),
    )
