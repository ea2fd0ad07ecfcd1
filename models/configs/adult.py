"""The preset for the census data of the wide-and-deep tutorial."""

from ..config import DataConfig, OptimizerConfig, TrainConfig
from ..model_config import WideDeepConfig


def adult() -> TrainConfig:
    """For UCI's census income (adult.data, 32,561 rows): is an income above 50,000?

    The columns, hidden layers and crosses of TensorFlow's wide-and-deep tutorial. Of
    its two crosses education x occupation comes with the schema, as an id column of
    both parts; age x education x occupation is the wide part's alone. The tutorial
    goes 40 times over the rows in batches of 40; here rows are read once, for which
    Adam, lazy on the tables, is quick enough. To read blocks of them more often, set
    `data.epochs` and `data.shuffle`.

    Not measured: the rate was not tuned on this set.

    Source: tensorflow/models, official/r1/wide_deep/census_dataset.py.
    """
    return TrainConfig(
        data=DataConfig(schema="adult", batch_size=64),
        model=WideDeepConfig(
            crosses=("age_bin*education*occupation",),
            embedding_dim=8,
            hidden_units=(100, 75, 50, 25),
        ),
        optimizer=OptimizerConfig(name="adam", learning_rate=0.002),
    )
