"""Draws the report of a study again, and its plots as PNG.

    python scripts/draw_reproducibility.py --report=demo/reproducibility/report.json \\
        --output_dir=demo/plots

The report is that of scripts/reproducibility.py. Writes report.html and, for each
source of variation, init_tradeoff.png, init_rates.png, init_deciles.png and
init_course.png. Needs matplotlib.
"""

from absl import flags

import command_line

_REPORT = flags.DEFINE_string(
    "report", "demo/reproducibility/report.json", "The report.json of a study."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    "",
    "The folder that is written to; by default plots beside the report.",
)


def main() -> None:
    from pathlib import Path

    from figures import drawing, reproducibility, study_plots, study_text

    path = Path(_REPORT.value)
    report = reproducibility.read_json(path)
    folder = Path(_OUTPUT_DIR.value or path.parent / "plots")
    folder.mkdir(parents=True, exist_ok=True)
    for varies in study_text.sources(report):
        for name in study_plots.PLOTS:
            target = folder / f"{varies}_{name}.png"
            drawing.save(study_plots.draw(name, report, varies), target)
            print(f"wrote {target}")
    reproducibility.write_page(report, folder / "report.html")
    print(f"wrote {folder / 'report.html'}")


if __name__ == "__main__":
    command_line.run(main)
