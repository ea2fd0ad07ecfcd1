"""How every script starts: its flags, TensorFlow, and its main."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from .errors import clean_errors, fail

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


def _parse_flags(
    kinds: Sequence[str], meaning: str | None, argv: list[str]
) -> list[str]:
    if any(argument in _HELP for argument in argv[1:]):
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
