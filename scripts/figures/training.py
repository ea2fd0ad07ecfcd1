"""The figures of a training run: its course, its reliability, its slices."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .drawing import plain_fractions, plt, save, ticker

_MAX_SLICES = 20  # of a column, in a figure
_COLUMNS_A_ROW = 3

Row = Mapping[str, Any]


def read_progress(path: Path) -> list[dict[str, Any]]:
    """The lines of a progress.jsonl; a last one that is half-written is left out.

    Raises:
        ValueError: there is no such file, no whole line in it, or a line that is none
            of a training run.
    """
    if not path.exists():
        raise ValueError(
            f"{path}: expected the progress.jsonl of a training run, received none."
        )
    texts = path.read_text(encoding="utf-8").splitlines()
    lines = []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            line["progressive"]["log_loss"], line["window"]["log_loss"]
        except (ValueError, KeyError, TypeError):
            if number == len(texts):
                break  # a run that was killed leaves the like
            raise ValueError(
                f"{path}, line {number}: expected a report of a training run, "
                f"received {text[:40]!r}."
            ) from None
        lines.append(line)
    if not lines:
        raise ValueError(f"{path}: expected at least one whole line, received none.")
    return lines


def draw_progress(lines: Sequence[Row], path: Path) -> None:
    """Log loss and normalised entropy over the rows.

    Args:
        lines: of progress.jsonl.
        path: of the PNG.
    """
    figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    window = lines[-1]["window"]["num_examples"]
    curves = {
        "progressive": ("all rows so far", {"color": "C0"}),
        "window": (f"latest {window:,} rows", {"color": "C1"}),
        "validation": ("validation", {"color": "C2", "marker": "o", "markersize": 4}),
    }
    last = lines[-1]["num_examples"]
    for axis, name, title in (
        (axes[0], "log_loss", "Log loss"),
        (axes[1], "normalized_entropy", "Normalised entropy"),
    ):
        settled = []
        for section, (label, style) in curves.items():
            points = [
                (line["num_examples"], line[section][name])
                for line in lines
                if line.get(section, {}).get(name) is not None
            ]
            if points:
                axis.plot(*zip(*points, strict=True), label=label, **style)
            settled += [y for x, y in points if x >= 0.05 * last]
        # The first rows, of an untrained model, would flatten all others.
        if settled:
            margin = 0.05 * (max(settled) - min(settled)) or 0.01
            axis.set_ylim(min(settled) - margin, max(settled) + margin)
        axis.set_title(title)
        axis.set_xlabel("rows trained on")
        axis.set_xlim(0, 1.02 * last)
        axis.xaxis.set_major_formatter(ticker.EngFormatter(sep=" "))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("nats a row")
    axes[1].set_ylabel("log loss ÷ entropy of the mean label")
    if axes[1].get_ylim()[0] < 1 < axes[1].get_ylim()[1]:
        axes[1].axhline(1, color="0.5", linewidth=1, linestyle=":")
    axes[1].legend(fontsize=9)
    save(figure, path)


def draw_reliability(evaluation: Row, path: Path) -> None:
    """Mean label against mean prediction, and where the predictions lie.

    Args:
        evaluation: of metrics.json.
        path: of the PNG.
    """
    rows = evaluation["reliability"]
    figure, (axis, below) = plt.subplots(
        2,
        1,
        figsize=(6, 7),
        layout="constrained",
        sharex=True,
        height_ratios=(4, 1),
    )
    predictions = [row["prediction"] for row in rows]
    seen = [row for row in rows if row["label"] > 0]
    labels = [row["label"] for row in seen]
    low = min([*predictions, *labels]) / 1.5
    high = min(1.0, 1.5 * max([*predictions, *labels]))
    axis.plot([low, high], [low, high], color="0.5", linewidth=1, label="equal")
    axis.errorbar(
        [row["prediction"] for row in seen],
        labels,
        yerr=_lengths(
            labels,
            [row["label_low"] for row in seen],
            [row["label_high"] for row in seen],
        ),
        fmt="o",
        markersize=5,
        capsize=2,
        elinewidth=1,
        label="rows of about one prediction, with 95 % interval",
    )
    unseen = [row["prediction"] for row in rows if not row["label"]]
    if unseen:
        axis.plot(unseen, [low * 1.08] * len(unseen), "v", color="C3", label="no click")
    axis.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axis.set_ylabel("mean label")
    plain_fractions(axis.xaxis, low, high)
    plain_fractions(axis.yaxis, low, high)
    axis.set_title(
        f"Reliability: calibration {_text(evaluation['calibration'])}, "
        f"error {_text(evaluation['calibration_error'])}"
    )
    axis.legend(fontsize=9, loc="upper left")
    edges = _edges(predictions, low, high)
    total = sum(row["weight"] for row in rows)
    heights = [
        row["weight"] / total / math.log2(b / a)
        for row, a, b in zip(rows, edges, edges[1:], strict=False)
    ]
    below.stairs(heights, edges, fill=True, alpha=0.5)
    below.set_xlabel("mean prediction")
    below.set_ylabel("weight,\nshare a doubling")
    below.set_ylim(bottom=0)
    for each in (axis, below):
        each.grid(alpha=0.3)
    save(figure, path)


def draw_slices(slices: Mapping[str, Sequence[Row]], path: Path) -> None:
    """The calibration of each slice of each column.

    Args:
        slices: of the evaluation in metrics.json.
        path: of the PNG.
    """
    shown = {column: _with_calibration(rows) for column, rows in slices.items()}
    shown = {column: rows for column, rows in shown.items() if rows} or shown
    num_columns = min(len(shown), _COLUMNS_A_ROW)
    lengths = [len(rows) for rows in shown.values()]
    tallest = [
        max(4, *lengths[i : i + num_columns])
        for i in range(0, len(lengths), num_columns)
    ]
    heights = [1.2 + 0.24 * length for length in tallest]
    figure, axes = plt.subplots(
        len(heights),
        num_columns,
        figsize=(max(6, 4 * num_columns), 0.4 + sum(heights)),
        layout="constrained",
        squeeze=False,
        height_ratios=heights,
    )
    ratios = [row["calibration"] for rows in shown.values() for row in rows]
    # Farther out than 10 times the truth lie only slices of a few rows.
    farthest = max([2.0, *(min(max(r, 1 / r), 10.0) for r in ratios)])
    for i, (column, rows) in enumerate(shown.items()):
        axis = axes.flat[i]
        _draw_calibrations(axis, rows)
        axis.set_title(column)
        axis.set_ylim(tallest[i // num_columns] - 0.5, -0.5)
        _ratio_axis(axis, 1.15 * farthest)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    figure.suptitle("Calibration by slice (number of rows)")
    figure.supxlabel("mean prediction ÷ mean label, with 95 % interval", fontsize=10)
    save(figure, path)


def _draw_calibrations(axis: Any, rows: Sequence[Row]) -> None:
    places = range(len(rows))
    values = [row["calibration"] for row in rows]
    lows = [row["prediction"] / row["label_high"] for row in rows]
    highs = [row["prediction"] / row["label_low"] for row in rows]
    lengths = _lengths(values, lows, highs)
    axis.axvline(1, color="0.5", linewidth=1)
    axis.errorbar(values, places, xerr=lengths, fmt="o", markersize=5, elinewidth=1)
    labels = [f"{_short(row['value'])} ({_count(row['num_examples'])})" for row in rows]
    axis.set_yticks(places, labels, fontsize=9)


def _ratio_axis(axis: Any, highest: float) -> None:
    """A logarithmic axis of ratios around 1."""
    step = 2.0 if highest > 4 else math.sqrt(2)
    powers = range(-8, 9)
    ticks = [step**k for k in powers if 1 / highest < step**k < highest]
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axis.xaxis.set_minor_locator(ticker.NullLocator())
    axis.set_xlim(1 / highest, highest)
    axis.grid(alpha=0.3, axis="x")


def _with_calibration(rows: Sequence[Row]) -> list[Row]:
    """The slices with the most weight that have a calibration, in their order."""
    known = [row for row in rows if row["calibration"] is not None]
    by_weight = sorted(known, key=lambda row: -row["weight"])[:_MAX_SLICES]
    kept = {id(row) for row in by_weight}
    return [row for row in known if id(row) in kept]


def _lengths(
    values: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> list[list[float]]:
    """How far intervals reach down and up from values; rounding leaves none below 0."""
    return [
        [max(0.0, value - low) for value, low in zip(values, lows, strict=True)],
        [max(0.0, high - value) for value, high in zip(values, highs, strict=True)],
    ]


def _edges(middles: Sequence[float], low: float, high: float) -> list[float]:
    """What lies half-way between points on a logarithmic scale, and its ends."""
    between = [math.sqrt(a * b) for a, b in zip(middles, middles[1:], strict=False)]
    return [low, *between, high]


def _short(value: str, length: int = 18) -> str:
    return value if len(value) <= length else value[: length - 1] + "…"


def _count(number: int) -> str:
    if number < 100_000:
        return f"{number:,}"
    return str(ticker.EngFormatter(places=1, sep=" ")(number))


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
