"""The preset for Avazu's mobile ads."""

from ..config import (
    DataConfig,
    EvalConfig,
    OptimizerConfig,
    TrainConfig,
    TrainOptions,
    WideDeepConfig,
)


def avazu() -> TrainConfig:
    """For Kaggle's train.csv: 40.4 million rows of ten days, read once in their order.

    There are no numbers, only 21 id columns, two of which (the device and its address)
    have millions of values: a vocabulary keeps those that occur at least four times.
    For such columns a second pass tends to fit their single rows rather than the
    clicks to come, so there is one pass. Otherwise as `criteo_kaggle`, with a smaller
    MLP over the fewer inputs.

    Not measured: the set was not at hand.
    """
    return TrainConfig(
        data=DataConfig(schema="avazu", batch_size=4096),
        model=WideDeepConfig(embedding_dim=16, hidden_units=(512, 256, 128)),
        optimizer=OptimizerConfig(name="adam", learning_rate=0.001, warmup_steps=500),
        train=TrainOptions(checkpoint_steps=1000, compute_dtype="auto"),
        eval=EvalConfig(batch_size=16384, window_rows=1_000_000),
    )
