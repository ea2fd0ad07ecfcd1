"""The configuration of a model's shape."""

# No `from __future__ import annotations` here: see config.py.
import dataclasses
from typing import Any

import smelu_tf
from smelu_tf.names import trainable_parameters

from .option_checks import (
    check,
    check_choice,
    check_integers,
    check_not_negative,
    check_texts,
)


@dataclasses.dataclass(frozen=True)
class WideDeepConfig:
    """The shape of the model.

    Attributes:
        wide: whether there is a wide part: linear over all columns and crosses.
        deep: whether there is a deep part: embeddings and an MLP.
        crosses: products of id columns for the wide part, `C1*C2` each.
        cross_buckets: ids of each cross; products beyond are folded into them.
        embedding_dim: the width of an id's embedding.
        column_dims: columns whose embedding has another width, `C3:32` each.
        embedding_stddev: the standard deviation of the embeddings' initial weights.
        tables: where the rows of ids are: `stacked`: in the memory of the device, those
            of all columns in one variable; or `tpu`: those of columns with many ids in
            tables of their own, which a TPU's embedding hardware divides among its
            chips and looks up. (Such a model trains and scores on CPUs too, slower.)
        tpu_table_ids: with `tables=tpu`, the most ids of a column that is stacked.
        interaction: what goes before the MLP: `none` (the inputs side by side), `dcn`
            (cross layers) or `dlrm` (products of all pairs of embeddings).
        cross_layers: how many layers `dcn` has.
        cross_rank: the rank of their kernels; 0: full.
        bottom_units: hidden layers of the MLP over the numeric columns in `dlrm`.
        hidden_units: the widths of the MLP's layers.
        bottleneck: the rank of the MLP's kernels where that saves weights; 0: full.
        activation: their activation: a name (`smelu:0.5`, `relu`, `swish` …), or one a
            layer with commas between them.
        trainable_parameters: parameters of these activations that are trained from
            there on, one value a layer: `('beta',)` of SmeLU and RESCU.
        normalization: `none`, or `layer`: of a layer's outputs before its activation.
        dropout: the part of a layer's outputs that is dropped in training.
        unknown_rate: the part of the ids of vocabularies that training takes for those
            of unknown values, so that the model learns what a new value is worth.
        initializer: of the MLP's kernels: `he`, or `signal_preserving` (see
            `smelu_tf.SignalPreserving`).
        towers: models of this shape that are trained together, each from initial
            weights of its own; the logit is the mean of theirs.
        tower_tables: `shared`: they differ in what follows the deep part's lookups;
            `separate`: in everything.
        serve: what scores: `ensemble`, all towers, or `first`: the first one alone,
            at the cost of one.

    Source: Cheng et al., Wide & Deep Learning, arXiv 1606.07792; of SmeLU, Shamir &
    Lin, arXiv 2202.06499.

    Examples:
        >>> shape = WideDeepConfig(hidden_units=(64, 32), activation="smelu:0.5")
        >>> shape.layer_activations()
        ('smelu:0.5', 'smelu:0.5')
        >>> WideDeepConfig(embedding_dim=0).validate()
        Traceback (most recent call last):
        ValueError: model.embedding_dim: expected an integer of 1 or more, received 0.
    """

    wide: bool = True
    deep: bool = True
    crosses: tuple[str, ...] = ()
    cross_buckets: int = 16384
    embedding_dim: int = 8
    column_dims: tuple[str, ...] = ()
    embedding_stddev: float = 0.001
    tables: str = "stacked"
    tpu_table_ids: int = 10_000
    interaction: str = "none"
    cross_layers: int = 2
    cross_rank: int = 0
    bottom_units: tuple[int, ...] = (64,)
    hidden_units: tuple[int, ...] = (128, 64, 32)
    bottleneck: int = 0
    activation: str = "smelu:1"
    trainable_parameters: tuple[str, ...] = ()
    normalization: str = "none"
    dropout: float = 0.0
    unknown_rate: float = 0.0
    initializer: str = "he"
    towers: int = 1
    tower_tables: str = "shared"
    serve: str = "ensemble"

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        check(self.wide or self.deep, "model.wide or model.deep", "true", False)
        check_texts(self, "model", "crosses", "column_dims", "trainable_parameters")
        for name in ("hidden_units", "bottom_units"):
            units = getattr(self, name)
            good = all(isinstance(n, int) and n > 0 for n in units)
            good &= bool(units) or name == "bottom_units"
            check(good, f"model.{name}", "positive integers", units)
        sizes = ("embedding_dim", "cross_buckets", "cross_layers", "towers")
        check_integers(self, "model", 1, *sizes)
        check_integers(self, "model", 0, "cross_rank", "bottleneck", "tpu_table_ids")
        check_not_negative(self, "model", "embedding_stddev")
        for name in ("dropout", "unknown_rate"):
            rate = getattr(self, name)
            check(0 <= rate < 1, f"model.{name}", "0 <= rate < 1", rate)
        check_choice(self, "model", "interaction", ("none", "dcn", "dlrm"))
        check_choice(self, "model", "normalization", ("none", "layer"))
        check_choice(self, "model", "initializer", ("he", "signal_preserving"))
        check_choice(self, "model", "tower_tables", ("shared", "separate"))
        check_choice(self, "model", "serve", ("ensemble", "first"))
        check_choice(self, "model", "tables", ("stacked", "tpu"))
        if self.tables == "tpu" and self.towers > 1:
            expected = "shared with model.tables=tpu"
            good = self.tower_tables == "shared"
            check(good, "model.tower_tables", expected, self.tower_tables)
        # Wide parts begin with zeros: theirs would be equal.
        good = self.towers == 1 or self.deep
        check(good, "model.towers", "1 without a deep part", self.towers)
        self.layer_activations()

    def layer_activations(self) -> tuple[Any, ...]:
        """The activation of each hidden layer: a name, a function or a layer.

        Raises:
            ValueError: an unknown one, or not as many as there are layers.
        """
        num_layers = len(self.hidden_units)
        if not isinstance(self.activation, str):
            return (self.activation,) * num_layers
        names = tuple(self.activation.split(","))
        for name in names:
            smelu_tf.get(name)
            for parameter in self.trainable_parameters:
                known = tuple(trainable_parameters(name))
                expected = f"parameters of {name} ({', '.join(known) or 'it has none'})"
                check(
                    parameter in known,
                    "model.trainable_parameters",
                    expected,
                    self.trainable_parameters,
                )
        if len(names) not in (1, num_layers):
            check(
                False,
                "model.activation",
                f"one activation, or {num_layers} with commas between them",
                self.activation,
            )
        return names if len(names) > 1 else names * num_layers
