"""Generated rows beside Criteo's published figures: columns by name, and oracles."""

import numpy as np

from smelu_tf.pipelines.generator_world import criteo_statistics

NUM_ROWS = 400_000
INTEGERS = [f"I{i}" for i in range(1, 14)]
CATEGORICALS = [f"C{i}" for i in range(1, 27)]
STATISTICS = criteo_statistics()


def present(rows, name):
    """The values of a column that are not missing."""
    values, missing = column(rows, name)
    return values[~missing]


def column(rows, name):
    """A column's values and which of them are missing."""
    if name in INTEGERS:
        j = INTEGERS.index(name)
        return rows.numeric[:, j], rows.numeric_missing[:, j]
    j = CATEGORICALS.index(name)
    return rows.categorical[:, j], rows.categorical_missing[:, j]


def five_sigma(rate, count):
    """Five standard deviations of a rate over `count` independent rows."""
    return 5 * np.sqrt(rate * (1 - rate) / count) + 1e-12


def reference_metrics(rows):
    """Log loss by definition; AUC from the ranks of the clicks."""
    p, y = rows.probability, rows.label == 1
    rank = np.empty(len(p))
    rank[np.argsort(p)] = np.arange(1, len(p) + 1)
    clicks, rate = y.sum(), y.mean()
    loss = -np.mean(np.log(np.where(y, p, 1 - p)))
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return {
        "num_rows": len(p),
        "click_rate": rate,
        "log_loss": loss,
        "normalized_entropy": loss / entropy,
        "auc": (rank[y].sum() - clicks * (clicks + 1) / 2)
        / (clicks * (len(y) - clicks)),
        "calibration": p.mean() / rate,
    }
