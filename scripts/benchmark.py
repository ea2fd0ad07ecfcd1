"""Measures this package's speed on this machine.

    python scripts/benchmark.py activations
    python scripts/benchmark.py input
    python scripts/benchmark.py training
    python scripts/benchmark.py profile --compute_dtype=bfloat16
    python scripts/benchmark.py precision
    python scripts/benchmark.py replicas
    python scripts/benchmark.py determinism
    python scripts/benchmark.py serving
    python scripts/benchmark.py accuracy --train_data=train.tsv --test_data=test.tsv

`activations` times forward and backward passes of activations, those of other packages
among them, relative to ReLU's, and counts the bytes kept between the two.

`input` times the readers on generated rows (`make_csv_dataset` is TensorFlow's), the
conversion to blocks and its memory, and the first batch at two places of the data.

`training` times the training of wide-and-deep models, ours and other packages', on the
same rows in memory; steps with large and with small tables; and training from files.

`profile` shows which operations of ours take the time of a step.

`precision` trains on generated rows in float32 and in bfloat16, and compares log
losses.

`replicas` times models that train side by side, and the same one after another.

`determinism` times training with and without TensorFlow's deterministic operations.

`serving` times the signatures of an exported model at several batch sizes, with one
thread and with two: latency, and the part of the transform in it; beside DeepCTR's
`predict`, which gets ids instead of raw features.

`accuracy` tunes and trains ours and DeepCTR's models on the same rows, and compares log
loss and AUC on others.

The comparisons need the extra `benchmark`. Calls are timed in turns and compared turn
by turn, so that ratios hold though the machine has other work. With --json, standard
output holds one JSON object and nothing else.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

import command_line

if TYPE_CHECKING:
    from benchmarks.report import Result

_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")
_SECONDS = flags.DEFINE_float(
    "seconds",
    240,
    "activations: about how long the timing takes; less makes it rougher.",
    1,
)
_ELEMENTS = flags.DEFINE_list(
    "elements", "10000,1000000,16000000", "activations: sizes of the tensors."
)
_ROWS = flags.DEFINE_integer("rows", 1_000_000, "input: rows that are generated.", 1000)
_CONVERT_PASSES = flags.DEFINE_integer(
    "convert_passes",
    1,
    "input: how often the conversion that is timed reads them; 20 shows that memory "
    "does not grow with the rows.",
    1,
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 5, "training, replicas, determinism, serving: times of each call.", 1
)
_REPLICAS = flags.DEFINE_integer("replicas", 8, "replicas: models.", 1)
_BATCHES = flags.DEFINE_integer(
    "batches", 32, "training, profile: batches of 4,096 rows in memory.", 1
)
_COMPUTE_DTYPE = flags.DEFINE_enum(
    "compute_dtype",
    "float32",
    ["float32", "bfloat16", "float16"],
    "profile: of the deep part.",
)
_ACTIVATION = flags.DEFINE_string(
    "activation", "relu", "profile: of the hidden layers."
)
_SEEDS = flags.DEFINE_integer("seeds", 5, "precision, accuracy: trained models.", 1)
_PRECISION_ROWS = flags.DEFINE_integer(
    "precision_rows", 2_000_000, "precision: rows that are generated.", 1000
)
_SERVING_ROWS = flags.DEFINE_integer(
    "serving_rows",
    200_000,
    "serving: generated rows that the vocabularies are counted on.",
    10_000,
)
_PRESET = flags.DEFINE_string(
    "preset", "criteo_small", "serving: the preset whose model is exported."
)
_TRAIN_DATA = flags.DEFINE_string("train_data", "", "accuracy: rows to train on.")
_TEST_DATA = flags.DEFINE_string("test_data", "", "accuracy: rows to test on.")
_SCHEMA = flags.DEFINE_string("schema", "criteo", "accuracy: a preset or a JSON file.")
_UNKNOWN_RATE = flags.DEFINE_float(
    "unknown_rate",
    0.0,
    "accuracy: the part of the ids that our models take for unknown in training "
    "(--config.model.unknown_rate of train.py).",
    lower_bound=0.0,
    upper_bound=0.99,
)
_TUNING_SEEDS = flags.DEFINE_integer(
    "tuning_seeds", 2, "accuracy: models trained for each rate that is tried.", 1
)


@contextlib.contextmanager
def _folder_and_progress(
    total: int, unit: str = "calls"
) -> Iterator[tuple[Path, command_line.ProgressLine]]:
    """An empty folder, and a line that says how much is done."""
    with (
        tempfile.TemporaryDirectory() as folder,
        command_line.ProgressLine("benchmark", total, unit) as progress,
    ):
        yield Path(folder), progress


def _activations() -> tuple[Sequence["Result"], str]:
    from benchmarks import activations

    sizes = [command_line.positive_integer("elements", n) for n in _ELEMENTS.value]
    total = len(activations.settings(sizes))
    with command_line.ProgressLine("benchmark", total, "settings") as progress:
        results = activations.measure(sizes, _SECONDS.value, progress)
    return results, activations.table(results)


def _input() -> tuple[Sequence["Result"], str]:
    from benchmarks import input as input_benchmark

    with _folder_and_progress(input_benchmark.STEPS, "steps") as (folder, progress):
        results = input_benchmark.measure(
            folder, _ROWS.value, _CONVERT_PASSES.value, progress
        )
    return results, input_benchmark.table(results)


def _training() -> tuple[Sequence["Result"], str]:
    from benchmarks import training

    sizes = training.Sizes(num_batches=_BATCHES.value, rounds=_ROUNDS.value)
    with _folder_and_progress(training.num_calls(sizes)) as (folder, progress):
        results = training.measure(sizes, folder, progress)
    return results, training.table(results)


def _profile() -> tuple[Sequence["Result"], str]:
    from benchmarks import profile, training

    sizes = training.Sizes(num_batches=_BATCHES.value)
    with _folder_and_progress(profile.WARM_UP + 1, "passes") as (folder, progress):
        results = profile.measure(
            _ACTIVATION.value, _COMPUTE_DTYPE.value, sizes, folder, progress
        )
    return results, profile.table(results)


def _precision() -> tuple[Sequence["Result"], str]:
    from benchmarks import precision

    with _folder_and_progress(2 * _SEEDS.value, "trainings") as (folder, progress):
        results = precision.measure(
            folder, _PRECISION_ROWS.value, _SEEDS.value, progress
        )
    return results, precision.table(results)


def _replicas() -> tuple[Sequence["Result"], str]:
    from benchmarks import replicas

    with _folder_and_progress(replicas.num_calls(_ROUNDS.value)) as (folder, progress):
        results = replicas.measure(folder, _REPLICAS.value, _ROUNDS.value, progress)
    return results, replicas.table(results)


def _determinism() -> tuple[Sequence["Result"], str]:
    from benchmarks import determinism

    with _folder_and_progress(determinism.num_calls(_ROUNDS.value)) as (
        folder,
        progress,
    ):
        results = determinism.measure(folder, _ROUNDS.value, progress)
    return results, determinism.table(results)


def _serving() -> tuple[Sequence["Result"], str]:
    from benchmarks import serving

    with _folder_and_progress(serving.num_calls(_ROUNDS.value)) as (folder, progress):
        results = serving.measure(
            folder, _PRESET.value, _SERVING_ROWS.value, _ROUNDS.value, progress
        )
    return results, serving.table(results)


def _accuracy() -> tuple[Sequence["Result"], str]:
    from benchmarks import accuracy, tuned_models

    for flag in (_TRAIN_DATA, _TEST_DATA):
        if not flag.value:
            raise ValueError(f"--{flag.name}: expected files of rows, received none.")
    settings = tuned_models.Settings(
        seeds=_SEEDS.value,
        tuning_seeds=_TUNING_SEEDS.value,
        unknown_rate=_UNKNOWN_RATE.value,
    )
    total = accuracy.num_trainings(settings)
    with command_line.ProgressLine("benchmark", total, "trainings") as progress:
        scores, differences = accuracy.compare(
            _TRAIN_DATA.value, _TEST_DATA.value, _SCHEMA.value, settings, progress
        )
    return accuracy.results(scores, differences), accuracy.table(scores, differences)


KINDS = {
    "activations": _activations,
    "input": _input,
    "training": _training,
    "profile": _profile,
    "precision": _precision,
    "replicas": _replicas,
    "determinism": _determinism,
    "serving": _serving,
    "accuracy": _accuracy,
}


def main(kind: str) -> None:
    from benchmarks.report import as_json

    results, table = KINDS[kind]()
    print(as_json(results) if _JSON.value else table)


if __name__ == "__main__":
    command_line.run(main, tuple(KINDS))
