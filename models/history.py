"""The figures of a run over time: for TensorBoard, for plots, for who is watching."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from smelu_tf.pipelines.files import replacing, writing

from .comparison import DifferenceCounts
from .metrics import BinaryCounts, Figures, SlidingWindow

Progress = Callable[..., None]
"""Called now and then with the rows read so far, and the log loss and normalised
entropy over them; in a run that is compared with a model, with the prediction
difference besides."""

_SHOWN = (
    "log_loss",
    "normalized_entropy",
    "auc",
    "pr_auc",
    "calibration",
    "prediction_difference",
    "absolute_prediction_difference",
)
_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
)


class History:
    """Writes `progress.jsonl` and TensorBoard's files of a model_dir.

    A line of `progress.jsonl` is an object with `step`, `num_examples`, `seconds` since
    the run began or went on, `progressive` (figures of all predictions made so far),
    `window` (of the latest) and, where there was one, `validation`. A run that goes on
    leaves out what was written behind its checkpoint.

    Args:
        model_dir: where.
        window_rows: rows of the window.
        first_step: of a run that goes on.
        start: the counts at that step.
        progress: see `Progress`.
        differences: the differences counted at that step; None in a run that is not
            compared with a model.

    Attributes:
        window: the figures of the latest window; None before the first report.

    Raises:
        OSError: no space, or no right to write.
    """

    def __init__(
        self,
        model_dir: Path,
        window_rows: int,
        first_step: int = 0,
        start: BinaryCounts | None = None,
        progress: Progress | None = None,
        differences: DifferenceCounts | None = None,
    ) -> None:
        self._path = model_dir / "progress.jsonl"
        self._window = SlidingWindow(window_rows, start)
        self._differences = SlidingWindow(window_rows, differences)
        self.window: Figures | None = None
        self._progress = progress
        self._start = time.monotonic()
        self._keep(first_step)
        with writing(model_dir / "tensorboard"):
            self._events = tf.summary.create_file_writer(str(model_dir / "tensorboard"))

    def close(self) -> None:
        """Writes what is left to be written."""
        self._events.close()

    def report(
        self,
        step: int,
        rows_read: int,
        counts: BinaryCounts,
        validation: Figures | None = None,
        differences: DifferenceCounts | None = None,
    ) -> None:
        """Writes the figures of a step, and shows them.

        Args:
            step: how many batches have been learned.
            rows_read: how many rows.
            counts: of all predictions so far.
            validation: the figures of a validation at this step.
            differences: of all predictions so far from another model's.
        """
        figures = counts.figures()
        self.window = self._window.update(counts)
        if differences is not None:
            figures |= differences.figures()
            self.window |= self._differences.update(differences)
        sections: dict[str, Figures] = {
            "progressive": figures,
            "window": self.window,
        }
        if validation is not None:
            sections["validation"] = validation
        line = {
            "step": step,
            "num_examples": figures["num_examples"],
            "seconds": round(time.monotonic() - self._start, 3),
            **sections,
        }
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        with self._events.as_default(step=step):
            for section, values in sections.items():
                for name in _SHOWN:
                    if values.get(name) is not None:
                        # `tf.summary.scalar` needs the package tensorboard.
                        tf.summary.write(
                            f"{section}/{name}",
                            tf.constant(values[name], tf.float32),
                            metadata=_SCALAR,
                        )
        if self._progress is not None:
            names = ["log_loss", "normalized_entropy"]
            if differences is not None:
                names.append("prediction_difference")
            shown = (figures[name] for name in names)
            undetermined = float("nan")
            self._progress(
                rows_read, *(undetermined if v is None else v for v in shown)
            )

    def _keep(self, first_step: int) -> None:
        """Leaves out the lines behind a step; the last one may be half-written."""
        if not self._path.exists():
            return
        kept = []
        for text in self._path.read_text(encoding="utf-8").splitlines():
            try:
                step = json.loads(text)["step"]
            except (ValueError, KeyError, TypeError):
                break
            if step <= first_step:
                kept.append(text + "\n")
        with replacing(self._path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
