"""What every script shares: clean errors, a progress line, the configuration's flag."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

# tf-keras must be chosen, and TensorFlow's start-up chatter silenced, before
# TensorFlow is first imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow would take nearly all memory of every GPU it sees, though a script that
# scores beside a training needs little. (False is for one that is short of it: memory
# taken piece by piece may be left in pieces.)
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# To be deterministic on a GPU, TensorFlow would take a table to the host and back at
# each step, in case an update names a row twice. Those of ours name each once.
os.environ.setdefault("TF_DISABLE_SCATTER_OP_DETERMINISM", "true")

from absl import app, flags, logging  # noqa: E402
from ml_collections import config_flags  # noqa: E402

_HELP = ("-h", "-help", "--help", "-helpshort", "--helpshort")


def run(
    main: Callable[..., None], kinds: Sequence[str] = (), words: str | None = None
) -> None:
    """Runs a script's main: exit code 2 and one line for what its user can mend.

    Args:
        main: what the script does.
        kinds: if given, the script takes one of these words, which main is called with.
        words: if given, it takes words of this meaning, one or more, which main is
            called with.
    """

    def guarded(argv: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)
        with clean_errors():
            import_tensorflow()
            main(*argv[1:])

    app.run(guarded, flags_parser=functools.partial(_parse_flags, kinds, words))


def import_tensorflow() -> None:
    """Imports TensorFlow without its greetings about the machine.

    They bypass Python and every setting, so standard error is turned away meanwhile;
    what came is shown should the import fail.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as away:
        os.dup2(away.fileno(), 2)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices()
        except Exception:  # not on an interrupt
            away.seek(0)
            os.write(saved, away.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextlib.contextmanager
def clean_errors() -> Iterator[None]:
    """Ends the program with one line on bad input instead of a traceback."""
    try:
        yield
    except (ValueError, OSError, ImportError, ArithmeticError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted.", code=130)
    except Exception as error:
        # TensorFlow's own, known only once it is imported: out of memory, say.
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
            raise
        from smelu_tf.pipelines.files import reason_of

        fail(reason_of(error))


def fail(message: str, code: int = 2) -> NoReturn:
    """Prints one line on stderr and ends the program."""
    complain(message)
    sys.exit(code)


def complain(message: str) -> None:
    """Prints one line on stderr."""
    line = " ".join(message.split())
    print(f"{os.path.basename(sys.argv[0])}: {line}", file=sys.stderr)


def define_config(default: str = "criteo_small") -> Any:
    """Defines --config=PRESET and --config.SECTION.FIELD=VALUE.

    Returns:
        A function that gives the `TrainConfig` once the flags are parsed.
    """
    with clean_errors():
        import_tensorflow()
        from smelu_tf.models import PRESETS, TrainConfig

        _check_overrides(sys.argv[1:], TrainConfig)

    def preset(name: str) -> Any:
        if name not in PRESETS:
            raise ValueError(f"expected one of {', '.join(PRESETS)}, received {name!r}")
        return _thawed(PRESETS[name]())

    holder = config_flags.DEFINE_config_dataclass(
        "config",
        preset(default),
        f"A preset: {', '.join(PRESETS)}. Any field of it can be set besides: "
        "--config.optimizer.learning_rate=0.001.",
        parse_fn=preset,
    )
    return lambda: TrainConfig.from_dict(dataclasses.asdict(holder.value))


def define_scoring_flags() -> Callable[[], Any]:
    """Defines the flags of the scripts that score rows with a model.

    Returns:
        A function that opens both once the flags are parsed: a `models.ScoringJob`.
    """
    model = flags.DEFINE_string(
        "model", "demo/model", "A model_dir, or a version of an exported SavedModel."
    )
    data = flags.DEFINE_string(
        "data",
        "demo/data/day_6.tsv",
        "Text, Parquet or TFRecord files; globs, with commas between several. For a "
        "model_dir also a folder of blocks.",
    )
    batch_size = flags.DEFINE_integer(
        "batch_size", 4096, "Rows scored at once.", lower_bound=1
    )
    max_bad_rows = flags.DEFINE_integer(
        "max_bad_rows", 0, "How many rows that do not parse are passed over.", 0
    )
    rejects = flags.DEFINE_string(
        "rejects", "rejects.txt", "The file that the rows passed over are written to."
    )

    checkpoint = define_checkpoint()

    def open_job() -> Any:
        from smelu_tf.models import ScoringJob

        return ScoringJob.open(
            model.value,
            data.value,
            batch_size.value,
            max_bad_rows.value,
            rejects.value,
            checkpoint(),
        )

    return open_job


def define_checkpoint() -> Callable[[], str]:
    """Defines --checkpoint; returns a function that gives its value."""
    flag = flags.DEFINE_enum(
        "checkpoint",
        "newest",
        ["newest", "best"],
        "Of a model_dir: the weights of the newest checkpoint, or those that were best "
        "when the training was validated.",
    )
    return lambda: str(flag.value)


class MaxPredictionDifference:
    """Defines --compare_to and --max_prediction_difference, and judges by the latter.

    Args:
        purpose: what the comparison is for, the end of a sentence of --help.
    """

    def __init__(self, purpose: str) -> None:
        self._model = flags.DEFINE_string(
            "compare_to",
            "",
            "A model_dir or an exported SavedModel of the same schema, the model that "
            "is being served: the prediction difference from it (mean of 2|p-q|/(p+q), "
            f"and of |p-q|) is reported {purpose}.",
        )
        self._max = flags.DEFINE_float(
            "max_prediction_difference",
            None,
            "The prediction difference from --compare_to, relative (0.05: 5 %), above "
            "which the exit code is 1. All files are written nevertheless.",
            lower_bound=0.0,
        )

    def model(self) -> str:
        """The model to compare with; empty: none. A ValueError: a bound without it."""
        if self._max.value is not None and not self._model.value:
            raise ValueError(
                "--max_prediction_difference: expected --compare_to with it, received "
                "none."
            )
        return str(self._model.value)

    def exit_code(
        self, where: Mapping[str, Mapping[str, Any]], model: str | None = None
    ) -> int:
        """The program's: 1, with a line on stderr, where the difference is too large.

        Args:
            where: figures by what they are of; the first that have a difference count.
            model: what they are the difference from; by default --compare_to.

        Raises:
            ValueError: none of them has, but there is a bound.
        """
        if self._max.value is None:
            return 0
        if model not in (None, self._model.value):
            raise ValueError(
                f"--compare_to: expected {model or 'none'}, as in the run that has "
                f"ended, received {self._model.value}; scripts/evaluate.py compares "
                "with another."
            )
        for what, figures in where.items():
            found = figures.get("prediction_difference")
            if found is None:
                continue
            if found <= self._max.value:
                return 0
            complain(
                f"{what}: expected a prediction difference of at most "
                f"{self._max.value:g} from {self._model.value}, received {found:.4g}. "
                "The model is kept."
            )
            return 1
        raise ValueError(
            "--max_prediction_difference: expected figures with a prediction "
            "difference, received none (no row had a weight, or the run had ended "
            "without --compare_to)."
        )


def positive_integer(flag: str, text: str) -> int:
    """The number in a flag that is a list of them."""
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(
            f"--{flag}: expected whole numbers above 0, received {text!r}."
        )
    return int(text)


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


def show_figures(figures: Mapping[str, Any], as_json: bool) -> None:
    """Prints figures by name on stdout: aligned lines, or one JSON object."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        text = f"{value:,.6g}" if isinstance(value, int | float) else value or "-"
        print(f"{name.replace('_', ' '):<{width}}  {text}")


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of cells, the first column to the left, the others to the right."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
        print("  ".join(cells))


def _parse_flags(
    kinds: Sequence[str], meaning: str | None, argv: list[str]
) -> list[str]:
    if any(argument in _HELP for argument in argv[1:]):
        # Flags defined here belong to the script as much as its own.
        for flag in flags.FLAGS.flags_by_module_dict().get(__name__, ()):
            flags.FLAGS.register_key_flag_for_module(argv[0], flag)
        app.usage(shorthelp=True, writeto_stdout=True, exitcode=0)
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        fail(str(error))
    words = rest[1:]
    if kinds and (len(words) != 1 or words[0] not in kinds):
        received = " ".join(words) or "none"
        fail(f"expected one of {', '.join(kinds)}, received {received}.")
    if meaning and not words:
        fail(f"expected {meaning}, received none.")
    if words and not kinds and not meaning:
        fail(f"expected flags only (--name=value), received {rest[1]!r}.")
    return rest


def _check_overrides(arguments: Sequence[str], config_type: type) -> None:
    """Raises a ValueError for a --config.SECTION.FIELD that is unknown or comes twice.

    ml_collections would say less of the one, and append a tuple to itself at the other.
    """
    given: set[str] = set()
    for argument in arguments:
        found = re.match(r"--?config\.([\w.]+)", argument)
        if found is None:
            continue
        _check_key(found[1], config_type)
        if found[1] in given:
            raise ValueError(f"config.{found[1]}: expected once, received again.")
        given.add(found[1])


def _check_key(path: str, config_type: type) -> None:
    """Raises a ValueError where a path names no field of a configuration."""
    place: Any = config_type
    where = "config"
    for name in path.split("."):
        if not dataclasses.is_dataclass(place):
            raise ValueError(f"config.{path}: expected a known key, received another.")
        fields = {field.name: field.type for field in dataclasses.fields(place)}
        if name not in fields:
            nearest = difflib.get_close_matches(name, fields, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"expected a known key, received {where}.{name}; "
                f"the nearest is {where}.{nearest}."
            )
        place, where = fields[name], f"{where}.{name}"
    if dataclasses.is_dataclass(place):
        names = ", ".join(field.name for field in dataclasses.fields(place))
        raise ValueError(
            f"{where}: expected a field of this section to be set ({names}), "
            "received the section."
        )


def _thawed(config: Any) -> Any:
    """A frozen dataclass as one whose fields can be set: flags set them in place."""
    fields = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        kind = field.type
        if dataclasses.is_dataclass(value):
            value = _thawed(value)
            kind = type(value)
        default = dataclasses.field(default_factory=lambda value=value: value)
        fields.append((field.name, kind, default))
    return dataclasses.make_dataclass(type(config).__name__, fields)()
