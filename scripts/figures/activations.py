"""The figures and the table of docs/activations.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import smelu_tf
from smelu_tf.initializers import gain

from .drawing import plt, save

WIDTHS = (0.25, 0.5, 1.0, 2.0)
DEPTH = 10
_ORDERS = ("value", "slope", "second derivative")

Curves = dict[str, Callable[[tf.Tensor], tf.Tensor]]


def draw_smelu(path: Path) -> None:
    """SmeLU of several widths, with ReLU."""
    curves: Curves = {"ReLU": tf.nn.relu}
    curves |= {f"β = {beta:g}": smelu_tf.get(f"smelu:{beta}") for beta in WIDTHS}
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    _draw_derivatives(axes, curves)
    axes[0].set_title("SmeLU: value")
    save(figure, path)


def draw_family(path: Path) -> None:
    """gSmeLU in the upper row, RESCU's densities in the lower, at equal curvature."""
    upper: Curves = {
        "SmeLU": smelu_tf.smelu,
        "leaky: g₋ = 0.2, t = -0.2": smelu_tf.get("gsmelu:g_minus=0.2:t=-0.2"),
        "α = 0.25, β = 2": smelu_tf.get("gsmelu:0.25:2"),
        "g₊ = 0.5, t = 0.5": smelu_tf.get("gsmelu:g_plus=0.5:t=0.5"),
    }
    lower: Curves = {
        "uniform (SmeLU), β = 1": smelu_tf.smelu,
        "triangular, β = 2": smelu_tf.get("rescu:2:triangular"),
        "epanechnikov, β = 1.5": smelu_tf.get("rescu:1.5:epanechnikov"),
        "normal, β = 0.798": smelu_tf.get("rescu:0.798:normal"),
        "logistic (softplus), β = 0.5": smelu_tf.get("rescu:0.5:logistic"),
        "squareplus, β = 1": smelu_tf.get("rescu:1:squareplus"),
        "laplace, β = 1": smelu_tf.get("rescu:1:laplace"),
    }
    figure, axes = plt.subplots(2, 3, figsize=(12, 7.2), layout="constrained")
    _draw_derivatives(axes[0], upper)
    _draw_derivatives(axes[1], lower)
    axes[0, 0].set_title("gSmeLU: value")
    axes[1, 0].set_title("RESCU at equal curvature in 0: value")
    save(figure, path)


def draw_signal(path: Path) -> None:
    """What is left, layer by layer, of the variance between examples."""
    names = ("relu", "smelu:0.5", "smelu:1", "smelu:2", "smelu:4")
    initializers = {
        "Glorot": lambda name: (1.0, False),
        "He": lambda name: (math.sqrt(2), False),
        "SignalPreserving": lambda name: (gain(name), True),
    }
    figure, axes = plt.subplots(
        1, 3, figsize=(12, 3.6), layout="constrained", sharey=True
    )
    for axis, (title, settings) in zip(axes, initializers.items(), strict=True):
        for name in names:
            variances = signal_by_layer(name, *settings(name))
            axis.semilogy(range(1, DEPTH + 1), variances, marker=".", label=name)
        axis.set(title=title, xlabel="layer", ylim=(1e-6, 10))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("variance between examples")
    axes[0].legend(fontsize=8)
    save(figure, path)


def signal_by_layer(name: str, factor: float, zero_sum: bool) -> list[float]:
    """The variance over examples of pre-activations, mean over units, for each layer.

    Args:
        name: the activation between layers.
        factor: weights are N(0, factor² / width), those of the first layer N(0, 1 /
            width).
        zero_sum: whether the columns of kernels are made to sum to 0.
    """
    width, random = 512, np.random.default_rng(0)
    value = random.normal(size=(width, width))
    activation, variances = smelu_tf.get(name), []
    for layer in range(DEPTH):
        kernel = random.normal(size=(width, width)) / math.sqrt(width)
        if layer:
            kernel *= factor
            value = np.asarray(activation(tf.constant(value)))
        if zero_sum:
            kernel -= kernel.mean(axis=0)
        value = value @ kernel
        variances.append(float(value.var(axis=0).mean()))
    return variances


FIGURES: dict[str, Callable[[Path], None]] = {
    "smelu.png": draw_smelu,
    "family.png": draw_family,
    "signal.png": draw_signal,
}


def table_of_widths() -> str:
    """What a width means for normal pre-activations, as a table in Markdown."""
    rows = [
        "| β | inside | curvature at 0 | above ReLU at 0 | Swish | softplus | gain |",
        "|---|---|---|---|---|---|---|",
    ]
    for beta in (0.1, 0.25, 0.5, 1.0, 2.0, 4.0):
        share = math.erf(beta / math.sqrt(2))
        curvature = _derivatives(smelu_tf.get(f"smelu:{beta}"), np.zeros(1))[2][0]
        excess = float(smelu_tf.smelu(0.0, beta))
        rows.append(
            f"| {beta:g} | {share:.0%} | {curvature:.3g} | {excess:.3g} | "
            f"swish:{1 / beta:g} | rescu:{beta / 2:g}:logistic | "
            f"{gain(f'smelu:{beta}'):.3f} |"
        )
    return "\n".join(rows)


def _derivatives(
    function: Callable[[tf.Tensor], tf.Tensor], x: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Value, slope and second derivative."""
    tensor = tf.constant(x, tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(tensor)
        with tf.GradientTape() as inner:
            inner.watch(tensor)
            y = function(tensor)
        slope = inner.gradient(y, tensor)
    second = outer.gradient(slope, tensor, unconnected_gradients="zero")
    return tuple(np.asarray(value) for value in (y, slope, second))


def _draw_derivatives(axes: Any, curves: Curves) -> None:
    x = np.linspace(-3, 3, 1201)
    for name, function in curves.items():
        for axis, values in zip(axes, _derivatives(function, x), strict=True):
            axis.plot(x, values, label=name, linewidth=1.5)
    for axis, title in zip(axes, _ORDERS, strict=True):
        axis.set(title=title, xlabel="x")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
