"""The plots of a study: trade-off, deciles, course of the training, learning rates."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .drawing import plain_fractions, plt, ticker
from .study_text import Figures, Report, cells_of, title

_INK = "#0a0b0c"  # becomes the page's colour of text
_WIDTH = 5.0  # inches: so few that text can be read on a phone
_STYLE = {
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.parse_math": False,
    "axes.formatter.useoffset": False,
    "svg.fonttype": "none",  # text stays text
}
_LINES = ("-", "--", ":", "-.")
_NORMAL = 1.959964  # of a 95 % interval

Draw = Callable[[Report, str], Any]


def draw_tradeoff(report: Report, varies: str) -> Any:
    """Prediction difference against log loss, with the Pareto front.

    Args:
        report: of a study.
        varies: the source that the cells are of.

    Returns:
        The figure.
    """
    cells = cells_of(report["cells"], varies)
    best = {_key(cell): cell for cell in cells_of(report["best"], varies)}
    titles = [title(cell) for cell in best.values()]
    is_crowded = len(titles) > 6 or max(map(len, titles)) > 18
    figure, axis = _figure(height=4.4)
    texts, bars = [], []
    for number, (key, color, _) in enumerate(_styles(report, varies), start=1):
        line = {"color": color, "linewidth": 0.8, "markersize": 3, "alpha": 0.55}
        points = [_point(cell) for cell in _sorted(cells, key)]
        axis.plot(*zip(*points, strict=True), marker="o", zorder=2, **line)
        cell = best[key]
        x, y = _point(cell)
        error = _NORMAL * cell["log_loss_error"]
        down, up = _lengths(cell["pd"])
        axis.errorbar(
            x,
            y,
            xerr=error,
            yerr=[down, up],
            color=color,
            fmt="o",
            markersize=7,
            elinewidth=1.4,
            capsize=3,
            zorder=3,
            label=f"{number}: {title(cell)}",
        )
        texts.append((x, y, str(number) if is_crowded else title(cell), color))
        bars += [((x - error, y), (x + error, y)), ((x, y - down[0]), (x, y + up[0]))]
    axis.set(xlabel="log loss", ylabel="prediction difference")
    axis.xaxis.set_major_locator(ticker.MaxNLocator(5))
    axis.margins(0.12)
    _draw_front(axis, pareto_front([_point(cell) for cell in cells]))
    if is_crowded:
        _legend(figure)
    _place(figure, axis, texts, [(p, p) for p in map(_point, cells)] + bars)
    return figure


def draw_deciles(report: Report, varies: str) -> Any:
    """Prediction difference by the mean probability, in tenths of the test rows."""
    figure, axis = _figure()
    probabilities = []
    for cell, color, line in _best_lines(report, varies):
        slices = cell["pd_by_decile"]
        x = [max(item["probability"], 1e-9) for item in slices]
        y = [item["pd"] for item in slices]
        axis.plot(x, y, line, color=color, marker="o", markersize=4, label=title(cell))
        probabilities += x
    low, high = min(probabilities) / 1.2, max(probabilities) * 1.2
    if high > 10 * low:
        axis.set_xscale("log")
        plain_fractions(axis.xaxis, low, high)
    axis.set(xlabel="mean predicted probability", ylabel="prediction difference")
    _from_zero(axis)
    _legend(figure)
    return figure


def draw_course(report: Report, varies: str) -> Any:
    """Prediction difference on validation rows, over the rows trained on."""
    figure, axis = _figure()
    for cell, color, line in _best_lines(report, varies):
        x = [point["num_examples"] for point in cell["curve"]]
        y = [point["pd"] for point in cell["curve"]]
        axis.plot(x, y, line, color=color, marker="o", markersize=4, label=title(cell))
    axis.set(xlabel="rows trained on", ylabel="prediction difference")
    axis.xaxis.set_major_formatter(ticker.EngFormatter(sep=" "))
    axis.xaxis.set_major_locator(ticker.MaxNLocator(5))
    axis.set_xlim(left=0)
    _from_zero(axis)
    _legend(figure)
    return figure


def draw_rates(report: Report, varies: str) -> Any:
    """Log loss and prediction difference against the learning rate."""
    cells = cells_of(report["cells"], varies)
    chosen = {
        _key(cell): cell["learning_rate"] for cell in cells_of(report["best"], varies)
    }
    figure, axes = _figure(2, sharex=True, height=4.8)
    for key, color, line in _styles(report, varies):
        own = _sorted(cells, key)
        rates = [cell["learning_rate"] for cell in own]
        losses = [cell["log_loss"] for cell in own]
        errors = [_NORMAL * cell["log_loss_error"] for cell in own]
        pds = [cell["pd"]["mean"] for cell in own]
        lengths = [
            [part for cell in own for part in _lengths(cell["pd"])[end]]
            for end in (0, 1)
        ]
        bars = {"color": color, "linestyle": line, "elinewidth": 1, "marker": "."}
        axes[0].errorbar(rates, losses, yerr=errors, label=title(own[0]), **bars)
        axes[1].errorbar(rates, pds, yerr=lengths, **bars)
        at = rates.index(chosen[key])
        ring = {"s": 80, "facecolors": "none", "edgecolors": color, "zorder": 4}
        axes[0].scatter(rates[at], losses[at], **ring)
        axes[1].scatter(rates[at], pds[at], **ring)
    rates = sorted({cell["learning_rate"] for cell in cells})
    axes[0].set_xscale("log")
    labels = [f"{rate:g}" for rate in rates]
    axes[1].set_xticks(rates, labels, rotation=45 if len(rates) > 6 else 0)
    for axis in axes:
        axis.xaxis.set_minor_locator(ticker.NullLocator())
    axes[0].set_ylabel("log loss")
    axes[1].set(xlabel="learning rate", ylabel="prediction difference")
    _from_zero(axes[1])
    _legend(figure)
    return figure


PLOTS: dict[str, tuple[Draw, str]] = {
    "tradeoff": (
        draw_tradeoff,
        "Prediction difference against log loss, on the test rows: best is the lower "
        "left corner. Large points are the chosen cells, with 95 % intervals over "
        "models; small ones are other learning rates, joined in their order. Above and "
        "right of the dashed line, the Pareto front, some cell is better in both.",
    ),
    "rates": (
        draw_rates,
        "Log loss and prediction difference against the learning rate, with 95 % "
        "intervals over models. Rings: the rates that the validation rows have chosen.",
    ),
    "deciles": (
        draw_deciles,
        "Prediction difference of the chosen cells by predicted probability: a point "
        "is a tenth of the test rows.",
    ),
    "course": (
        draw_course,
        "Prediction difference of the chosen cells in the course of the training, on "
        "validation rows.",
    ),
}
"""What is drawn of each source, and what is written below it."""


def draw(name: str, report: Report, varies: str) -> Any:
    """A figure of `PLOTS`."""
    with plt.rc_context(_STYLE):
        return PLOTS[name][0](report, varies)


def as_svg(figure: Any, name: str) -> str:
    """A figure as an SVG element of a page, and closes it.

    Args:
        figure: as `draw` returns it.
        name: goes before all its ids, which have to differ within a page.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with plt.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    plt.close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    return re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one is below in one value and not above in the other.

    Args:
        points: two values each, of which less is better.

    Returns:
        From the least first value on, each once.
    """
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def _draw_front(axis: Any, front: Sequence[tuple[float, float]]) -> None:
    """Draws the border of what is no better than some point, from edge to edge."""
    right, top = axis.get_xlim()[1], axis.get_ylim()[1]
    points = [(front[0][0], top), *front, (right, front[-1][1])]
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    line = {"color": "0.55", "linewidth": 1, "linestyle": "--", "zorder": 1}
    axis.step(*zip(*points, strict=True), where="post", **line)


def _figure(num_rows: int = 1, height: float = 3.6, **options: Any) -> tuple[Any, Any]:
    size = (_WIDTH, height)
    figure, axes = plt.subplots(num_rows, figsize=size, layout="constrained", **options)
    for axis in [axes] if num_rows == 1 else axes:
        axis.grid(alpha=0.25)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure, axes


def _legend(figure: Any) -> None:
    """A legend below the axes, for which the figure grows."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    num_columns = max(1, min(len(labels), 60 // (max(map(len, labels)) + 8)))
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=num_columns,
        frameon=False,
        fontsize=9,
    )
    width, height = figure.get_size_inches()
    num_rows = -(-len(labels) // num_columns)
    figure.set_size_inches(width, height + 0.2 + 0.19 * num_rows)


def _from_zero(axis: Any) -> None:
    axis.set_ylim(0, None if axis.get_ylim()[1] > 1e-12 else 1)


def _key(cell: Figures) -> tuple[str, str]:
    return cell["activation"], cell["technique"]


def _styles(report: Report, varies: str) -> list[tuple[tuple[str, str], Any, str]]:
    """Activation and technique with colour and line, the same in all plots."""
    keys = list(dict.fromkeys(_key(cell) for cell in report["cells"]))
    there = {_key(cell) for cell in cells_of(report["cells"], varies)}
    return [
        (key, f"C{i % 10}", _LINES[i // 10 % len(_LINES)])
        for i, key in enumerate(keys)
        if key in there
    ]


def _best_lines(report: Report, varies: str) -> Iterator[tuple[Figures, Any, str]]:
    best = {_key(cell): cell for cell in cells_of(report["best"], varies)}
    for key, color, line in _styles(report, varies):
        yield best[key], color, line


def _sorted(cells: Sequence[Figures], key: tuple[str, str]) -> list[Figures]:
    own = [cell for cell in cells if _key(cell) == key]
    return sorted(own, key=lambda cell: cell["learning_rate"])


def _point(cell: Figures) -> tuple[float, float]:
    return cell["log_loss"], cell["pd"]["mean"]


def _lengths(pd: Mapping[str, Any]) -> list[list[float]]:
    """How far an interval reaches down and up; rounding leaves none below 0."""
    if pd["low"] is None:
        return [[0.0], [0.0]]
    return [[max(0.0, pd["mean"] - pd["low"])], [max(0.0, pd["high"] - pd["mean"])]]


def _place(
    figure: Any,
    axis: Any,
    texts: Sequence[tuple[float, float, str, Any]],
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]],
) -> None:
    """Writes texts beside their points, where they cover no line and no other text.

    Lines are level or upright, from one point to another; a point is a line too.

    Where there is no such place, farther away, with a line to the point.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what is written now moves nothing
    renderer = figure.canvas.get_renderer()
    inside = axis.get_window_extent(renderer)
    taken: list[Sequence[float]] = []
    written: list[Sequence[float]] = []
    for line in lines:
        start, end = axis.transData.transform(line)
        taken.append((*(start - 4), *(end + 4)))
    for x, y, text, color in texts:
        tried = []
        for distance in (9, 20, 34, 50, 70):
            for turn in (1, 7, 3, 5, 0, 4, 2, 6):  # between the bars first
                label = _label(axis, x, y, text, color, distance, turn * math.pi / 4)
                box = label.get_window_extent(renderer).extents
                cost = sum(_overlap(box, other) for other in taken)
                # Text over text is the worst.
                cost += 100 * sum(_overlap(box, other) for other in written)
                cost += _outside(box, inside.extents) + 1e-3 * distance
                tried.append((cost, distance, turn))
                label.remove()
        _, distance, turn = min(tried, key=lambda found: found[0])
        label = _label(axis, x, y, text, color, distance, turn * math.pi / 4)
        box = label.get_window_extent(renderer).extents
        written.append((*(box[:2] - 3), *(box[2:] + 3)))


def _label(
    axis: Any, x: float, y: float, text: str, color: Any, distance: float, angle: float
) -> Any:
    right, up = math.cos(angle), math.sin(angle)
    far = distance > 20
    return axis.annotate(
        text,
        (x, y),
        xytext=(distance * right, distance * up),
        textcoords="offset points",
        ha="left" if right > 0.1 else "right" if right < -0.1 else "center",
        va="bottom" if up > 0.1 else "top" if up < -0.1 else "center",
        fontsize=9.5,
        color=color,
        fontweight="bold",
        zorder=5,
        arrowprops={"arrowstyle": "-", "color": color, "lw": 0.8} if far else None,
    )


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """The area that two boxes have in common."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def _outside(box: Sequence[float], frame: Sequence[float]) -> float:
    """The area of a box that is not in a frame."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return float(area - _overlap(box, frame))
