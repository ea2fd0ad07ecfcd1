"""Trains a wide-and-deep click model: one pass over the rows in their order.

(Or --config.data.epochs passes, with --config.data.shuffle in a random order.)

Every batch is predicted before it is learned (progressive validation); the figures
are those of these predictions. The folder model_dir gets config.json, schema.json,
metrics.json, checkpoints/ and tensorboard/. The same command again goes on where a
stopped run was.

    python scripts/train.py --data='demo/data/day_[0-5].tsv' --model_dir=demo/model
    python scripts/train.py --model_dir=demo/relu --config.model.activation=relu
    python scripts/train.py --model_dir=demo/seed_1 --config.train.seed=1 \\
        --compare_to=demo/model --max_prediction_difference=0.05
"""

import sys
from pathlib import Path

from absl import flags

import command_line

_DATA = flags.DEFINE_string(
    "data",
    "demo/data/day_[0-5].tsv",
    "Files to train on, in time order (globs, with commas between several): text, "
    "Parquet or TFRecord files of tf.train.Examples; or a folder of blocks "
    "(scripts/convert.py).",
)
_MODEL_DIR = flags.DEFINE_string(
    "model_dir", "demo/model", "A new folder for the model, or one of the same run."
)
_MAX_BAD_ROWS = flags.DEFINE_integer(
    "max_bad_rows",
    0,
    "How many rows that do not parse are passed over; they are written to "
    "model_dir/rejects.txt.",
    lower_bound=0,
)
_VALIDATION_DATA = flags.DEFINE_string(
    "validation_data",
    "",
    "Rows, later than those of --data, that the model is validated on: every "
    "--config.eval.every_steps batches, and at the end. The best weights are kept too.",
)
_STRATEGY = flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "one_device", "mirrored", "multi_worker", "parameter_server", "tpu"],
    "Where the training runs: on one device, on all GPUs, on a TPU, or on the cluster "
    "that the environment variable TF_CONFIG describes; auto: as TF_CONFIG and the "
    "devices are. On a cluster every process is given the same command. With parameter "
    "servers the order of updates is not determined; batches that a worker was lost "
    "with are learned again, in part twice.",
)
_TPU = flags.DEFINE_string(
    "tpu",
    "local",
    "With --strategy=tpu: which one: local, this machine's, or the name or address of "
    "another one. Set --config.model.tables=tpu where tables are large.",
)
_COMMUNICATION = flags.DEFINE_enum(
    "communication",
    "auto",
    ["auto", "nccl", "ring", "hierarchical_copy", "reduction_to_one_device"],
    "How replicas add up their gradients. auto: as TensorFlow chooses, with NCCL on "
    "GPUs; nccl: with NCCL, on GPUs alone; ring, for --strategy=multi_worker: over "
    "gRPC; hierarchical_copy or reduction_to_one_device, for --strategy=mirrored: "
    "without NCCL.",
)
_RESOLVER = flags.DEFINE_enum(
    "resolver",
    "tf_config",
    ["tf_config", "slurm"],
    "Where the cluster is described: in TF_CONFIG, or by Slurm, which has started this "
    "process with srun.",
)
_SLURM_JOBS = flags.DEFINE_list(
    "slurm_jobs",
    None,
    "With --resolver=slurm: how many tasks do which job, as chief=1,worker=2,ps=2; by "
    "default all are workers.",
)
_DATA_SERVICE = flags.DEFINE_string(
    "data_service",
    "",
    "The address of a tf.data service (grpc://host:port) whose workers read the "
    "blocks. The order is then not kept, and a run that goes on may miss or repeat "
    "rows that were under way when it stopped.",
)
_WARM_START = flags.DEFINE_string(
    "warm_start",
    "",
    "A model_dir whose weights a new training begins with: rows of the tables by their "
    "values, whatever has become of the vocabularies, and the layers.",
)
_difference = command_line.MaxPredictionDifference(
    "with all figures, those of the predictions before learning and those of the "
    "validation"
)
_TABLE_DEVICE = flags.DEFINE_enum(
    "table_device",
    "auto",
    ["auto", "gpu", "host"],
    "With a GPU: where the tables of ids' weights are kept, on it or in host memory, "
    "which their looked-up rows then come from at every step; auto: in host memory if "
    "they and what the optimizer keeps of them take more than half of the GPU's. "
    "host takes one device. Without a GPU it changes nothing.",
)
_JIT_COMPILE = flags.DEFINE_enum(
    "jit_compile",
    "auto",
    ["auto", "on", "off"],
    "Whether XLA compiles the deep part's layers; auto: on GPUs (on TPUs XLA "
    "compiles all in any case). On a CPU it makes them slower.",
)
_JSON = flags.DEFINE_bool("json", False, "Print the figures as JSON.")
_config = command_line.define_config()


def main() -> None:
    from smelu_tf.models import cluster, parameter_table, train
    from smelu_tf.pipelines import open_rows

    cluster.resolve_cluster(_RESOLVER.value, _slurm_jobs())
    if cluster.is_led():
        cluster.serve()
    config = _config()
    compare_to = _difference.model()
    num_rows = open_rows(_DATA.value).estimated_rows() * config.data.epochs
    with command_line.ProgressLine("train", num_rows) as progress:
        result = train(
            config,
            _DATA.value,
            _MODEL_DIR.value,
            validation_files=_VALIDATION_DATA.value,
            warm_start=_WARM_START.value,
            compare_to=compare_to,
            max_bad_rows=_MAX_BAD_ROWS.value,
            data_service=_DATA_SERVICE.value,
            strategy=_STRATEGY.value,
            communication=_COMMUNICATION.value,
            tpu=_TPU.value,
            table_device=_TABLE_DEVICE.value,
            jit_compile={"auto": None, "on": True, "off": False}[_JIT_COMPILE.value],
            built=lambda model: print(parameter_table(model), file=sys.stderr),
            progress=progress,
        )
    code = 0
    if cluster.is_chief():
        command_line.show_figures(_figures(result), _JSON.value)
    if not result.finished:
        print("train: stopped; the same command goes on.", file=sys.stderr)
    elif cluster.is_chief():
        code = _exit_code()
    cluster.end_process(code)


def _exit_code() -> int:
    """1 where predictions differ too much from those of --compare_to, else 0."""
    from smelu_tf.models import load_metrics

    metrics = load_metrics(Path(_MODEL_DIR.value))
    sections = ("validation", "window", "progressive")
    return _difference.exit_code(
        {name: metrics.get(name, {}) for name in sections},
        metrics.get("comparison", {}).get("model", ""),
    )


def _figures(result) -> dict[str, float | int | None]:
    """What is shown of a training's result."""
    validation = result.validation or {}
    return {
        **result.progressive,
        "num_bad_rows": result.num_bad_rows,
        "rows_per_second": result.rows_per_second,
        **{f"validation_{name}": value for name, value in validation.items()},
    }


def _slurm_jobs() -> dict[str, int] | None:
    """The number of tasks of each job in --slurm_jobs."""
    if _SLURM_JOBS.value is None:
        return None
    jobs = {}
    for text in _SLURM_JOBS.value:
        job, _, number = text.partition("=")
        jobs[job.strip()] = command_line.positive_integer("slurm_jobs", number.strip())
    return jobs


if __name__ == "__main__":
    command_line.run(main)
