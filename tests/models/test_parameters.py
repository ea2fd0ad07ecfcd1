"""models/parameters.py: variables as a table."""

import dataclasses

import pytest
import tensorflow as tf
import tf_keras

from smelu_tf.models.embeddings import StackedEmbedding
from smelu_tf.models.mlp import MLP
from smelu_tf.models.parameters import parameter_table


class Model(tf_keras.Model):
    """Two parts: a table and a net."""

    def __init__(self):
        super().__init__(name="net")
        self.ids = StackedEmbedding((1000, 234), dim=8, name="ids")
        self.top = MLP((2,), ("relu",), dropout=0.5, name="deep")
        self({"ids": tf.zeros([1, 2], tf.int32)})

    def call(self, features):
        return self.top(tf.reshape(self.ids(features["ids"]), [-1, 16]))


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_every_variable_has_a_line_and_the_kinds_their_sums():
    got = rows(parameter_table(Model()))
    assert got == [
        ["part", "layer", "variable", "shape", "rows", "width", "numbers", "bytes"],
        ["ids", "table", *"1234 x 8 1,234 8 9,872 39,488".split()],
        ["deep", "hidden_0", "kernel", *"16 x 2 32 128".split()],
        ["bias", *"2 2 8".split()],
        ["dropout_0", "num_calls", "scalar", "1", "8"],
        ["total", "tables", "9,872", "39,488"],
        ["total", "dense", "weights", "34", "136"],
        ["total", "not", "trained", "1", "8"],
        ["total", "all", "9,907", "39,632"],
    ]


def test_lines_are_aligned():
    lines = parameter_table(Model()).splitlines()
    assert len({len(line) for line in lines}) == 1
    place = lines[0].index("variable")
    assert [line[place:].split()[0] for line in lines[1:4]] == [
        "table",
        "kernel",
        "bias",
    ]


def test_keras_s_own_layers_are_listed_too():
    model = tf_keras.Sequential(
        [tf_keras.layers.Embedding(10, 3, name="words"), tf_keras.layers.Dense(1)]
    )
    model(tf.zeros([1, 2], tf.int32))
    text = parameter_table(model)
    assert ["words", "embeddings", *"10 x 3 10 3 30 120".split()] in rows(text)
    assert rows(text)[-1] == ["total", "all", "34", "136"]


def test_pieces_of_a_variable_are_one():
    @dataclasses.dataclass
    class Piece:
        name: str
        shape: tf.TensorShape
        dtype: tf.DType = tf.float32

    pieces = [
        Piece(f"net/deep/top/kernel/part_{i}:0", tf.TensorShape([n, 4]))
        for i, n in enumerate((3, 2))
    ]

    class Sharded:
        name = "net"
        submodules = ()
        variables = trainable_variables = pieces

    assert rows(parameter_table(Sharded()))[1] == (
        ["deep", "top", "kernel", *"5 x 4 20 80".split()]
    )


def test_a_model_that_is_not_built_is_refused():
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)], name="net")
    with pytest.raises(ValueError, match="have not yet been created"):
        parameter_table(model)
