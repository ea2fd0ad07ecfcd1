"""Generated rows as days of text files, with the truth beside them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .bayes_metrics import BayesMetrics, BayesTally
from .files import replacing
from .generated_rows import GeneratedRows
from .generator import DataSet, equal_parts

_TRUTH = "truth.json"


@dataclasses.dataclass(frozen=True)
class GeneratorReport:
    """What `generate` wrote. See `generate`.

    Attributes:
        paths: the files of the days, in order.
        truth_path: the file of these figures.
        seed: the seed of the rows.
        days: the figures of each day.
        overall: the figures of all rows.
    """

    paths: tuple[str, ...]
    truth_path: str
    seed: int
    days: tuple[BayesMetrics, ...]
    overall: BayesMetrics


def generate(
    output_dir: str | os.PathLike[str],
    num_rows: int = 400_000,
    seed: int = 0,
    num_days: int = 7,
    progress: Callable[[int], None] | None = None,
) -> GeneratorReport:
    """Writes Criteo-like days of click logs and the best figures they allow.

    `day_0.tsv` … hold equal parts of the rows in order, `truth.json` the
    Bayes-optimal figures of each day and of all. Each file is written under a
    temporary name and then renamed, `truth.json` last: where it stands, the days
    are complete. Other files of the folder stay untouched, so do an earlier call's
    days beyond `num_days`. Memory does not grow with `num_rows`.

    The shares of unseen values are shares of the occurrences: of the last day's
    ids that are not missing, those that no earlier day holds. They hold at the
    default size; more rows leave fewer values unseen.

    Args:
        output_dir: the folder, made if absent.
        num_rows: rows over all days.
        seed: rows of another seed are other rows of the same world.
        num_days: the number of files.
        progress: called now and then with the number of rows written so far.

    Returns:
        The paths and the figures.

    Raises:
        ValueError: fewer rows than days, no day, or a seed outside [0, 2**64).
        OSError: no space, or no right to write.

    Examples:
        >>> report = generate("generated", num_rows=2_000, num_days=2)
        >>> report.paths
        ('generated/day_0.tsv', 'generated/day_1.tsv')
        >>> report.overall.num_rows, report.overall.log_loss < 0.5
        (2000, True)
    """
    days = GeneratedDays(num_rows, seed, num_days)
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _TRUTH).unlink(missing_ok=True)  # an old one is not true of new days
    paths = [folder / f"day_{day}.tsv" for day in range(num_days)]
    done = 0
    for day, path in enumerate(paths):
        with replacing(path) as temporary, temporary.open("wb") as file:
            for rows in days.rows(day):
                file.write(rows.to_text())
                done += len(rows)
                if progress is not None:
                    progress(done)
    return days.report(folder, paths)


class GeneratedDays:
    """The rows of a data set day by day, and what its truth is.

    Args:
        num_rows: rows over all days.
        seed: the seed of the rows.
        num_days: days: equal parts of the rows.

    Raises:
        ValueError: fewer rows than days, no day, or a seed outside [0, 2**64).
    """

    def __init__(self, num_rows: int, seed: int, num_days: int) -> None:
        if num_days < 1:
            raise ValueError(f"num_days: expected at least 1, received {num_days}.")
        if num_rows < num_days:
            raise ValueError(
                f"num_rows: expected at least one row for each of {num_days} "
                f"days, received {num_rows}."
            )
        self._data = DataSet(num_rows, seed)
        self._bounds = equal_parts(num_rows, num_days)
        self._tallies = [BayesTally() for _ in range(num_days)]

    def rows(self, day: int) -> Iterator[GeneratedRows]:
        """The rows of a day in some thousands, counted for the truth."""
        tally = self._tallies[day] = BayesTally()
        for rows in self._data.rows(self._bounds[day], self._bounds[day + 1]):
            tally.add(rows)
            yield rows

    def report(self, folder: Path, paths: Sequence[Path]) -> GeneratorReport:
        """Writes the truth, once all days' rows are through, and returns the report."""
        report = GeneratorReport(
            paths=tuple(map(str, paths)),
            truth_path=str(folder / _TRUTH),
            seed=self._data.seed,
            days=tuple(tally.result() for tally in self._tallies),
            overall=BayesTally.merged(self._tallies).result(),
        )
        with replacing(report.truth_path) as temporary:
            temporary.write_text(_truth_json(report), encoding="utf-8")
        return report


def _truth_json(report: GeneratorReport) -> str:
    truth = {
        "about": "What the true probabilities score on these labels.",
        "seed": report.seed,
        "overall": dataclasses.asdict(report.overall),
        "days": [dataclasses.asdict(day) for day in report.days],
    }
    return json.dumps(truth, indent=1) + "\n"
