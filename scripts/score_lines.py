"""Scores raw text lines with an exported model; needs TensorFlow and nothing else.

Reads lines without the label (for Criteo: 39 tab-separated fields) from standard
input and writes `probability<tab>logit` for each to standard output:

    cut -f2- demo/data/day_6.tsv | python scripts/score_lines.py demo/export/1
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

_BATCH_SIZE = 4096


def main(saved_model: str) -> None:
    # The loaded object owns the variables: keep it as long as its signatures.
    loaded = tf.saved_model.load(saved_model)
    predict_lines = loaded.signatures["predict_lines"]
    lines = sys.stdin.buffer.read().splitlines()
    for start in range(0, len(lines), _BATCH_SIZE):
        batch = tf.constant(lines[start : start + _BATCH_SIZE], tf.string)
        scores = predict_lines(lines=batch)
        for probability, logit in zip(
            scores["probability"].numpy(), scores["logit"].numpy(), strict=True
        ):
            print(f"{probability:.9g}\t{logit:.9g}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        sys.exit(0 if "--help" in sys.argv else 2)
    main(sys.argv[1])
