"""One optimizer for both parts: FTRL-proximal for the wide one, another for the rest.

It is one object that serialises, checkpoints and works under mixed precision and
`tf.distribute`, and it only touches the rows of a table that a batch looked up. It
subclasses tf-keras's legacy optimizer because that one hands sparse gradients over
as they are.
"""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf
import tf_keras

from .config import OptimizerConfig

_EPSILON = 1e-7
_BETA_1, _BETA_2 = 0.9, 0.999


@tf_keras.saving.register_keras_serializable("smelu_tf")
class WideDeepOptimizer(tf_keras.optimizers.legacy.Optimizer):
    """FTRL-proximal for variables under `wide/`, Adam or Adagrad for all others.

    Adam is lazy: the moments of a table's row change only when it is looked up.

    Args:
        rule: `adam` or `adagrad`, for everything but the wide part.
        learning_rate: its rate.
        adagrad_accumulator: Adagrad's initial accumulator.
        wide_learning_rate: FTRL's rate.
        wide_accumulator: FTRL's initial accumulator.
        l1: FTRL's L1 strength.
        l2: FTRL's L2 strength.
        name: of the optimizer.
        **kwargs: of the base optimizer (`clipnorm` …).

    Source: McMahan et al., Ad Click Prediction, KDD 2013 (FTRL-proximal); Kingma &
    Ba, arXiv 1412.6980 (Adam); Duchi et al., JMLR 2011 (Adagrad).
    """

    def __init__(
        self,
        rule: str = "adam",
        learning_rate: float = 0.002,
        adagrad_accumulator: float = 0.1,
        wide_learning_rate: float = 0.05,
        wide_accumulator: float = 0.1,
        l1: float = 0.0,
        l2: float = 0.0,
        name: str = "WideDeepOptimizer",
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        if rule not in ("adam", "adagrad"):
            raise ValueError(f"rule: expected adam or adagrad, received {rule!r}.")
        self.rule = rule
        self.adagrad_accumulator = adagrad_accumulator
        self.wide_accumulator = wide_accumulator
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
            learning_rate=config.learning_rate,
            adagrad_accumulator=config.adagrad_accumulator,
            wide_learning_rate=config.wide_learning_rate,
            wide_accumulator=config.wide_accumulator,
            l1=config.l1,
            l2=config.l2,
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
        }

    def _create_slots(self, var_list: list[tf.Variable]) -> None:
        for var in var_list:
            if _is_wide(var):
                initial = tf.constant_initializer(self.wide_accumulator)
                self.add_slot(var, "accumulator", initial)
                self.add_slot(var, "linear")
            elif self.rule == "adagrad":
                initial = tf.constant_initializer(self.adagrad_accumulator)
                self.add_slot(var, "accumulator", initial)
            else:
                self.add_slot(var, "m")
                self.add_slot(var, "v")

    def _resource_apply_dense(
        self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None
    ) -> tf.Operation:
        if _is_wide(var):
            return tf.raw_ops.ResourceApplyFtrlV2(
                **self._ftrl_arguments(var), grad=grad
            )
        if self.rule == "adagrad":
            return tf.raw_ops.ResourceApplyAdagradV2(
                **self._adagrad_arguments(var), grad=grad
            )
        power_1, power_2 = self._adam_powers(var.dtype)
        return tf.raw_ops.ResourceApplyAdam(
            var=var.handle,
            m=self.get_slot(var, "m").handle,
            v=self.get_slot(var, "v").handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=self._decayed_lr(var.dtype),
            beta1=tf.cast(_BETA_1, var.dtype),
            beta2=tf.cast(_BETA_2, var.dtype),
            epsilon=tf.cast(_EPSILON, var.dtype),
            grad=grad,
            use_locking=self._use_locking,
        )

    def _resource_apply_sparse(
        self,
        grad: tf.Tensor,
        var: tf.Variable,
        indices: tf.Tensor,
        apply_state: Any = None,
    ) -> tf.Operation:
        """Updates distinct rows; the base class has summed repeated ones."""
        if _is_wide(var):
            return tf.raw_ops.ResourceSparseApplyFtrlV2(
                **self._ftrl_arguments(var), grad=grad, indices=indices
            )
        if self.rule == "adagrad":
            return tf.raw_ops.ResourceSparseApplyAdagradV2(
                **self._adagrad_arguments(var), grad=grad, indices=indices
            )
        return self._apply_lazy_adam(grad, var, indices)

    def _apply_lazy_adam(
        self, grad: tf.Tensor, var: tf.Variable, indices: tf.Tensor
    ) -> tf.Operation:
        dtype = var.dtype
        power_1, power_2 = self._adam_powers(dtype)
        rate = self._decayed_lr(dtype) * tf.sqrt(1.0 - power_2) / (1.0 - power_1)
        m_slot, v_slot = self.get_slot(var, "m"), self.get_slot(var, "v")
        m = _BETA_1 * tf.gather(m_slot, indices) + (1.0 - _BETA_1) * grad
        v = _BETA_2 * tf.gather(v_slot, indices) + (1.0 - _BETA_2) * tf.square(grad)
        row = tf.gather(var, indices) - rate * m / (tf.sqrt(v) + _EPSILON)
        return tf.group(
            *(
                tf.raw_ops.ResourceScatterUpdate(
                    resource=target.handle, indices=indices, updates=value
                )
                for target, value in ((m_slot, m), (v_slot, v), (var, row))
            )
        )

    def _adam_powers(self, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        step = tf.cast(self.iterations + 1, dtype)
        return tf.pow(tf.cast(_BETA_1, dtype), step), tf.pow(
            tf.cast(_BETA_2, dtype), step
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
            "epsilon": tf.cast(_EPSILON, var.dtype),
            "use_locking": self._use_locking,
        }


def _is_wide(var: tf.Variable) -> bool:
    # Below `wide/` but not below `deep/`: the model itself may be called either.
    return re.search(r"(^|/)wide/(?!(.*/)?deep/)", var.name) is not None
