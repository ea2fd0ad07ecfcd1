"""How fast an exported model scores raw features, and where the time goes.

A process cannot change its number of threads, so that every number has its own.
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import peers, workers
from benchmarks.report import Result
from benchmarks.serving_calls import (
    BATCH_SIZES,
    DEEPCTR,
    LARGEST,
    MODEL,
    NOTHING,
    NUM_ROWS,
    THREADS,
    TRANSFORM,
    serve_when_told,
    signature_name,
)
from benchmarks.timing import median_ratio
from command_line import aligned

_OTHERS = (TRANSFORM, MODEL, "predict_lines", "predict_examples")
_STEPS = 20


def measure(
    folder: Path,
    preset: str,
    num_rows: int,
    rounds: int,
    show: Callable[[int], None],
) -> list[Result]:
    """Times the signatures of an exported model, its parts, and DeepCTR's `predict`.

    Args:
        folder: an empty folder.
        preset: whose model, trained for a few steps.
        num_rows: generated rows that the vocabularies are counted on.
        rounds: how often each is timed, some hundred calls at a time.
        show: is told how often has been timed.

    Returns:
        Of `serving_default` the latency for each batch size and number of threads, and
        rows/s at its median; of the most threads and the largest batch the part of its
        time that the transform takes, and the rows/s of the other signatures, of our
        model alone and of DeepCTR's. These two get ids, not raw features.

        `call_ms` is what Python takes to call any function of as many arguments: part
        of all times but those of the transform in `preprocessing_share`.

    Raises:
        ValueError: an unknown preset, or one of other columns than Criteo's.
        ImportError: DeepCTR is not installed.
    """
    peers.import_deepctr()  # a missing package is known before any work
    data = folder / "day_0.tsv"
    version = _export(folder, preset, num_rows)
    arguments = {threads: (version, data, preset, threads) for threads in THREADS}
    with workers.started(serve_when_told, arguments) as pipes:
        numbers = {
            (threads, name): number
            for threads, pipe in pipes.items()
            for name, number in pipe.recv().items()
        }
        seconds: dict[tuple[int, str], list[list[float]]] = {n: [] for n in numbers}
        order, shuffle = list(numbers), random.Random(0).shuffle
        for done in range(rounds):
            shuffle(order)
            for place, (threads, name) in enumerate(order):
                show(done * len(order) + place)
                question = name, numbers[threads, name]
                seconds[threads, name].append(workers.ask(pipes[threads], question))
        show(rounds * len(order))
    return _results(seconds)


def num_calls(rounds: int) -> int:
    """What `measure` reports as done in the end."""
    return rounds * (len(THREADS) * (len(BATCH_SIZES) + len(_OTHERS) + 1) + 1)


def table(results: Sequence[Result]) -> str:
    """A line for each batch size and number of threads, then the other figures."""
    values = {result.name: result.value for result in results}
    rows = [["serving_default: batch/threads", "p50 ms", "p99 ms", "rows/s"]]
    for size, threads in itertools.product(BATCH_SIZES, THREADS):
        name = signature_name(size)
        latency = [values[f"{name}/{threads}/{p}_ms"] for p in ("p50", "p99")]
        rate = values[f"{name}/{threads}/rows_per_s"]
        cells = [*(f"{value:.3f}" for value in latency), f"{rate:,.0f}"]
        rows.append([f"{size}/{threads}", *cells])
    others = [
        [
            result.name,
            f"{result.value:,.0f}" if result.value > 100 else f"{result.value:.2f}",
            result.unit,
        ]
        for result in results
        if not result.name.startswith("signature/")
    ]
    return f"{aligned(rows)}\n\n{aligned(others)}"


def _results(seconds: Mapping[tuple[int, str], list[list[float]]]) -> list[Result]:
    """The figures of the seconds of every call, round by round."""
    results = []
    for size, threads in itertools.product(BATCH_SIZES, THREADS):
        name = signature_name(size)
        calls = [*itertools.chain(*seconds[threads, name])]
        p50, p99 = np.percentile(calls, [50, 99])
        results += [
            Result(f"{name}/{threads}/p50_ms", 1000 * p50, "ms"),
            Result(f"{name}/{threads}/p99_ms", 1000 * p99, "ms"),
            Result(f"{name}/{threads}/rows_per_s", size / p50, "rows/s"),
        ]
    most = max(THREADS)

    def medians(name: str) -> list[float]:
        return [statistics.median(calls) for calls in seconds[most, name]]

    whole, nothing = medians(signature_name(LARGEST)), medians(NOTHING)
    preprocessing = [
        transform - call
        for transform, call in zip(medians(TRANSFORM), nothing, strict=True)
    ]
    share = median_ratio(preprocessing, whole)
    results.append(Result("preprocessing_share", share, "ratio"))
    results.append(Result("call_ms", 1000 * statistics.median(nothing), "ms"))
    for name in (DEEPCTR, *_OTHERS):
        rows = NUM_ROWS if name == DEEPCTR else LARGEST
        rate = rows / statistics.median(medians(name))
        results.append(Result(f"{name}_rows_per_s", rate, "rows/s"))
    faster = median_ratio(medians(DEEPCTR), [t * NUM_ROWS / LARGEST for t in whole])
    results.append(Result(f"serving_default/{DEEPCTR}", faster, "ratio"))
    return results


def _export(folder: Path, preset: str, num_rows: int) -> Path:
    """Exports a preset's model of generated rows."""
    from smelu_tf.models import PRESETS, WideDeep, export_saved_model
    from smelu_tf.pipelines import CRITEO, generate, open_rows
    from smelu_tf.pipelines.presets import named_schema

    if preset not in PRESETS:
        raise ValueError(
            f"preset: expected one of {', '.join(PRESETS)}, received {preset!r}."
        )
    config = PRESETS[preset]()
    schema = named_schema(config.data.schema)
    if schema.fields != CRITEO.fields:
        raise ValueError(
            f"preset: expected one of Criteo's columns, received {preset!r}, whose "
            f"schema is {schema.name}."
        )
    generate(folder, num_rows=num_rows, num_days=1)
    rows = open_rows(folder / "day_0.tsv")
    schema = rows.complete(schema)
    model = WideDeep(schema, config.model, config.train.seed)
    model.compile()
    batches = rows.batches(schema, config.data.batch_size).take(_STEPS)
    model.fit(batches, verbose=0)
    return export_saved_model(model, folder / "export")
