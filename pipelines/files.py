"""Which files are read, and how files are written: whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path


def expand_files(patterns: str | os.PathLike[str] | Sequence[str]) -> list[str]:
    """The files that glob patterns name, sorted within each pattern.

    Args:
        patterns: one or more patterns; a string may hold several, with commas
            between them.

    Raises:
        ValueError: a pattern names no file, or a file is empty or a folder.
    """
    if isinstance(patterns, str | os.PathLike):
        patterns = os.fspath(patterns).split(",")
    files: list[str] = []
    for pattern in patterns:
        found = sorted(glob.glob(pattern)) or [pattern]
        for path in found:
            if not os.path.exists(path):
                raise ValueError(f"{path}: expected a file, received none.")
            if os.path.isdir(path):
                raise ValueError(f"{path}: expected a file, received a folder.")
            if os.path.getsize(path) == 0:
                raise ValueError(f"{path}: expected rows, received an empty file.")
        files += found
    return files


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside a path, which takes its name when the block ends.

    On an error whatever stands under the temporary path, a file or a folder, is
    removed, and the path is as it was. The folder is made if absent.

    Args:
        path: of a file, which is replaced if there is one, or of a new folder.

    Example:
        >>> with replacing("figures.json") as temporary:
        ...     _ = temporary.write_text("{}")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)
