"""What all figures share: matplotlib, without a display, and how they are saved."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib import ticker
except ImportError as error:
    raise ImportError(
        "figures need matplotlib, which is not installed: pip install 'smelu-tf[plot]'."
    ) from error

from smelu_tf.pipelines.files import replacing

__all__ = ["plain_fractions", "plt", "save", "ticker"]


def save(figure: Any, path: Path) -> None:
    """Writes a figure as PNG, and closes it."""
    # Without the version of matplotlib, which would change the file.
    settings = {"format": "png", "dpi": 100, "metadata": {"Software": None}}
    with replacing(path) as temporary:
        figure.savefig(temporary, **settings)
    plt.close(figure)


def plain_fractions(axis: Any, low: float, high: float) -> None:
    """Labels 0.01, 0.02, 0.05, 0.1 … instead of powers of ten."""
    exponents = range(math.floor(math.log10(low)), 1)
    steps: Iterable[int] = (1, 2, 5) if high / low < 1000 else (1,)
    ticks = [step * 10.0**exponent for exponent in exponents for step in steps]
    axis.set_ticks([tick for tick in ticks if low <= tick <= high])
    axis.set_major_formatter(ticker.FuncFormatter(lambda tick, _: f"{tick:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())
