"""How fast an exported model scores raw features, and where the time goes.

A process cannot change its number of threads, so that every number has its own.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.report import Result
from benchmarks.timing import Call, median_ratio
from command_line import aligned

BATCH_SIZES = (1, 32, 512)
THREADS = (1, 2)
LARGEST = BATCH_SIZES[-1]
DEEPCTR = "deepctr_predict"

# Timed at the largest batch alone: the signature's two parts, the other signatures, and
# a function of the same arguments that does nothing.
_TRANSFORM, _MODEL, _NOTHING = "transform", "model_call", "nothing"
_OTHERS = (_TRANSFORM, _MODEL, "predict_lines", "predict_examples")
_CALLS = {1: 400, 32: 200, 512: 100}  # a round
_WARM_UP = 20
# Different ones, so that a call does not find the last one's in caches.
_NUM_ROWS = 8192
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
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        pipes = {}
        for threads in THREADS:
            pipes[threads], theirs = context.Pipe()
            arguments = (version, data, preset, threads, theirs)
            process = context.Process(target=_serve_when_told, args=arguments)
            process.start()
            theirs.close()  # so that its end is noticed here
            stack.callback(process.join)
            stack.callback(pipes[threads].close)
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
                pipes[threads].send((name, numbers[threads, name]))
                seconds[threads, name].append(pipes[threads].recv())
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
        name = _signature(size)
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


def _signature(size: int) -> str:
    return f"signature/{size}"


def _results(seconds: Mapping[tuple[int, str], list[list[float]]]) -> list[Result]:
    """The figures of the seconds of every call, round by round."""
    results = []
    for size, threads in itertools.product(BATCH_SIZES, THREADS):
        name = _signature(size)
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

    whole, nothing = medians(_signature(LARGEST)), medians(_NOTHING)
    preprocessing = [
        transform - call
        for transform, call in zip(medians(_TRANSFORM), nothing, strict=True)
    ]
    share = median_ratio(preprocessing, whole)
    results.append(Result("preprocessing_share", share, "ratio"))
    results.append(Result("call_ms", 1000 * statistics.median(nothing), "ms"))
    for name in (DEEPCTR, *_OTHERS):
        rows = _NUM_ROWS if name == DEEPCTR else LARGEST
        rate = rows / statistics.median(medians(name))
        results.append(Result(f"{name}_rows_per_s", rate, "rows/s"))
    faster = median_ratio(medians(DEEPCTR), [t * _NUM_ROWS / LARGEST for t in whole])
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


# --------------------------------------------------------------------- a process


def _serve_when_told(
    version: Path, data: Path, preset: str, threads: int, pipe: Connection
) -> None:
    """Sends which calls there are and how often a round has them, then times them.

    Whenever a name and a number come it calls that so often, until nobody is there.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    numbers, calls = {}, _calls(version, data)
    if threads == max(THREADS):
        calls[DEEPCTR] = _deepctr_call(version, data, preset)
    for name, call in calls.items():
        size = int(name.rpartition("/")[2]) if "/" in name else LARGEST
        numbers[name] = 1 if name == DEEPCTR else _CALLS[size]
        for _ in range(2 if name == DEEPCTR else _WARM_UP):
            call()
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        pipe.send(numbers)
        while True:
            name, number = pipe.recv()
            pipe.send([_seconds(calls[name]) for _ in range(number)])


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _calls(version: Path, data: Path) -> dict[str, Call]:
    """What is timed of a loaded model, each call on the next rows, to its scores."""
    import tensorflow as tf

    from smelu_tf.pipelines import Schema, Transform
    from smelu_tf.pipelines.raw_rows import feature_specs

    loaded = tf.saved_model.load(str(version))
    schema = Schema.load(version / "assets.extra" / "schema.json")
    serving_default = loaded.signatures["serving_default"]
    # What the module has within, called as it is called.
    transform = Transform(schema)
    specs = feature_specs(schema)
    transformed, nothing = (
        tf.function(function).get_concrete_function(**specs)
        for function in (lambda **raw: transform(raw), lambda **raw: {"ids": 0})
    )
    raw, lines = _rows(schema, data)

    def batches(columns: Mapping[str, Any], size: int) -> list[dict[str, tf.Tensor]]:
        ends = range(size, min(_NUM_ROWS, 512 * size) + 1, size)
        return [
            {name: tf.constant(v[end - size : end]) for name, v in columns.items()}
            for end in ends
        ]

    def scores(signature: Any) -> Callable[[Any], Any]:
        return lambda arguments: signature(**arguments)["probability"].numpy()

    raw_batches = batches(raw, LARGEST)
    features = [transformed(**batch) for batch in raw_batches]
    examples = [_example(row, raw) for row in range(_NUM_ROWS)]
    calls = {
        _signature(size): _in_turn(scores(serving_default), batches(raw, size))
        for size in BATCH_SIZES
    }
    for name, function in ((_TRANSFORM, transformed), (_NOTHING, nothing)):
        calls[name] = _in_turn(
            lambda batch, function=function: function(**batch)["ids"].numpy(),
            raw_batches,
        )
    calls[_MODEL] = _in_turn(lambda x: loaded.score_features(x).numpy(), features)
    for name, argument, values in (
        ("predict_lines", "lines", lines),
        ("predict_examples", "examples", examples),
    ):
        calls[name] = _in_turn(
            scores(loaded.signatures[name]), batches({argument: values}, LARGEST)
        )
    return calls


def _in_turn(call: Callable[[Any], object], arguments: Iterable[Any]) -> Call:
    """Calls with the next one of arguments, from the first again after the last."""
    following = itertools.cycle(arguments)
    return lambda: call(next(following))


def _deepctr_call(version: Path, data: Path, preset: str) -> Call:
    """Scores the rows with DeepCTR's WDL of our shape, from ids and numbers."""
    from smelu_tf.models import PRESETS
    from smelu_tf.pipelines import Schema, Transform

    schema = Schema.load(version / "assets.extra" / "schema.json")
    raw, _ = _rows(schema, data)
    features = {name: v.numpy() for name, v in Transform(schema)(raw).items()}
    config = PRESETS[preset]().model
    shape = peers.Shape(
        schema.num_ids,
        features["numeric"].shape[1],
        config.embedding_dim,
        config.hidden_units,
    )
    model = peers.deepctr_model("WDL", shape)
    label = np.zeros(_NUM_ROWS, np.float32)
    inputs = peers.deepctr_inputs(
        peers.Rows(features["numeric"], features["ids"], label)
    )
    return lambda: model.predict(inputs, batch_size=LARGEST, verbose=0)


def _rows(schema: Any, data: Path) -> tuple[dict[str, np.ndarray], list[bytes]]:
    """The first rows of a file: raw columns, and lines without their label."""
    from smelu_tf.pipelines import read_raw_text

    chunks: dict[str, list[np.ndarray]] = {c.name: [] for c in schema.columns}
    for chunk in read_raw_text(data, schema).as_numpy_iterator():
        for name, values in chunks.items():
            values.append(chunk[name])
        if sum(map(len, values)) >= _NUM_ROWS:
            break
    raw = {name: np.concatenate(v)[:_NUM_ROWS] for name, v in chunks.items()}
    with open(data, "rb") as file:
        lines = [*itertools.islice(file, _NUM_ROWS)]
    return raw, [line.rstrip(b"\n").partition(b"\t")[2] for line in lines]


def _example(row: int, raw: Mapping[str, np.ndarray]) -> bytes:
    """A row as a serialised `tf.train.Example`, without what is missing."""
    import tensorflow as tf

    features = {}
    for name, values in raw.items():
        value = values[row]
        if isinstance(value, bytes):
            if value:
                text = tf.train.BytesList(value=[value])
                features[name] = tf.train.Feature(bytes_list=text)
        elif not math.isnan(value):
            number = tf.train.Int64List(value=[int(value)])
            features[name] = tf.train.Feature(int64_list=number)
    message = tf.train.Example(features=tf.train.Features(feature=features))
    return message.SerializeToString()
