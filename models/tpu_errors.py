"""Why a program was not compiled for TPUs."""

from __future__ import annotations

import re

from smelu_tf.pipelines.files import reason_of


class TPUCompilerError(Exception):
    """A program that was not compiled, with the reason in one sentence."""


class TPUMemoryError(TPUCompilerError):
    """A program that takes more memory than a chip has."""


def compiler_reason(error: Exception) -> str:
    """What an error says, without the codes at its front."""
    return re.sub(r"^(([A-Z_]+|E\d+|CompileTime\w+): )+", "", reason_of(error))
