"""Draws the activations for docs/activations.md, and prints its table of widths.

    python scripts/draw_activations.py --output_dir=docs/images

Three figures: SmeLU's value, slope and second derivative for several widths; those of
the rest of the family; and what initial weights leave of a signal in ten layers. Needs
matplotlib.
"""

from absl import flags

import command_line

_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "docs/images", "The folder that the figures are written to."
)


def main() -> None:
    from pathlib import Path

    from figures import activations

    folder = Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in activations.FIGURES.items():
        draw(folder / name)
        print(f"wrote {folder / name}")
    print()
    print(activations.table_of_widths())


if __name__ == "__main__":
    command_line.run(main)
