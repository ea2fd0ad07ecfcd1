"""What is said of a training that has diverged."""

from __future__ import annotations

import numpy as np

from smelu_tf.pipelines import Batch, Schema

from . import loss_scale
from .loss_scale import AnyOptimizer
from .steps import MAX_LOSS

ADVICE = (
    "the training diverged (a smaller learning rate, a warm-up or clipping may help)"
)
"""What may help where no value is to blame, for messages."""

# A feature this far from 0 is none that a model was made for: logarithms of 64-bit
# numbers stay below 50.
_MAX_VALUE = 1000.0


def suspects(batch: Batch, schema: Schema) -> list[str]:
    """The columns of a batch that hold values no model can learn from, worst first.

    Args:
        batch: the batch.
        schema: what its columns are.

    Returns:
        Of each such column a text: its name and its worst value, as the model has it.
        None of a column may stand out: then the weights are to blame.
    """
    columns: dict[str, np.ndarray] = {}
    numeric = np.asarray(batch.features["numeric"])
    for index, column in enumerate(schema.numeric):
        columns[column.name] = numeric[:, 2 * index]
    columns[schema.label.name] = np.asarray(batch.label)
    columns[schema.weight or "weight"] = np.asarray(batch.weight)
    found = []
    for name, values in columns.items():
        size = np.where(np.isfinite(values), np.abs(values), np.inf)
        if size.size and size.max() > _MAX_VALUE:
            worst = int(np.argmax(size))
            found.append((size[worst], f"{name} (row {worst}: {values[worst]:g})"))
    return [text for _, text in sorted(found, key=lambda item: -item[0])]


def divergence_error(
    loss: float,
    optimizer: AnyOptimizer,
    where: str,
    blamed: list[str],
    newest_checkpoint: str | None,
) -> ArithmeticError:
    """The error of a training whose loss is no longer a sensible number.

    Args:
        loss: what it is.
        optimizer: the training's.
        where: the batches, for the message.
        blamed: the `suspects` among their columns.
        newest_checkpoint: the path of a checkpoint from before, if there is one.
    """
    reason = f"no column stands out: {ADVICE}."
    if blamed:
        reason = f"the columns that stand out: {'; '.join(blamed[:5])}."
    wrong = loss_scale.exhausted_text(optimizer) or (
        f"expected a finite log loss below {MAX_LOSS:g}, received {loss:g}"
    )
    return ArithmeticError(
        f"{where}: {wrong}; {reason} "
        f"Checkpoint from before: {newest_checkpoint or 'none'}."
    )
