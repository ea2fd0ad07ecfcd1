"""What is published of the chips of Cloud TPUs."""

from __future__ import annotations

import dataclasses
import os
import re

from .accelerators import ACCELERATORS


@dataclasses.dataclass(frozen=True)
class TPUChip:
    """A generation of chips.

    Attributes:
        name: as topologies have it: `v5e`.
        hbm_bytes: a chip's memory.
        num_sparse_cores: of a chip; 0 where there are none.
    """

    name: str
    hbm_bytes: int
    num_sparse_cores: int


# Of each generation's chips, as Google's pages have it; v5e's page names none.
_NUM_SPARSE_CORES = {"v4": 4, "v5e": 0, "v5p": 4, "v6e": 2}

CHIPS: dict[str, TPUChip] = {
    name: TPUChip(name, int(ACCELERATORS[name].memory_bytes), num_sparse_cores)
    for name, num_sparse_cores in _NUM_SPARSE_CORES.items()
}
"""The generations by name."""

# What a TPU's machine calls itself (v5litepod-16), where it differs.
_ALIASES = {"v5litepod": "v5e"}


def attached_chip() -> TPUChip | None:
    """The chips of this machine, as its environment names them; None where it does not.

    Examples:
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, TPU_ACCELERATOR_TYPE="v5litepod-16"):
        ...     attached_chip().name
        'v5e'
    """
    name = re.sub(r"-\d+$", "", os.environ.get("TPU_ACCELERATOR_TYPE", ""))
    return CHIPS.get(_ALIASES.get(name, name))
