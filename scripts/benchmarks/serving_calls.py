"""What is timed of a loaded model: its signatures, their parts, DeepCTR's `predict`."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers, workers
from benchmarks.timing import Call

BATCH_SIZES = (1, 32, 512)
THREADS = (1, 2)
LARGEST = BATCH_SIZES[-1]
DEEPCTR = "deepctr_predict"

# Timed at the largest batch alone: the signature's two parts, the other signatures, and
# a function of the same arguments that does nothing.
TRANSFORM, MODEL, NOTHING = "transform", "model_call", "nothing"
_CALLS = {1: 400, 32: 200, 512: 100}  # a round
_WARM_UP = 20
# Different ones, so that a call does not find the last one's in caches.
NUM_ROWS = 8192


def signature_name(size: int) -> str:
    """What `serving_default` is called at a batch size."""
    return f"signature/{size}"


def serve_when_told(
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
    pipe.send(numbers)

    def seconds(question: tuple[str, int]) -> list[float]:
        name, number = question
        return [_seconds(calls[name]) for _ in range(number)]

    workers.answer(pipe, seconds)


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
        ends = range(size, min(NUM_ROWS, 512 * size) + 1, size)
        return [
            {name: tf.constant(v[end - size : end]) for name, v in columns.items()}
            for end in ends
        ]

    def scores(signature: Any) -> Callable[[Any], Any]:
        return lambda arguments: signature(**arguments)["probability"].numpy()

    raw_batches = batches(raw, LARGEST)
    features = [transformed(**batch) for batch in raw_batches]
    examples = [_example(row, raw) for row in range(NUM_ROWS)]
    calls = {
        signature_name(size): _in_turn(scores(serving_default), batches(raw, size))
        for size in BATCH_SIZES
    }
    for name, function in ((TRANSFORM, transformed), (NOTHING, nothing)):
        calls[name] = _in_turn(
            lambda batch, function=function: function(**batch)["ids"].numpy(),
            raw_batches,
        )
    calls[MODEL] = _in_turn(lambda x: loaded.score_features(x).numpy(), features)
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
    inputs = peers.deepctr_inputs(features)
    return lambda: model.predict(inputs, batch_size=LARGEST, verbose=0)


def _rows(schema: Any, data: Path) -> tuple[dict[str, np.ndarray], list[bytes]]:
    """The first rows of a file: raw columns, and lines without their label."""
    from smelu_tf.pipelines import read_raw_text

    chunks: dict[str, list[np.ndarray]] = {c.name: [] for c in schema.columns}
    for chunk in read_raw_text(data, schema).as_numpy_iterator():
        for name, values in chunks.items():
            values.append(chunk[name])
        if sum(map(len, values)) >= NUM_ROWS:
            break
    raw = {name: np.concatenate(v)[:NUM_ROWS] for name, v in chunks.items()}
    with open(data, "rb") as file:
        lines = [*itertools.islice(file, NUM_ROWS)]
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
