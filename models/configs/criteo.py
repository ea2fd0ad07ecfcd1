"""Presets for Criteo's logs."""

from ..config import (
    DataConfig,
    EvalConfig,
    OptimizerConfig,
    TrainConfig,
    TrainOptions,
)
from ..model_config import WideDeepConfig


def criteo_small() -> TrainConfig:
    """For up to a few million rows on one machine: a vocabulary, lazy Adam.

    Tuned on 42,395 rows of the Kaggle set and on generated ones (docs/training.md).
    """
    return TrainConfig()


def criteo_kaggle() -> TrainConfig:
    """For the Kaggle set: 45.8 million rows of seven days, read once in their order.

    Ids are vocabularies of the values that occur at least four times, so that rare
    ones share a row. Convert first (`scripts/convert.py`): the vocabularies are counted
    then, in a pass of their own. Tables of width 16 and an MLP of 1024-512-256 are the
    common size of models of this set. Adam was ahead of Adagrad on 42,395 rows of
    it (docs/training.md); its rate is half of `criteo_small`'s, since the run has
    11,000 batches and not a few hundred.

    Not measured: the set was not trained on in full. The rate is a guess; try 0.0005
    and 0.002 as well.
    """
    return TrainConfig(
        data=DataConfig(schema="criteo", batch_size=4096),
        model=WideDeepConfig(embedding_dim=16, hidden_units=(1024, 512, 256)),
        optimizer=OptimizerConfig(name="adam", learning_rate=0.001, warmup_steps=500),
        train=TrainOptions(checkpoint_steps=1000, compute_dtype="auto"),
        eval=EvalConfig(batch_size=16384, window_rows=1_000_000),
    )


def criteo_1tb() -> TrainConfig:
    """For the 24 days of the 1TB set: 4.37 billion rows, the last day held back.

    The shape is that of MLPerf's DLRM-DCNv2: width 128, three cross layers of rank 512,
    an MLP of 1024-1024-512-256, Adagrad at 0.005, batches of 65,536 rows, one pass, no
    wide part. What differs: ids are hashed into 2^20 buckets a column (theirs: up to
    40 million rows a table, several ids in each field, made up); the numeric columns
    go into the cross layers as they are and as bins (theirs: through an MLP of
    512-256-128); the rate rises over 2,000 batches and falls to a tenth over the other
    62,000 of 23 days.

    Adagrad's initial accumulator is next to nothing (theirs: 0). Gradients of a mean
    over 65,536 rows are so small that under the usual 0.1 the tables would hardly move.

    The tables take 13 GiB, Adagrad's sums as much again, and so does each checkpoint.

    Not measured: nobody here has trained on this set. Neither the rise and fall of the
    rate nor the number of buckets was tuned.

    Source: mlcommons/training, recommendation_v2/torchrec_dlrm: README.MD and
    dlrm_main.py.
    """
    return TrainConfig(
        data=DataConfig(schema="criteo_1tb", batch_size=65536),
        model=WideDeepConfig(
            wide=False,
            embedding_dim=128,
            interaction="dcn",
            cross_layers=3,
            cross_rank=512,
            hidden_units=(1024, 1024, 512, 256),
        ),
        optimizer=OptimizerConfig(
            name="adagrad",
            learning_rate=0.005,
            adagrad_accumulator=1e-14,
            warmup_steps=2000,
            schedule="linear",
            decay_steps=62_000,
            final_rate=0.1,
        ),
        train=TrainOptions(
            checkpoint_steps=8000, steps_per_execution=4, compute_dtype="auto"
        ),
        eval=EvalConfig(batch_size=65536, window_rows=10_000_000),
    )
