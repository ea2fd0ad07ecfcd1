"""Joins MovieLens' three tables into one file that the preset `movielens` reads.

The rows come in the order of their times. MovieLens' terms: research use, and no
redistribution of the data.

    python scripts/join_movielens.py --data=ml-100k --output=movielens.tsv
    python scripts/train.py --data=movielens.tsv --config.data.schema=movielens \\
        --model_dir=films
"""

from absl import flags

import command_line

_DATA = flags.DEFINE_string(
    "data", "ml-100k", "The folder of MovieLens-100K's or -1M's files."
)
_OUTPUT = flags.DEFINE_string("output", "movielens.tsv", "The file to write.")
_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")


def main() -> None:
    from smelu_tf.pipelines import join_movielens

    num_rows = join_movielens(_DATA.value, _OUTPUT.value)
    figures = {"num_rows": num_rows, "output": _OUTPUT.value}
    command_line.show_figures(figures, _JSON.value)


if __name__ == "__main__":
    command_line.run(main)
