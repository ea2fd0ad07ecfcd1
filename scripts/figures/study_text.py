"""What a study has found, in words and in tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]
Figures = Mapping[str, Any]
Table = list[list[str]]

_TITLES = {
    "relu": "ReLU",
    "smelu": "SmeLU",
    "gsmelu": "gSmeLU",
    "rescu": "RESCU",
    "swish": "Swish",
    "silu": "SiLU",
    "gelu": "GELU",
    "elu": "ELU",
    "selu": "SELU",
    "softplus": "Softplus",
}

_VARIES = {
    "init": "in the seed of their initial weights",
    "order": "in the order of the rows, shuffled in windows",
    "threads": "in the number of threads",
    "nothing": "in nothing",
}


def sources(report: Report) -> list[str]:
    """What differs between replicas, in the report's order."""
    return list(dict.fromkeys(cell["varies"] for cell in report["cells"]))


def cells_of(cells: Sequence[Figures], varies: str) -> list[Figures]:
    """The cells whose replicas differ in this."""
    return [cell for cell in cells if cell["varies"] == varies]


def title(cell: Figures) -> str:
    """A cell's activation and technique: `SmeLU 0.5, layer_norm`."""
    layers = [_title(name) for name in cell["activation"].split("/")]
    text = " / ".join(layers)
    return text if cell["technique"] == "none" else f"{text}, {cell['technique']}"


def reference_title(report: Report) -> str:
    """The title of what all is compared to."""
    return title(report["reference"])


def summary(report: Report, varies: str) -> list[str]:
    """Sentences about the chosen cells: the reference's, then one about each other."""
    return [*_about(report, varies)]


def best_table(report: Report) -> Table:
    """The chosen cells, headings first."""
    reference = reference_title(report)
    headings = (f"PD ÷ {reference}", f"log loss - {reference}")
    return _table(report, report["best"], headings, "compared")


def cell_table(report: Report) -> Table:
    """All cells, headings first; compared with the reference at the same rate."""
    reference = reference_title(report)
    headings = (
        f"PD ÷ {reference} at this rate",
        f"log loss - {reference} at this rate",
    )
    return _table(report, report["cells"], headings, "equal_rate")


def interval(figure: Figures | None, form: str) -> str:
    """`0.143 [0.139, 0.148]`, without brackets where there are no ends."""
    if figure is None:
        return "-"
    text = format(figure["mean"], form)
    if figure["low"] is None:
        return text
    return f"{text} [{figure['low']:{form}}, {figure['high']:{form}}]"


def _table(
    report: Report,
    cells: Sequence[Figures],
    comparisons: tuple[str, str],
    key: str,
) -> Table:
    several = len(sources(report)) > 1
    headings = ["activation", "technique", *(["varies"] if several else []), "rate"]
    headings += ["log loss", "AUC", "PD", *comparisons, "seconds"]
    rows = [headings]
    for cell in cells:
        compared = cell[key] or {}
        auc = cell["auc"]
        rows.append(
            [
                cell["activation"],
                cell["technique"],
                *([cell["varies"]] if several else []),
                f"{cell['learning_rate']:g}",
                f"{cell['log_loss']:.5f} ± {cell['log_loss_error']:.5f}",
                "-" if auc is None else f"{auc:.5f}",
                interval(cell["pd"], ".4f"),
                interval(compared.get("pd_ratio"), ".3f"),
                interval(compared.get("log_loss_difference"), "+.5f"),
                f"{cell['seconds']:,.0f}",
            ]
        )
    return rows


def _about(report: Report, varies: str) -> Iterator[str]:
    best = cells_of(report["best"], varies)
    (reference,) = [cell for cell in best if cell["compared"] is None]
    name = title(reference)
    begin = (
        f"{reference['num_replicas']} models of each kind that differ {_VARIES[varies]}"
    )
    if reference["pd"]["mean"] == 0:
        yield f"{begin}: those of {name} agree to the last bit."
    else:
        yield (
            f"{begin}: two of {name} differ by {_percent(reference['pd']['mean'])} of "
            "their mean prediction"
            f"{_in_brackets(_percents(reference['pd']))}, averaged over "
            f"{report['num_rows']['test']:,} rows that none was trained on."
        )
    for cell in best:
        if cell is not reference:
            yield f"{_pd_sentence(cell, name)}, {_loss_phrase(cell['compared'])}."


def _pd_sentence(cell: Figures, reference: str) -> str:
    ratio = cell["compared"]["pd_ratio"]
    if cell["pd"]["mean"] == 0:
        return f"Those of {title(cell)} agree to the last bit"
    if ratio is None:
        return f"Two of {title(cell)} differ by {_percent(cell['pd']['mean'])}"
    ends = chance = ""
    if ratio["low"] is not None:
        ends = _in_brackets(
            _range(ratio["low"] - 1, ratio["high"] - 1, _change, ("less", "more"))
        )
        if ratio["low"] <= 1 <= ratio["high"]:
            chance = ", which may be chance"
    change = _directed(ratio["mean"] - 1, _change, ("less", "more"))
    return (
        f"{title(cell)} has {change} prediction difference than {reference}"
        f"{chance}{ends}"
    )


def _loss_phrase(compared: Figures) -> str:
    difference = compared["log_loss_difference"]
    words = ("lower", "higher")
    ends = _range(difference["low"], difference["high"], _loss, words)
    return f"at a log loss {_directed(difference['mean'], _loss, words)} ({ends})"


def _directed(value: float, text: Any, words: tuple[str, str]) -> str:
    """A change as its size and its direction: `33 % less`."""
    return f"{text(abs(value))} {words[value > 0]}"


def _range(low: float, high: float, text: Any, words: tuple[str, str]) -> str:
    """An interval of changes: `30 % to 36 % less`, or `5 % less to 1 % more`."""
    if low > 0 or high < 0:
        near, far = sorted((abs(low), abs(high)))
        return f"{text(near)} to {text(far)} {words[low > 0]}"
    return f"{_directed(low, text, words)} to {_directed(high, text, words)}"


def _percents(figure: Figures) -> str:
    if figure["low"] is None:
        return ""
    return f"{_percent(figure['low'])} to {_percent(figure['high'])}"


def _in_brackets(ends: str) -> str:
    return f" (95 % interval: {ends})" if ends else ""


def _percent(part: float) -> str:
    """As `14.3 %`; below one percent one digit, `0.02 %`."""
    value = 100 * part
    return f"{value:.1f} %" if value >= 0.95 or value == 0 else f"{value:.1g} %"


def _change(part: float) -> str:
    """As `33 %`, below ten percent as `7.5 %`."""
    return f"{100 * part:.0f} %" if part >= 0.0995 else f"{100 * part:.1f} %"


def _loss(value: float) -> str:
    return f"{value:.4f}" if value >= 0.00095 else f"{value:.5f}"


def _title(name: str) -> str:
    word, *parameters = name.split(":")
    return " ".join([_TITLES.get(word, word), *parameters])
