"""What is published of the chips of Cloud TPUs."""

from __future__ import annotations

import dataclasses
import os
import re


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


_GB = 10**9

CHIPS: dict[str, TPUChip] = {
    chip.name: chip
    for chip in (
        TPUChip("v4", 32 * _GB, 4),
        TPUChip("v5e", 16 * _GB, 0),
        TPUChip("v5p", 95 * _GB, 4),
        TPUChip("v6e", 32 * _GB, 2),
    )
}
"""The generations by name, as Google's pages of each describe them."""

# What a TPU's machine calls itself (v5litepod-16), where it differs.
_ALIASES = {"v5litepod": "v5e"}


def attached_chip() -> TPUChip | None:
    """The chips of this machine, as its environment names them; None where it does not.

    Example:
        >>> os.environ["TPU_ACCELERATOR_TYPE"] = "v5litepod-16"
        >>> attached_chip().name
        'v5e'
    """
    name = re.sub(r"-\d+$", "", os.environ.get("TPU_ACCELERATOR_TYPE", ""))
    return CHIPS.get(_ALIASES.get(name, name))
