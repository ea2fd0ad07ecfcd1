"""A program that ends with one line on what its user can mend."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn


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
