"""A study of prediction difference: models trained again and again, side by side."""

from __future__ import annotations

import os
from pathlib import Path

from .config import TrainConfig
from .replicas import ReplicaPool
from .study_cells import Progress, behind, initial_weights, train_cell
from .study_folder import CellResult, open_folder
from .study_plan import Cell, Study
from .study_rows import StudyRows


def run_study(
    study: Study,
    config: TrainConfig,
    rows: StudyRows,
    output_dir: str | os.PathLike[str],
    progress: Progress | None = None,
) -> dict[Cell, CellResult]:
    """Trains all cells, but for those whose results are in the folder already.

    Each model learns the rows once, in order. Before the last of them it predicts
    these: by that validation learning rates are chosen. In the end it predicts the test
    rows.

    Args:
        study: what is trained.
        config: of the models, where the study does not say otherwise.
        rows: of the data.
        output_dir: gets `study.json` and a file a cell in `cells/`.
        progress: see `Progress`.

    Returns:
        The results of all cells, in the study's order.

    Raises:
        ValueError: a bad study, a folder of another one (says which value differs), or
            a damaged file of a cell.
        ArithmeticError: a training diverged; says in which cell.

    Examples:
        >>> small = WideDeepConfig(wide=False, embedding_dim=2, hidden_units=(4,))
        >>> config = TrainConfig(model=small)
        >>> rows = StudyRows.read("clicks/day_0.tsv", "clicks/day_6.tsv", config)
        >>> study = Study(("smelu:1",), learning_rates=(0.01,), num_replicas=2)
        >>> results = run_study(study, config, rows, "study")
        >>> [(cell.name, result.test.shape) for cell, result in results.items()]
        [('smelu-1_none_0.01_init', (2, 1000))]
        >>> report = study_report(study, rows, results)
        >>> [0 < cell["pd"]["mean"] < 2 for cell in report["best"]]
        [True]
    """
    output_dir = Path(output_dir)
    progress = progress or (lambda _: None)
    study.validate(config)
    open_folder(output_dir, study, config, rows)
    paths = {cell: output_dir / "cells" / f"{cell.name}.npz" for cell in study.cells()}
    # Damaged ones are found before hours of training.
    results = {
        cell: CellResult.load(path) for cell, path in paths.items() if path.exists()
    }
    examples_a_cell = study.num_replicas * len(rows.train)
    done = len(results) * examples_a_cell
    pool, varies = None, None
    for cell, path in paths.items():
        if cell.varies != varies:
            pool = ReplicaPool(rows.schema, initial_weights(study, cell.varies))
            varies = cell.varies
        progress(done)
        if cell in results:
            continue
        try:
            result = train_cell(cell, study, config, rows, pool, behind(progress, done))
        except ArithmeticError as error:
            raise ArithmeticError(f"cell {cell.name}: {error}") from None
        result.save(path)
        results[cell] = result
        done += examples_a_cell
        progress(done)
    return {cell: results[cell] for cell in paths}
