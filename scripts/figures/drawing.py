"""What all figures share: matplotlib, without a display, and how they are saved."""

from __future__ import annotations

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

__all__ = ["plt", "save", "ticker"]


def save(figure: Any, path: Path) -> None:
    """Writes a figure as PNG, and closes it."""
    # Without the version of matplotlib, which would change the file.
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)
