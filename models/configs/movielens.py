"""The preset for MovieLens's ratings."""

from ..config import DataConfig, OptimizerConfig, TrainConfig
from ..model_config import WideDeepConfig


def movielens() -> TrainConfig:
    """For MovieLens-100K or -1M, joined and sorted by time: is a rating 4 or 5?

    Some hundred batches are all there are of the smaller set: small batches, and Adam,
    lazy on the tables, which gets furthest in few steps. Users and films in time order
    are mostly new ones, which have only their unknown row; so the model is small, and a
    tenth of the ids is taken for unknown ones, which trains that row.

    Not measured: neither the widths nor the rate was tuned on this set.
    """
    return TrainConfig(
        data=DataConfig(schema="movielens", batch_size=128),
        model=WideDeepConfig(embedding_dim=8, hidden_units=(64, 32), unknown_rate=0.1),
        optimizer=OptimizerConfig(name="adam", learning_rate=0.002),
    )
