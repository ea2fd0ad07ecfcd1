"""The report of a study as one page that needs nothing else."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from smelu_tf.pipelines.dataclass_json import load_json
from smelu_tf.pipelines.files import replacing

from . import study_plots
from .study_text import (
    Report,
    best_table,
    cell_table,
    cells_of,
    reference_title,
    sources,
    summary,
)

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 0 auto;
  padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2rem; }
ul { padding-left: 1.2rem; } li { margin: .4rem 0; }
p, li, dd { max-width: 46rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem; }
table { border-collapse: collapse; font-size: .875rem; width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; background: var(--soft); }
td:nth-child(-n+2), th:nth-child(-n+2) { text-align: left; }
tr + tr td { border-top: 1px solid var(--line); }
.plots { display: grid; gap: 1.5rem; margin: 1.5rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; min-width: 0; } svg { width: 100%; height: auto; }
figcaption, .note { font-size: .875rem; opacity: .85; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem;
  font-size: .875rem; }
dt { font-weight: 600; } dd { margin: 0; min-width: 0; }
"""

_SOURCES = {
    "init": "initial weights",
    "order": "order of the rows",
    "threads": "number of threads",
    "nothing": "nothing (the control)",
}

_RULE = (
    "Of each activation and technique the learning rate was chosen by validation rows, "
    "the last of the rows trained on, which each model predicts before it learns them: "
    "of the rates whose log loss there is at most one standard error above the least "
    "one (the error of the mean difference over the same rows), the one with the least "
    "prediction difference. All figures here are of the test rows."
)
_FIGURES = (
    "The prediction difference (PD) of two models is the mean over rows of 2·|p − q| ÷ "
    "(p + q); here it is the mean over all pairs of models, a fraction. Intervals are "
    "of 95 %: those of PD and its ratio by a bootstrap over models; those of the "
    "difference of log losses from its error over rows, paired, and over models. "
    "Behind ± is the standard error over models."
)


_KEYS = ("study", "config", "data", "reference", "num_rows", "cells", "best")


def write_json(report: Report, path: Path) -> None:
    """Writes the report of a study as JSON, whole or not at all."""
    with replacing(path) as temporary:
        text = json.dumps(report, indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Report:
    """The report that `write_json` wrote; a ValueError names another file, or none."""
    if not path.is_file():
        raise ValueError(f"{path}: expected the report.json of a study, received none.")

    def checked(report: Report) -> Report:
        for key in _KEYS:
            if key not in report:
                raise ValueError(f"expected the report of a study, received no {key}.")
        return report

    return load_json(path, checked)


def write_page(report: Report, path: Path) -> None:
    """Writes the report of a study as HTML, whole or not at all.

    Args:
        report: as `smelu_tf.models.study_report` returns it, with `study`, `config` and
            `data` besides.
        path: of the file.
    """
    with replacing(path) as temporary:
        temporary.write_text(page(report), encoding="utf-8")


def page(report: Report) -> str:
    """The page as text."""
    reference = reference_title(report)
    parts = [
        "<h1>Do retrained models agree?</h1>",
        *(_summary(report, varies) for varies in sources(report)),
        "<h2>The chosen cells</h2>",
        _table(best_table(report), "The chosen cells"),
        f'<p class="note">{_text(_RULE)}</p>',
        *(_plots(report, varies) for varies in sources(report)),
        "<h2>All cells</h2>",
        _table(cell_table(report), "All cells"),
        f'<p class="note">Compared with {_text(reference)} at the same rate.</p>',
        "<h2>How it was measured</h2>",
        f"<p>{_text(_FIGURES)}</p>",
        _settings(report),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>Reproducibility</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n"
        "</body>\n</html>\n"
    )


def _summary(report: Report, varies: str) -> str:
    first, *others = summary(report, varies)
    items = "".join(f"<li>{_text(line)}</li>" for line in others)
    return f"<p>{_text(first)}</p>" + (f"<ul>{items}</ul>" if items else "")


def _plots(report: Report, varies: str) -> str:
    heading = ""
    if len(sources(report)) > 1:
        heading = f"<h2>What varies: {_text(_SOURCES[varies])}</h2>"
    return f'{heading}<div class="plots">{"".join(_figures(report, varies))}</div>'


def _figures(report: Report, varies: str) -> Iterator[str]:
    cells = cells_of(report["cells"], varies)
    several = len({cell["learning_rate"] for cell in cells}) > 1
    for name, (_, caption) in study_plots.PLOTS.items():
        if name == "rates" and not several:
            continue
        figure = study_plots.draw(name, report, varies)
        svg = study_plots.as_svg(figure, f"{varies}-{name}")
        yield f"<figure>{svg}<figcaption>{_text(caption)}</figcaption></figure>"


def _table(rows: Sequence[Sequence[str]], name: str) -> str:
    """A table that scrolls in a box of its own, by keys too."""
    head, *body = rows
    cells = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    lines = [f"<thead><tr>{cells}</tr></thead><tbody>"]
    for row in body:
        lines.append(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>")
    return (
        f'<div class="scroll" role="region" aria-label="{_text(name)}" tabindex="0">'
        f"<table>{''.join(lines)}</tbody></table></div>"
    )


def _settings(report: Report) -> str:
    rows = report["num_rows"]
    settings: dict[str, Any] = {
        "rows trained on": f"{rows['train']:,}",
        "of these, validation": f"{rows['validation']:,}",
        "test rows": f"{rows['test']:,}",
    }
    settings |= {f"{name} data": files for name, files in report["data"].items()}
    study, config = report["study"], report["config"]
    settings["models a cell"] = study["num_replicas"]
    if "order" in study["varies"]:
        settings["window of the order"] = f"{study['order_window']:,} rows"
    if study.get("warm_start"):
        settings["begins with"] = study["warm_start"]
    for section in ("data", "model", "optimizer", "train"):
        settings |= {
            f"{section}.{name}": _plain(value)
            for name, value in config[section].items()
            if f"{section}.{name}" in _SHOWN
        }
    items = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>"
        for name, value in settings.items()
    )
    return f"<dl>{items}</dl>"


_SHOWN = {
    "data.schema",
    "data.batch_size",
    "model.wide",
    "model.deep",
    "model.crosses",
    "model.embedding_dim",
    "model.embedding_stddev",
    "model.interaction",
    "model.hidden_units",
    "model.normalization",
    "model.initializer",
    "model.dropout",
    "optimizer.name",
    "optimizer.wide_learning_rate",
    "optimizer.schedule",
    "train.compute_dtype",
    "train.deterministic",
}


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _text(value: Any) -> str:
    return html.escape(str(value))
