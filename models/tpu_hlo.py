"""What the text of a compiled TPU program tells: fusions, and what chips exchange.

The text is XLA's: computations with an instruction a line,

    %name = f32[8,128]{1,0} fusion(%a, %b), calls=%computation, metadata={op_name="…"}
"""

from __future__ import annotations

import dataclasses
import math
import re

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) .*\{$")
_INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ?(?<![\w-])([a-z][a-z0-9-]*)\("
)
_CALLED = re.compile(r"(?:calls|to_apply|body|condition)=%?([\w.-]+)")
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_SHAPE = re.compile(r"(pred|[a-z]+(\d+)[a-z0-9]*)\[([\d,]*)\]")

_MATMULS = {"convolution", "dot"}
# Instructions that compute nothing.
_PASSIVE = {
    "bitcast",
    "constant",
    "copy",
    "copy-done",
    "copy-start",
    "get-tuple-element",
    "parameter",
    "tuple",
}


@dataclasses.dataclass(frozen=True)
class Fusion:
    """A kernel of the program: what is computed in one pass over memory.

    Attributes:
        name: XLA's.
        scopes: the name scopes of the operations in it that were looked for.
        has_matmul: whether a matrix product or convolution is in it.
    """

    name: str
    scopes: tuple[str, ...]
    has_matmul: bool


@dataclasses.dataclass(frozen=True)
class AllReduces:
    """The all-reduces of a program.

    Attributes:
        count: how many.
        num_bytes: what they add up, in all.
    """

    count: int
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class _Instruction:
    """A line: its name, the text of its type, what it does and what it is made of."""

    name: str
    kind: str
    opcode: str
    called: tuple[str, ...]
    op_names: tuple[str, ...]


def fusions_of(text: str, scope: str) -> tuple[Fusion, ...]:
    """The kernels that hold operations of name scopes that begin with a word.

    Args:
        text: the program's.
        scope: the word.

    Examples:
        >>> text = '''ENTRY %main () -> f32[8] {
        ...   %fusion = f32[8] maximum(%a), metadata={op_name="activation_0/Relu"}
        ... '''
        >>> fusions_of(text, "activation")
        (Fusion(name='fusion', scopes=('activation_0',), has_matmul=False),)
    """
    computations = _computations(text)
    inside = {
        name
        for lines in computations.values()
        for line in lines
        if line.opcode != "while" and line.opcode != "call"
        for name in line.called
    }
    found = []
    for name, lines in computations.items():
        if name in inside:
            continue
        for line in lines:
            parts = [line, *_parts(line, computations)]
            scopes = {
                component
                for part in parts
                if part.opcode not in _PASSIVE
                for op_name in part.op_names
                for component in op_name.split("/")[:-1]
                if component.startswith(scope)
            }
            if scopes:
                has_matmul = any(part.opcode in _MATMULS for part in parts)
                found.append(Fusion(line.name, tuple(sorted(scopes)), has_matmul))
    return tuple(found)


def all_reduces(text: str) -> AllReduces:
    """The all-reduces of a program.

    Args:
        text: the program's.
    """
    found = [
        line
        for lines in _computations(text).values()
        for line in lines
        if line.opcode in ("all-reduce", "all-reduce-start")
    ]
    return AllReduces(len(found), sum(_num_bytes(line.kind) for line in found))


def _computations(text: str) -> dict[str, list[_Instruction]]:
    """The instructions of each computation."""
    found: dict[str, list[_Instruction]] = {}
    lines: list[_Instruction] = []
    for text_line in text.splitlines():
        start = _COMPUTATION.match(text_line)
        if start:
            lines = found.setdefault(start[1], [])
            continue
        match = _INSTRUCTION.match(text_line)
        if match:
            called = tuple(_CALLED.findall(text_line))
            op_names = tuple(
                part for name in _OP_NAME.findall(text_line) for part in name.split(";")
            )
            lines.append(_Instruction(match[1], match[2], match[3], called, op_names))
    return found


def _parts(
    line: _Instruction, computations: dict[str, list[_Instruction]]
) -> list[_Instruction]:
    """The instructions of all that a fusion is made of."""
    if line.opcode in ("while", "call"):
        return []
    parts = []
    for name in line.called:
        for part in computations.get(name, []):
            parts += [part, *_parts(part, computations)]
    return parts


def _num_bytes(kind: str) -> int:
    """The size of a type, or of a tuple of them, layouts and padding aside."""
    sizes = [
        math.prod(int(size) for size in dims.split(",") if size) * int(bits or 8) // 8
        for _, bits, dims in _SHAPE.findall(kind)
    ]
    return sum(sizes)
