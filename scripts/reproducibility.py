"""Measures how far retrained models agree: a study of prediction difference.

Models are trained again and again, for each activation, technique and learning rate;
they differ in one thing only (--varies), by default the seed of their initial weights.
The learning rate of each activation is chosen on the last of the rows trained on, and
the chosen models are compared on the test rows. The folder output_dir gets report.json
and report.html (one page with plots, which needs nothing else). The same command again
keeps the cells that are finished, and more activations, techniques, rates and sources
may be added to it. Needs matplotlib.

    python scripts/reproducibility.py --activations=relu,smelu:0.5,smelu:1
    python scripts/reproducibility.py --learning_rates=0.002 --replicas=3 \\
        --output_dir=demo/quick
    python scripts/reproducibility.py --varies=nothing --output_dir=demo/control \\
        --config.train.deterministic=true
"""

import signal

from absl import flags

import command_line

_DATA = flags.DEFINE_string(
    "data",
    "demo/data/day_[0-5].tsv",
    "Rows to train on, in time order: files of any format (globs, with commas between "
    "several) or a folder of blocks. They are held in memory. The last of them "
    "validate: --config.data.validation_fraction, or a tenth.",
)
_TEST_DATA = flags.DEFINE_string(
    "test_data", "demo/data/day_6.tsv", "Later rows that the models are compared on."
)
_ACTIVATIONS = flags.DEFINE_list(
    "activations",
    "relu,smelu:0.5,smelu:1",
    "Activations of the hidden layers; with / between them one a layer: "
    "smelu:1/smelu:0.5/relu; behind a + techniques for it alone: "
    "smelu:1+trained_beta. All are compared with relu if it is there, else with the "
    "first.",
)
_TECHNIQUES = flags.DEFINE_list(
    "techniques",
    "none",
    "Other cures, each with every activation: none, ensemble, codistillation, "
    "averaging, distillation, layer_norm and more (docs/cures.md), or values of the "
    "configuration with + between them: "
    "model.dropout=0.1+model.embedding_dim=16.",
)
_LEARNING_RATES = flags.DEFINE_list(
    "learning_rates",
    "0.001,0.002,0.004",
    "Rates of the optimizer of all but the wide part, each with every activation.",
)
_REPLICAS = flags.DEFINE_integer(
    "replicas",
    16,
    "Models trained of each cell; the figures of 6 spread by 10 %.",
    lower_bound=2,
)
_VARIES = flags.DEFINE_list(
    "varies",
    "init",
    "What differs between the models of a cell: init (the seed of their initial "
    "weights), order (of the rows, in windows), threads (their number: a process a "
    "model) or nothing.",
)
_ORDER_WINDOW = flags.DEFINE_integer(
    "order_window", 10_000, "With --varies=order: rows of a window.", lower_bound=2
)
_WARM_START = flags.DEFINE_string(
    "warm_start",
    "",
    "A model_dir whose tables all models begin with; if their initial weights do not "
    "differ (--varies), with all of its weights.",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "demo/reproducibility", "A new folder, or one of the same study."
)
_JSON = flags.DEFINE_bool("json", False, "Print the report as JSON.")
_config = command_line.define_config()


def main() -> None:
    import dataclasses
    from pathlib import Path

    import tensorflow as tf
    from figures import reproducibility, study_text

    from smelu_tf.models import StudyRows, run_study, study_report

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    study, config = _study(), _config()
    study.validate(config)
    if study.varies == ("init",):
        # Models side by side keep all cores busy; the threads of a single operation
        # would wait for one another most of the time.
        tf.config.threading.set_intra_op_parallelism_threads(1)
    fraction = config.data.validation_fraction or 0.1
    rows = StudyRows.read(_DATA.value, _TEST_DATA.value, config, fraction)
    folder = Path(_OUTPUT_DIR.value)
    total = study.num_examples(rows)
    with command_line.ProgressLine("study", total, "examples") as progress:
        results = run_study(study, config, rows, folder, progress)
    report = {
        "study": dataclasses.asdict(study),
        "config": dataclasses.asdict(config),
        "data": {"train": _DATA.value, "test": _TEST_DATA.value},
        **study_report(study, rows, results),
    }
    reproducibility.write_json(report, folder / "report.json")
    reproducibility.write_page(report, folder / "report.html")
    if _JSON.value:
        command_line.show_figures(report, as_json=True)
    else:
        command_line.show_table(study_text.best_table(report))
        print(f"\nwrote {folder / 'report.html'}")


def _study():
    """The study that the flags describe."""
    from smelu_tf.models import Study

    return Study(
        activations=command_line.items(_ACTIVATIONS.value),
        techniques=command_line.items(_TECHNIQUES.value),
        learning_rates=tuple(map(_rate, command_line.items(_LEARNING_RATES.value))),
        varies=command_line.items(_VARIES.value),
        num_replicas=_REPLICAS.value,
        order_window=_ORDER_WINDOW.value,
        warm_start=_WARM_START.value,
    )


def _rate(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"--learning_rates: expected numbers, received {text!r}."
        ) from None


if __name__ == "__main__":
    command_line.run(main)
