"""Figures on standard output: as aligned text or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def show_figures(figures: Mapping[str, Any], as_json: bool) -> None:
    """Prints figures by name on stdout: aligned lines, or one JSON object."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        text = value or "-"
        if isinstance(value, int | float):
            text = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
        print(f"{name.replace('_', ' '):<{width}}  {text}")


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of cells as `aligned` has them."""
    print(aligned(rows))


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
