"""One optimizer for both parts: FTRL-proximal for the wide one, another for the rest.

It is one object that serialises, checkpoints and works under mixed precision and
`tf.distribute`, and it only touches the rows of a table that a batch looked up. It
subclasses tf-keras's legacy optimizer because that one hands sparse gradients over
as they are.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from .averaging import moved_average
from .config import OptimizerConfig
from .placement import beside
from .schedules import WarmupDecay

EPSILON = 1e-7
"""What Adam's and Adagrad's roots are kept from 0 by."""

BETA_1, BETA_2 = 0.9, 0.999
"""Adam's decays of the mean and of the mean square of gradients."""

NUM_SLOTS = {"adam": 2, "adagrad": 1, "ftrl": 2}
"""How many numbers each rule keeps of a weight."""


@tf_keras.saving.register_keras_serializable("smelu_tf")
class WideDeepOptimizer(tf_keras.optimizers.legacy.Optimizer):
    """FTRL-proximal for variables under `wide/`, Adam or Adagrad for all others.

    Adam is lazy: the moments of a table's row change only when it is looked up. Rows of
    a table that a batch did not look up are neither read nor written. (Of a table whose
    gradient is dense, as XLA needs it, all are read; rows of a gradient of zeros are
    left as they are.)

    With `averaging` each weight has a moving average besides, which `averages_in` puts
    in its place to predict with. Its formula is that of `averaging.part_kept`. What
    happens to the average of a row while nothing looks it up follows from the number of
    steps: it is brought up to date when the row is looked up, or the average wanted.

    Args:
        rule: `adam` or `adagrad`, for everything but the wide part.
        learning_rate: its rate: a number, or a schedule of numbers. (FTRL's formula has
            one rate for all steps, and rates of its own for each weight.)
        adagrad_accumulator: Adagrad's initial accumulator.
        wide_learning_rate: FTRL's rate.
        wide_accumulator: FTRL's initial accumulator.
        l1: FTRL's L1 strength.
        l2: FTRL's L2 strength.
        clip_norm: the norm that the gradients of all that is not wide, taken together,
            are scaled down to where it is larger; 0: never. Towers with tables of
            their own have norms of their own.
        averaging: the decay of the weights' moving average, below 1; 0: there is none.
        name: of the optimizer.
        **kwargs: of the base optimizer.

    Source: McMahan et al., Ad Click Prediction, KDD 2013 (FTRL-proximal); Kingma &
    Ba, arXiv 1412.6980 (Adam); Duchi et al., JMLR 2011 (Adagrad); Polyak & Juditsky,
    Acceleration of Stochastic Approximation by Averaging, SIAM J. Control Optim. 1992.
    """

    def __init__(
        self,
        rule: str = "adam",
        learning_rate: float | WarmupDecay = 0.002,
        adagrad_accumulator: float = 0.1,
        wide_learning_rate: float = 0.05,
        wide_accumulator: float = 0.1,
        l1: float = 0.0,
        l2: float = 0.0,
        clip_norm: float = 0.0,
        averaging: float = 0.0,
        name: str = "WideDeepOptimizer",
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        if rule not in ("adam", "adagrad"):
            raise ValueError(f"rule: expected adam or adagrad, received {rule!r}.")
        if not 0 <= averaging < 1:
            raise ValueError(
                f"averaging: expected 0 <= decay < 1, received {averaging!r}."
            )
        self.rule = rule
        self.adagrad_accumulator = adagrad_accumulator
        self.wide_accumulator = wide_accumulator
        self.clip_norm = clip_norm
        self.averaging = averaging
        self._set_hyper("learning_rate", kwargs.get("lr", learning_rate))
        self._set_hyper("decay", self._initial_decay)
        self._set_hyper("wide_learning_rate", wide_learning_rate)
        self._set_hyper("l1", l1)
        self._set_hyper("l2", l2)

    @classmethod
    def of(cls, config: OptimizerConfig) -> WideDeepOptimizer:
        """The optimizer that a configuration describes."""
        return cls(
            rule=config.name,
            learning_rate=WarmupDecay.of(config),
            adagrad_accumulator=config.adagrad_accumulator,
            wide_learning_rate=config.wide_learning_rate,
            wide_accumulator=config.wide_accumulator,
            l1=config.l1,
            l2=config.l2,
            clip_norm=config.clip_norm,
            averaging=config.averaging,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "rule": self.rule,
            "learning_rate": self._serialize_hyperparameter("learning_rate"),
            "decay": self._serialize_hyperparameter("decay"),
            "adagrad_accumulator": self.adagrad_accumulator,
            "wide_learning_rate": self._serialize_hyperparameter("wide_learning_rate"),
            "wide_accumulator": self.wide_accumulator,
            "l1": self._serialize_hyperparameter("l1"),
            "l2": self._serialize_hyperparameter("l2"),
            "clip_norm": self.clip_norm,
            "averaging": self.averaging,
        }

    @property
    def rate(self) -> float | Callable[[], tf.Tensor]:
        """`learning_rate`, or where a schedule gives it what returns that of now."""
        rate = self._get_hyper("learning_rate")
        if callable(rate):
            return lambda: rate(self.iterations)
        return float(tf.convert_to_tensor(rate))

    @contextlib.contextmanager
    def averages_in(self, variables: Sequence[tf.Variable]) -> Iterator[None]:
        """Gives variables the averages of their weights, and their weights back then.

        Without `averaging` nothing happens. It takes time and memory for all rows of
        all tables, unlike a step.

        Args:
            variables: trained by this optimizer.

        Example:
            >>> with optimizer.averages_in(model.trainable_variables):
            ...     logits = model(features)
        """
        if not self.averaging:
            yield
            return
        weights = []
        for var in variables:
            with beside(var):
                weights.append(tf.identity(tf.convert_to_tensor(var)))
        try:
            self.assign_averages(variables)
            yield
        finally:
            for var, weight in zip(variables, weights, strict=True):
                var.assign(weight)

    def assign_averages(self, variables: Sequence[tf.Variable]) -> None:
        """Gives variables the averages of their weights, for good: as they are served.

        What is trained then goes on from the averages; without `averaging` nothing
        happens.

        Args:
            variables: trained by this optimizer.
        """
        if not self.averaging:
            return
        step = tf.convert_to_tensor(self.iterations)
        for var in variables:
            with beside(var):
                average, since = map(tf.convert_to_tensor, self._average_slots(var))
                weight = tf.convert_to_tensor(var)
                var.assign(moved_average(self.averaging, average, weight, since, step))

    def _create_slots(self, var_list: list[tf.Variable]) -> None:
        for var in var_list:
            if _is_wide(var):
                initial = tf.constant_initializer(self.wide_accumulator)
                self.add_slot(var, "accumulator", initial)
                self.add_slot(var, "linear", functools.partial(self._linear_of, var))
            elif self.rule == "adagrad":
                initial = tf.constant_initializer(self.adagrad_accumulator)
                self.add_slot(var, "accumulator", initial)
            else:
                self.add_slot(var, "m")
                self.add_slot(var, "v")
            if self.averaging:
                self.add_slot(var, "average")
                # `add_slot` has no dtype but the variable's.
                shape = var.shape[:1]
                with tf.variable_creator_scope(functools.partial(_as_steps, shape)):
                    self.add_slot(var, "averaged_at", shape=shape)

    def _average_slots(self, var: tf.Variable) -> tuple[tf.Variable, tf.Variable]:
        """The average, and of each row the step that it is the average of."""
        return self.get_slot(var, "average"), self.get_slot(var, "averaged_at")

    def _averaged(
        self,
        average: tf.Tensor,
        since: tf.Tensor,
        before: tf.Tensor,
        after: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Averages and their steps behind this step, which changed the weights."""
        step = tf.cast(self.iterations + 1, since.dtype)
        # Where parameter servers' workers overtake each other, a row may be ahead.
        last = tf.maximum(since, step - 1)
        average = moved_average(self.averaging, average, before, since, last)
        average = moved_average(self.averaging, average, after, last, last + 1)
        return average, last + 1

    def _linear_of(
        self, var: tf.Variable, shape: Any = None, dtype: Any = None, **_: Any
    ) -> tf.Tensor:
        """The sums that give the weights that are there: FTRL makes weights of sums.

        Zero for weights of zero; of a warm start's they keep its first update from
        throwing them away.
        """
        weight = tf.convert_to_tensor(var)
        rate = self._get_hyper("wide_learning_rate", weight.dtype)
        l1, l2 = (
            self._get_hyper("l1", weight.dtype),
            self._get_hyper("l2", weight.dtype),
        )
        scale = tf.sqrt(tf.cast(self.wide_accumulator, weight.dtype)) / rate + 2.0 * l2
        return -weight * scale - tf.sign(weight) * l1

    def _resource_apply_dense(
        self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None
    ) -> tf.Operation:
        if not self.averaging:
            return self._update(grad, var)
        slots = self._average_slots(var)
        before, average, since = (tf.identity(v) for v in (var, *slots))
        with tf.control_dependencies([before]):
            update = self._update(grad, var)
        with tf.control_dependencies([update]):
            after = tf.identity(var)
        updated = self._averaged(average, since, before, after)
        return tf.group(
            *(slot.assign(value) for slot, value in zip(slots, updated, strict=True))
        )

    def _update(self, grad: tf.Tensor, var: tf.Variable) -> tf.Operation:
        """Updates all of a weight, by TensorFlow's own operations."""
        if _is_wide(var):
            return tf.raw_ops.ResourceApplyFtrlV2(
                **self._ftrl_arguments(var), grad=grad
            )
        if self.rule == "adagrad":
            return tf.raw_ops.ResourceApplyAdagradV2(
                **self._adagrad_arguments(var), grad=grad
            )
        if _is_table(var):
            return self._update_where_looked_up(grad, var)
        power_1, power_2 = self._adam_powers(var.dtype)
        return tf.raw_ops.ResourceApplyAdam(
            var=var.handle,
            m=self.get_slot(var, "m").handle,
            v=self.get_slot(var, "v").handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=self._decayed_lr(var.dtype),
            beta1=tf.cast(BETA_1, var.dtype),
            beta2=tf.cast(BETA_2, var.dtype),
            epsilon=tf.cast(EPSILON, var.dtype),
            grad=grad,
            use_locking=self._use_locking,
        )

    def _update_where_looked_up(
        self, grad: tf.Tensor, var: tf.Variable
    ) -> tf.Operation:
        """Updates a table by lazy Adam, by a gradient of zeros where there is none."""
        targets = (var, self.get_slot(var, "m"), self.get_slot(var, "v"))
        rows = [tf.convert_to_tensor(target) for target in targets]
        updated = self._lazy_adam(grad, *rows)
        is_new = tf.reduce_any(grad != 0, axis=1, keepdims=True)
        return tf.group(
            *(
                target.assign(tf.where(is_new, new, old))
                for target, new, old in zip(targets, updated, rows, strict=True)
            )
        )

    def _transform_gradients(
        self, grads_and_vars: Sequence[tuple[Any, tf.Variable]]
    ) -> list[tuple[Any, tf.Variable]]:
        """Clips gradients that are already those of all replicas."""
        pairs = super()._transform_gradients(grads_and_vars)
        if not self.clip_norm:
            return pairs
        gradients = [_with_distinct_rows(grad) for grad, _ in pairs]
        places: dict[str, list[int]] = {}
        for place, (_, var) in enumerate(pairs):
            if not _is_wide(var):
                places.setdefault(_tower_of(var), []).append(place)
        for own in places.values():
            clipped, _ = tf.clip_by_global_norm(
                [gradients[place] for place in own], self.clip_norm
            )
            for place, gradient in zip(own, clipped, strict=True):
                gradients[place] = gradient
        return [(grad, var) for grad, (_, var) in zip(gradients, pairs, strict=True)]

    def _resource_apply_sparse_duplicate_indices(
        self, grad: tf.Tensor, handle: tf.Variable, indices: tf.Tensor, **kwargs: Any
    ) -> tf.Operation:
        """Updates rows; those that come several times are summed first."""
        with beside(handle):
            slices = _with_distinct_rows(tf.IndexedSlices(grad, indices))
            return self._resource_apply_sparse(
                slices.values, handle, slices.indices, **kwargs
            )

    def _resource_apply_sparse(
        self,
        grad: tf.Tensor,
        var: tf.Variable,
        indices: tf.Tensor,
        apply_state: Any = None,
    ) -> tf.Operation:
        """Updates distinct rows.

        By a gather, plain arithmetic and a scatter each: several times faster than
        TensorFlow's sparse update operations, which take rows one after another.
        """
        names: tuple[str, ...]
        rule: Callable[..., tuple[tf.Tensor, ...]]
        if _is_wide(var):
            names, rule = ("accumulator", "linear"), self._ftrl
        elif self.rule == "adagrad":
            names, rule = ("accumulator",), self._adagrad
        else:
            names, rule = ("m", "v"), self._lazy_adam
        targets = (var, *(self.get_slot(var, name) for name in names))
        rows = [_rows_of(target, indices) for target in targets]
        updated = rule(grad, *rows)
        if self.averaging:
            slots = self._average_slots(var)
            average, since = (tf.gather(slot, indices) for slot in slots)
            targets += slots
            updated += self._averaged(average, since, rows[0], updated[0])
        return tf.group(
            *(
                tf.raw_ops.ResourceScatterUpdate(
                    resource=target.handle, indices=indices, updates=value
                )
                for target, value in zip(targets, updated, strict=True)
            )
        )

    def _ftrl(
        self, grad: tf.Tensor, row: tf.Tensor, n: tf.Tensor, z: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        dtype = row.dtype
        rate = self._get_hyper("wide_learning_rate", dtype)
        l1, l2 = self._get_hyper("l1", dtype), self._get_hyper("l2", dtype)
        new_n = n + tf.square(grad)
        root = tf.sqrt(new_n)
        z += grad - (root - tf.sqrt(n)) / rate * row
        shrunk = tf.clip_by_value(z, -l1, l1) - z
        return tf.math.divide_no_nan(shrunk, root / rate + 2.0 * l2), new_n, z

    def _adagrad(
        self, grad: tf.Tensor, row: tf.Tensor, total: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        total += tf.square(grad)
        step = grad / (tf.sqrt(total) + EPSILON)
        return row - self._decayed_lr(row.dtype) * step, total

    def _lazy_adam(
        self, grad: tf.Tensor, row: tf.Tensor, m: tf.Tensor, v: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        power_1, power_2 = self._adam_powers(row.dtype)
        rate = self._decayed_lr(row.dtype) * tf.sqrt(1.0 - power_2) / (1.0 - power_1)
        m = BETA_1 * m + (1.0 - BETA_1) * grad
        v = BETA_2 * v + (1.0 - BETA_2) * tf.square(grad)
        return row - rate * m / (tf.sqrt(v) + EPSILON), m, v

    def _adam_powers(self, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        step = tf.cast(self.iterations + 1, dtype)
        return tf.pow(tf.cast(BETA_1, dtype), step), tf.pow(
            tf.cast(BETA_2, dtype), step
        )

    def _ftrl_arguments(self, var: tf.Variable) -> dict[str, Any]:
        return {
            "var": var.handle,
            "accum": self.get_slot(var, "accumulator").handle,
            "linear": self.get_slot(var, "linear").handle,
            "lr": self._get_hyper("wide_learning_rate", var.dtype),
            "l1": self._get_hyper("l1", var.dtype),
            "l2": self._get_hyper("l2", var.dtype),
            "l2_shrinkage": tf.zeros([], var.dtype),
            "lr_power": tf.constant(-0.5, var.dtype),
            "use_locking": self._use_locking,
        }

    def _adagrad_arguments(self, var: tf.Variable) -> dict[str, Any]:
        return {
            "var": var.handle,
            "accum": self.get_slot(var, "accumulator").handle,
            "lr": self._decayed_lr(var.dtype),
            "epsilon": tf.cast(EPSILON, var.dtype),
            "use_locking": self._use_locking,
        }


def _as_steps(
    size: tf.TensorShape, next_creator: Callable[..., tf.Variable], **kwargs: Any
) -> tf.Variable:
    """Creates a variable of numbers of steps, 0 at first, in another's place."""
    initial = functools.partial(tf.zeros, size, tf.int32)
    return next_creator(**{**kwargs, "initial_value": initial, "dtype": tf.int32})


def _with_distinct_rows(grad: Any) -> Any:
    """A gradient whose rows come once each, those of one number summed."""
    if not isinstance(grad, tf.IndexedSlices) or _are_distinct(grad.indices):
        return grad
    distinct, places = tf.unique(grad.indices)
    summed = tf.math.unsorted_segment_sum(grad.values, places, tf.size(distinct))
    return tf.IndexedSlices(summed, distinct, grad.dense_shape)


def _are_distinct(indices: tf.Tensor) -> bool:
    """Whether row numbers are known to be distinct: what `tf.unique` has returned."""
    if tf.executing_eagerly():
        return False
    indices = _origin(indices)
    return indices.op.type in ("Unique", "UniqueV2") and indices.value_index == 0


def _rows_of(table: tf.Variable, indices: tf.Tensor) -> tf.Tensor:
    """The rows of a table: what the forward pass has read of it, where it has."""
    if not tf.executing_eagerly():
        indices = _origin(indices)
        # The update may be in a branch; the rows were read outside of it.
        handle = indices.graph.capture(table.handle)
        for reader in indices.consumers():
            if reader.type == "ResourceGather" and reader.inputs[0] is handle:
                return reader.outputs[0]
    return tf.gather(table, indices)


def _origin(indices: tf.Tensor) -> tf.Tensor:
    """The tensor that row numbers are, whatever they are called since."""
    while indices.op.type in ("Identity", "Reshape"):
        indices = indices.op.inputs[0]
    return indices


def _tower_of(var: tf.Variable) -> str:
    """The tower whose tables are its own that a variable belongs to."""
    found = re.search(r"(^|/)(tower_\d+)/(wide|deep)/", var.name)
    return "" if found is None else found[2]


def _is_wide(var: tf.Variable) -> bool:
    # Below `wide/` but not below `deep/`: the model itself may be called either.
    return re.search(r"(^|/)wide/(?!(.*/)?deep/)", var.name) is not None


def _is_table(var: tf.Variable) -> bool:
    """Whether a variable is the table of a `StackedEmbedding`."""
    return re.search(r"/table(/part_\d+)?(:\d+)?$", var.name) is not None
