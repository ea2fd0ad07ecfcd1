"""Scores raw text lines with an exported model; needs TensorFlow and nothing else.

Reads lines without the label (for Criteo: 39 tab-separated fields) from standard
input and writes `probability<tab>logit` for each to standard output:

    cut -f2- demo/data/day_6.tsv | python scripts/score_lines.py demo/export/1
"""

import itertools
import os
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

_BATCH_SIZE = 4096


def main(saved_model: str) -> None:
    # The loaded object owns the variables: keep it as long as its signatures.
    loaded = tf.saved_model.load(saved_model)
    predict_lines = loaded.signatures["predict_lines"]
    num_lines = 0
    while lines := list(itertools.islice(sys.stdin.buffer, _BATCH_SIZE)):
        try:
            scores = predict_lines(lines=tf.constant(lines, tf.string))
        except tf.errors.InvalidArgumentError as error:
            found = re.search(r"row (\d+) of the batch, from 0: (.*?)\]", error.message)
            if found is None:
                raise
            line = num_lines + int(found[1]) + 1
            raise ValueError(f"line {line}: {found[2]}") from None
        num_lines += len(lines)
        for probability, logit in zip(
            scores["probability"].numpy(), scores["logit"].numpy(), strict=True
        ):
            print(f"{probability:.9g}\t{logit:.9g}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        sys.exit(0 if "--help" in sys.argv else 2)
    try:
        main(sys.argv[1])
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough: nothing is left to flush to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, tf.errors.OpError) as error:
        print(f"score_lines.py: {error}", file=sys.stderr)
        sys.exit(2)
