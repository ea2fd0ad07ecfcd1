"""A line that says how far a long job is."""

from __future__ import annotations

import sys
import time


class ProgressLine:
    """A line on stderr that says how far a long job is; a context manager.

    Rewritten in place in a terminal, a new line now and then elsewhere.

    Args:
        what: the job, one word.
        total: rows in all, as far as known; 0 leaves the time left out.
        unit: what is counted.
    """

    def __init__(self, what: str, total: int = 0, unit: str = "rows") -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._start = time.monotonic()
        self._first: int | None = None
        self._last = 0.0
        self._text = ""
        self._live = sys.stderr.isatty()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._text and self._live:
            print(file=sys.stderr)
        elif self._text:
            print(self._text, file=sys.stderr)

    def __call__(
        self,
        done: int,
        log_loss: float | None = None,
        normalized_entropy: float | None = None,
        prediction_difference: float | None = None,
    ) -> None:
        """Shows that so many are done, and the figures so far."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._start = done, now
        rate = (done - self._first) / max(now - self._start, 1e-9)
        self._text = f"{self._what}: {done:,} {self._unit}"
        if rate >= 1:
            self._text += f", {rate:,.0f} {self._unit}/s"
        if self._total > done and rate:
            self._text += f", {(self._total - done) / rate:.0f} s left"
        if log_loss is not None:
            self._text += f", log loss {log_loss:.4f}"
        if normalized_entropy is not None:
            self._text += f", NE {normalized_entropy:.4f}"
        if prediction_difference is not None:
            self._text += f", PD {prediction_difference:.4f}"
        if now - self._last >= (0.2 if self._live else 10):
            self._last = now
            start, end = ("\r\x1b[2K", "") if self._live else ("", "\n")
            print(start + self._text, end=end, file=sys.stderr, flush=True)
