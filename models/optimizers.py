"""One optimizer for both parts: FTRL-proximal for the wide one, another for the rest.

It is one object that serialises, checkpoints and works under mixed precision and
`tf.distribute`, and it only touches the rows of a table that a batch looked up. It
subclasses tf-keras's legacy optimizer because that one hands sparse gradients over
as they are.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from .averaging import moved_average
from .config import OptimizerConfig
from .dense_updates import DENSE_UPDATES
from .placement import beside
from .schedules import WarmupDecay
from .table_rows import rows_of, with_distinct_rows
from .update_rules import ROW_UPDATES, SLOTS, ftrl_sums
from .variable_names import is_table, is_wide, tower_of


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

    Raises:
        ValueError: another rule, or a decay that is none.

    Source: McMahan et al., Ad Click Prediction, KDD 2013 (FTRL-proximal); Kingma &
    Ba, arXiv 1412.6980 (Adam); Duchi et al., JMLR 2011 (Adagrad); Polyak & Juditsky,
    Acceleration of Stochastic Approximation by Averaging, SIAM J. Control Optim. 1992.

    Examples:
        >>> with tf.name_scope("wide"):
        ...     weights = tf.Variable([0.0, 0.0])
        >>> optimizer = WideDeepOptimizer(l1=1.0)
        >>> _ = optimizer.apply_gradients([(tf.constant([0.5, 3.0]), weights)])
        >>> weights.numpy() == 0  # a gradient below l1 leaves a weight at 0
        array([ True, False])
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

        Examples:
            >>> weight = tf.Variable([1.0])
            >>> optimizer = WideDeepOptimizer("adagrad", 0.5, averaging=0.5)
            >>> for _ in range(2):
            ...     _ = optimizer.apply_gradients([(tf.constant([1.0]), weight)])
            >>> with optimizer.averages_in([weight]):
            ...     averaged = weight.numpy()
            >>> (averaged > weight.numpy()).tolist()  # it lags behind the weight
            [True]
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

    def _rule_of(self, var: tf.Variable) -> str:
        """The rule of a weight, as in `SLOTS`."""
        return "ftrl" if is_wide(var) else self.rule

    def _create_slots(self, var_list: list[tf.Variable]) -> None:
        for var in var_list:
            for name in SLOTS[self._rule_of(var)]:
                self.add_slot(var, name, self._initializer(var, name))
            if self.averaging:
                self.add_slot(var, "average")
                # `add_slot` has no dtype but the variable's.
                shape = var.shape[:1]
                with tf.variable_creator_scope(functools.partial(_as_steps, shape)):
                    self.add_slot(var, "averaged_at", shape=shape)

    def _initializer(self, var: tf.Variable, slot: str) -> Any:
        """What a slot of a weight begins with."""
        if slot == "linear":
            return functools.partial(self._linear_of, var)
        if slot == "accumulator":
            return tf.constant_initializer(
                self.wide_accumulator if is_wide(var) else self.adagrad_accumulator
            )
        return "zeros"

    def _linear_of(
        self, var: tf.Variable, shape: Any = None, dtype: Any = None, **_: Any
    ) -> tf.Tensor:
        weight = tf.convert_to_tensor(var)
        settings = self._settings("ftrl", weight.dtype)
        return ftrl_sums(weight, self.wide_accumulator, *settings)

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
        rule = self._rule_of(var)
        if rule == "adam" and is_table(var):
            return self._update_where_looked_up(grad, var)
        _, *slots = self._with_slots(var)
        return DENSE_UPDATES[rule](grad, var, slots, *self._settings(rule, var.dtype))

    def _update_where_looked_up(
        self, grad: tf.Tensor, var: tf.Variable
    ) -> tf.Operation:
        """Updates a table by lazy Adam, by a gradient of zeros where there is none."""
        targets = self._with_slots(var)
        rows = [tf.convert_to_tensor(target) for target in targets]
        updated = self._updated(var, grad, rows)
        is_new = tf.reduce_any(grad != 0, axis=1, keepdims=True)
        return tf.group(
            *(
                target.assign(tf.where(is_new, new, old))
                for target, new, old in zip(targets, updated, rows, strict=True)
            )
        )

    def _with_slots(self, var: tf.Variable) -> tuple[tf.Variable, ...]:
        """A weight and what its rule keeps of it."""
        slots = (self.get_slot(var, name) for name in SLOTS[self._rule_of(var)])
        return (var, *slots)

    def _updated(
        self, var: tf.Variable, grad: tf.Tensor, rows: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, ...]:
        """Rows of a weight and of its slots behind this step."""
        rule = self._rule_of(var)
        return ROW_UPDATES[rule](grad, *rows, *self._settings(rule, rows[0].dtype))

    def _settings(self, rule: str, dtype: tf.DType) -> tuple[tf.Tensor, ...]:
        """What a rule takes besides: its rate, then L1 and L2, or the step."""
        if rule == "ftrl":
            names = ("wide_learning_rate", "l1", "l2")
            return tuple(self._get_hyper(name, dtype) for name in names)
        rate = self._decayed_lr(dtype)
        return (rate, self.iterations + 1) if rule == "adam" else (rate,)

    def _transform_gradients(
        self, grads_and_vars: Sequence[tuple[Any, tf.Variable]]
    ) -> list[tuple[Any, tf.Variable]]:
        """Clips gradients that are already those of all replicas."""
        pairs = super()._transform_gradients(grads_and_vars)
        if not self.clip_norm:
            return pairs
        gradients = [with_distinct_rows(grad) for grad, _ in pairs]
        places: dict[str, list[int]] = {}
        for place, (_, var) in enumerate(pairs):
            if not is_wide(var):
                places.setdefault(tower_of(var), []).append(place)
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
            slices = with_distinct_rows(tf.IndexedSlices(grad, indices))
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
        targets = self._with_slots(var)
        rows = [rows_of(target, indices) for target in targets]
        updated = self._updated(var, grad, rows)
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


def _as_steps(
    size: tf.TensorShape, next_creator: Callable[..., tf.Variable], **kwargs: Any
) -> tf.Variable:
    """Creates a variable of numbers of steps, 0 at first, in another's place."""
    initial = functools.partial(tf.zeros, size, tf.int32)
    return next_creator(**{**kwargs, "initial_value": initial, "dtype": tf.int32})
