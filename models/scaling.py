"""How long training would take on accelerators, by arithmetic: a roofline.

What a step computes, moves and exchanges follows from the configuration and the schema
(`workload`); what a chip can do is published (`accelerators`); what part of that is
reached is assumed, each assumption a field of `Assumptions`. Of the times that result,
the longest is a step's if everything overlaps, their sum if nothing does: two bounds.
Nothing here was measured on an accelerator.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from .accelerators import Slice
from .workload import NUMBER_BYTES, DenseProgram, Workload

_TABLES = ("sharded", "copied")
_MAX_CHIPS = 1 << 14


@dataclasses.dataclass(frozen=True)
class Assumptions:
    """What is neither published nor follows from the configuration.

    Attributes:
        compute_efficiency: the part of the published operations a second that the
            matrix products reach.
        memory_efficiency: the part of the memory's bandwidth that is reached, rows of
            tables at random places among it.
        interconnect_efficiency: the part of the links' bandwidth that is reached.
        usable_memory: the part of a chip's memory that a program may take.
        tables: `sharded`: each chip has a part of every table's rows and sends what
            others look up; `copied`: each has all of them, and all gradients, as with
            `--strategy=mirrored`.
        copied_below: tables of fewer rows are copied in any case.
        exchange_bytes: of a number of a looked-up row, or of its gradient, on its way
            between chips.
        distinct: the part of a batch's looked-up rows that are updated singly; 1: no
            id comes twice, which is the most work.
        reader_examples_per_second: what a machine reads from blocks and decodes. Every
            machine reads whole batches and keeps its part, so that more machines do
            not read faster.
    """

    compute_efficiency: float = 0.5
    memory_efficiency: float = 0.7
    interconnect_efficiency: float = 0.7
    usable_memory: float = 0.9
    tables: str = "sharded"
    copied_below: int = 4096
    exchange_bytes: int = 4
    distinct: float = 1.0
    reader_examples_per_second: float = 4_636_437.0

    def validate(self) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        for name in (
            "compute_efficiency",
            "memory_efficiency",
            "interconnect_efficiency",
            "usable_memory",
            "distinct",
        ):
            part = getattr(self, name)
            if not 0 < part <= 1:
                raise ValueError(f"{name}: expected 0 < part <= 1, received {part!r}.")
        if self.tables not in _TABLES:
            raise ValueError(
                f"tables: expected one of {', '.join(_TABLES)}, received "
                f"{self.tables!r}."
            )
        if self.copied_below < 0:
            raise ValueError(
                f"copied_below: expected 0 or more rows, received {self.copied_below}."
            )
        if self.exchange_bytes not in (1, 2, 4):
            raise ValueError(
                f"exchange_bytes: expected 1, 2 or 4, received {self.exchange_bytes}."
            )
        if not self.reader_examples_per_second > 0:
            raise ValueError(
                "reader_examples_per_second: expected a number above 0, received "
                f"{self.reader_examples_per_second}."
            )


@dataclasses.dataclass(frozen=True)
class TableTraffic:
    """What a step does with the tables, on one chip.

    Attributes:
        memory_bytes: bytes from and to memory.
        all_to_all_bytes: what a chip holds for all chips, itself included, in all
            exchanges together: ids, rows, gradients.
        all_reduce_bytes: gradients of whole tables that chips add up.
        gathered_bytes: gradients of rows, of all chips, that each gets.
        held_bytes: weights and slots in its memory, and gradients of whole tables.
    """

    memory_bytes: float
    all_to_all_bytes: float
    all_reduce_bytes: float
    gathered_bytes: float
    held_bytes: float


def table_traffic(
    workload: Workload, num_chips: int, assumptions: Assumptions
) -> TableTraffic:
    """What a step does with the tables, spread evenly, on one of several chips.

    Of a sharded table's L looked-up rows (L: batch × lookups ÷ chips) of r bytes, with
    s slots, and V vectors (V: batch ÷ chips) of e bytes that are exchanged:

        memory:     L r (1 + 1 + 2 (1 + s) distinct) + 2 V e
        all to all: 4 L + 2 V e

    that is: rows read; gradients read; weights and slots read and written; vectors, and
    then their gradients, written where they arrive. On the way are ids, vectors and
    gradients. (A table of several values an example is taken to be on one chip, which
    sums them.)

    A table below `copied_below` rows, S bytes in all, is read at 2 L r, and updated as
    a whole at S (2 + 2 (1 + s)): its gradient is added up. Where all are copied, the
    gradients of all n L rows come to each chip, which updates them all:

        memory:     L r + n L r (2 + 2 (1 + s) distinct)
    """
    examples = workload.batch_size / num_chips
    slots = workload.slots
    memory = exchanged = reduced = gathered = held = 0.0
    update = 2 * (1 + slots)
    for table in workload.tables:
        row = NUMBER_BYTES * table.width
        looked_up = examples * table.lookups
        if table.num_rows < assumptions.copied_below:
            memory += 2 * looked_up * row + table.num_bytes * (2 + update)
            reduced += table.num_bytes
            held += table.num_bytes * (2 + slots)
        elif assumptions.tables == "copied":
            of_all = num_chips * looked_up * row
            memory += looked_up * row + of_all * (2 + update * assumptions.distinct)
            gathered += of_all
            held += table.num_bytes * (1 + slots)
        else:
            vectors = examples * table.width * assumptions.exchange_bytes
            memory += looked_up * row * (2 + update * assumptions.distinct)
            memory += 2 * vectors
            exchanged += NUMBER_BYTES * looked_up + 2 * vectors
            held += table.num_bytes * (1 + slots) / num_chips
    return TableTraffic(memory, exchanged, reduced, gathered, held)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A step and a pass on some chips.

    Attributes:
        name: the chips.
        num_chips: how many.
        num_hosts: machines that they are in.
        dense_origin: where the dense program's figures are from.
        compute_seconds: of a step: matrix products.
        memory_seconds: of a step: bytes from and to memory.
        interconnect_seconds: of a step: exchange between chips.
        input_seconds: of a step: reading, decoding and feeding the batch.
        memory_bytes: taken on a chip.
        num_steps: steps of a pass.
        batch_size: examples of a step.
        price_per_hour: of all chips.
    """

    name: str
    num_chips: int
    num_hosts: int
    dense_origin: str
    compute_seconds: float
    memory_seconds: float
    interconnect_seconds: float
    input_seconds: float
    memory_bytes: float
    num_steps: int
    batch_size: int
    price_per_hour: float

    @property
    def parts(self) -> dict[str, float]:
        """The seconds of a step by what they are spent on."""
        return {
            "compute": self.compute_seconds,
            "memory": self.memory_seconds,
            "interconnect": self.interconnect_seconds,
            "input": self.input_seconds,
        }

    @property
    def bound_by(self) -> str:
        """What takes longest."""
        return max(self.parts, key=lambda part: self.parts[part])

    @property
    def step_seconds(self) -> tuple[float, float]:
        """Of a step: if everything overlaps, and if nothing does."""
        return max(self.parts.values()), sum(self.parts.values())

    @property
    def device_seconds(self) -> tuple[float, float]:
        """The same without the input."""
        parts = [self.parts[part] for part in ("compute", "memory", "interconnect")]
        return max(parts), sum(parts)

    @property
    def examples_per_second(self) -> tuple[float, float]:
        """At these two step times."""
        fast, slow = (self.batch_size / seconds for seconds in self.step_seconds)
        return fast, slow

    @property
    def hours(self) -> tuple[float, float]:
        """Of a pass, at these two step times."""
        fast, slow = (self.num_steps * s / 3600 for s in self.step_seconds)
        return fast, slow

    @property
    def cost(self) -> tuple[float, float]:
        """Of a pass, in USD."""
        fast, slow = (hours * self.price_per_hour for hours in self.hours)
        return fast, slow

    @property
    def input_keeps_up(self) -> str:
        """`yes`, `no`, or `perhaps`: if the chips overlap nothing, but not else."""
        fast, slow = self.device_seconds
        if self.input_seconds <= fast:
            return "yes"
        return "perhaps" if self.input_seconds <= slow else "no"

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values."""
        derived = (
            "bound_by",
            "step_seconds",
            "device_seconds",
            "examples_per_second",
            "hours",
            "cost",
            "input_keeps_up",
        )
        return dataclasses.asdict(self) | {
            name: getattr(self, name) for name in derived
        }


class MemoryShortageError(ValueError):
    """Chips that do not hold the tables, with the number that would in the message."""


def predict(
    workload: Workload,
    chips: Slice,
    assumptions: Assumptions | None = None,
    program: DenseProgram | None = None,
    price_per_hour: float | None = None,
) -> Prediction:
    """The time and the cost of a pass.

    Args:
        workload: what is trained.
        chips: on what.
        assumptions: by default `Assumptions()`.
        program: the compiled dense program on one of these chips; by default it is
            counted.
        price_per_hour: of a chip; by default the published one.

    Raises:
        MemoryShortageError: tables and program take more memory than a chip has.
        ValueError: an impossible assumption, or a program for other chips or another
            part of the batch.

    Examples:
        >>> from smelu_tf.models import accelerators, scaling
        >>> from smelu_tf.pipelines.presets import CRITEO_1TB
        >>> workload = Workload.of(PRESETS["criteo_1tb"](), CRITEO_1TB)
        >>> scaling.predict(workload, accelerators.parse_slice("v5e:4x4")).bound_by
        'input'
    """
    assumptions = assumptions or Assumptions()
    assumptions.validate()
    accelerator, num_chips = chips.accelerator, chips.num_chips
    examples = math.ceil(workload.batch_size / num_chips)
    if program is None:
        program = DenseProgram.counted(workload, examples)
    elif not program.fits(chips, workload.batch_size):
        raise ValueError(
            f"program: expected one for {chips.name} and {examples} examples a chip, "
            f"received {program.origin}, of {program.num_examples} examples."
        )
    traffic = table_traffic(workload, num_chips, assumptions)
    taken = program.peak_bytes + traffic.held_bytes
    usable = accelerator.memory_bytes * assumptions.usable_memory
    if taken > usable:
        raise MemoryShortageError(
            f"{chips.name}: expected at most {usable / 1e9:.1f} GB taken on a chip, "
            f"received {taken / 1e9:.1f} GB; "
            f"{_enough_chips(workload, usable, assumptions)}."
        )
    compute = program.flops / accelerator.flops / assumptions.compute_efficiency
    moved = program.bytes_accessed + traffic.memory_bytes
    memory = moved / accelerator.memory_bandwidth / assumptions.memory_efficiency
    reduced = program.all_reduce_bytes + traffic.all_reduce_bytes
    exchange = (
        chips.all_to_all_seconds(traffic.all_to_all_bytes)
        + chips.all_reduce_seconds(reduced + traffic.gathered_bytes / 2)
    ) / assumptions.interconnect_efficiency
    price = accelerator.price_per_hour if price_per_hour is None else price_per_hour
    return Prediction(
        name=chips.name,
        num_chips=num_chips,
        num_hosts=chips.num_hosts,
        dense_origin=program.origin,
        compute_seconds=compute,
        memory_seconds=memory,
        interconnect_seconds=exchange,
        # Stages of a pipeline: the slowest counts.
        input_seconds=max(
            workload.batch_size / assumptions.reader_examples_per_second,
            workload.batch_size
            * workload.stored_bytes
            / accelerator.host_network_bandwidth,
            examples * workload.fed_bytes / accelerator.host_link_bandwidth,
        ),
        memory_bytes=taken,
        num_steps=math.ceil(workload.num_examples / workload.batch_size),
        batch_size=workload.batch_size,
        price_per_hour=price * num_chips,
    )


def _enough_chips(workload: Workload, usable: float, assumptions: Assumptions) -> str:
    """How many chips would do, the next power of 2, as the end of a sentence."""
    num_chips = 1
    while num_chips <= _MAX_CHIPS:
        examples = math.ceil(workload.batch_size / num_chips)
        program = DenseProgram.counted(workload, examples)
        held = table_traffic(workload, num_chips, assumptions).held_bytes
        if program.peak_bytes + held <= usable:
            return f"{num_chips} chips would do"
        num_chips *= 2
    return f"no number of chips up to {_MAX_CHIPS} would do"
