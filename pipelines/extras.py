"""Packages that come with an extra of smelu-tf: what is said where one is absent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def importing(
    subject: str | os.PathLike[str], package: str, extra: str, purpose: str = ""
) -> Iterator[None]:
    """Turns an ImportError inside into one that names the command that installs it.

    Args:
        subject: what needs the package: a path, or a piece of work.
        package: its name among distributions.
        extra: that of smelu-tf that brings it.
        purpose: what it is needed for: `to read Parquet`.

    Examples:
        >>> with importing("day_0.parquet", "pyarrow", "data", "to read Parquet"):
        ...     import pyarrow
    """
    try:
        yield
    except ImportError:
        wanted = f"{package} {purpose}" if purpose else package
        raise ImportError(
            f"{os.fspath(subject)}: expected the package {wanted}, received none; "
            f"pip install 'smelu-tf[{extra}]'"
        ) from None
