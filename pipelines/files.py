"""Which files are read, and how files are written: whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import gzip
import os
import platform
import re
import shutil
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""Paths or glob patterns of files; a string may hold several, with commas between."""

_HEAD = 1 << 20  # bytes that are looked at before a file is read
_ABANDONED = 86_400.0  # seconds without a change after which nobody writes any more

# How the lines of TensorFlow's messages begin that only say where in a graph it was.
_NO_REASON = re.compile(
    r"$|Graph execution error|Exception encountered|Detected at node|<stack traces"
    r'|File "|\(\d+\) |\[\[|\d+ (successful|derived)|Original stack trace'
)


def expand_files(patterns: Paths) -> list[str]:
    """The files that glob patterns name, sorted within each pattern.

    Args:
        patterns: one or more patterns; a string may hold several, with commas
            between them.

    Returns:
        The paths.

    Raises:
        ValueError: there is no pattern, one names no file, or a file is empty or a
            folder.
        OSError: a file cannot be read.

    Examples:
        >>> expand_files("clicks/day_6.tsv,clicks/day_[0-1].tsv")
        ['clicks/day_6.tsv', 'clicks/day_0.tsv', 'clicks/day_1.tsv']
    """
    if isinstance(patterns, str | os.PathLike):
        patterns = os.fspath(patterns).split(",")
    files: list[str] = []
    for pattern in [os.fspath(pattern) for pattern in patterns]:
        found = sorted(glob.glob(pattern)) or [pattern]
        for path in found:
            if not os.path.exists(path):
                raise ValueError(f"{path}: expected a file, received none.")
            if os.path.isdir(path):
                raise ValueError(f"{path}: expected a file, received a folder.")
            with open(path, "rb") as file:
                if not file.read(1):
                    raise ValueError(f"{path}: expected rows, received an empty file.")
        files += found
    if not files:
        raise ValueError("files: expected one or more, received none.")
    return files


def is_compressed(path: str | os.PathLike[str]) -> bool:
    """Whether a file is gzip's, by its name."""
    return os.fspath(path).endswith(".gz")


def head_of(path: str | os.PathLike[str]) -> bytes:
    """The first megabyte of a file, decompressed where it is compressed.

    Raises:
        ValueError: a compressed file cannot be read, or holds nothing.
    """
    if not is_compressed(path):
        with open(path, "rb") as file:
            return file.read(_HEAD)
    try:
        with gzip.open(path) as file:
            head = file.read(_HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{os.fspath(path)}: expected a gzip file, as its name ends in .gz, "
            f"received one that cannot be read: {error}."
        ) from None
    if not head:
        raise ValueError(
            f"{os.fspath(path)}: expected rows, received a gzip file of nothing."
        )
    return head


def compression_of(path: str | os.PathLike[str]) -> float:
    """About how many bytes of a file's content one of its bytes stands for."""
    if not is_compressed(path):
        return 1.0
    head = head_of(path)
    return len(head) / len(gzip.compress(head))


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside a path, which takes its name when the block ends.

    On an error whatever stands under the temporary path, a file or a folder, is
    removed, and the path is as it was. The folder is made if absent. What a killed
    process leaves there `remove_leftovers` removes.

    Args:
        path: of a file, which is replaced if there is one, or of a new folder.

    Raises:
        ValueError: there is a folder of this name.
        OSError: no space, or no right to write.

    Examples:
        >>> with replacing("figures.json") as temporary:
        ...     _ = temporary.write_text("{}")
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: expected a file to write, received a folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_origin()}.{os.getpid()}.partial")
    _remove(temporary)  # of an earlier process of this number
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise
    finally:
        _remove(temporary)


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Removes what `replacing` was to write in a folder when its process was killed.

    Only what is certainly nobody's any more: of a process of this machine that has
    ended, or without a change for a day. What there is no right to remove stays.

    Args:
        folder: where; not what is in its folders.
    """
    name = re.compile(r"\..+\.([0-9a-f]{8})\.([0-9]+)\.partial")
    for path in Path(folder).iterdir():
        match = name.fullmatch(path.name)
        if not match:
            continue
        is_ours = match[1] == _origin() and int(match[2]) != os.getpid()
        if (is_ours and not _is_running(int(match[2]))) or _is_abandoned(path):
            with contextlib.suppress(OSError):
                _remove(path)


def _origin() -> str:
    """Where this process's number means something: a machine, or a container of one."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0  # not on Linux
    return f"{zlib.crc32(f'{platform.node()}/{namespace}'.encode()):08x}"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def _is_abandoned(path: Path) -> bool:
    """Whether nothing in a path has changed for long."""
    try:
        latest = max(part.lstat().st_mtime for part in (path, *path.rglob("*")))
    except FileNotFoundError:  # something has just got its name, or was removed
        return False
    return latest < time.time() - _ABANDONED


def _remove(path: Path) -> None:
    """Removes a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns TensorFlow's errors inside into an OSError that names a path."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(f"{path}: could not be written: {reason_of(error)}") from None


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], expected: str) -> Iterator[None]:
    """Turns TensorFlow's errors inside into a ValueError that names a path.

    Args:
        path: what is read.
        expected: what it should be: "a SavedModel", say.
    """
    try:
        yield
    # TensorFlow raises an IndexError where a file ends too early.
    except (tf.errors.OpError, IndexError) as error:
        raise ValueError(
            f"{path}: expected {expected}, received one that cannot be read: "
            f"{reason_of(error)}"
        ) from None


def reason_of(error: Exception) -> str:
    """What happened, in one line, of an error whose message may be a whole graph."""
    message = error.message if isinstance(error, tf.errors.OpError) else str(error)
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if not _NO_REASON.match(line)]
    reason = re.sub(
        r"^\{\{.*?\}\} |\s*\[Op:\w+\].*|\s*\[\[\{\{.*",
        "",
        (kept or lines or [type(error).__name__])[0],
    )
    return f"{reason.rstrip('.')}."
