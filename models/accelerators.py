"""Published figures of accelerators, and what chips exchange at best.

Each figure has its source beside it, read in November 2026. Pages change, prices above
all: what matters is looked up again. Nothing here was measured.
"""

from __future__ import annotations

import dataclasses
import math
import re

_CLOUD = "docs.cloud.google.com/tpu/docs"
_BOOK = "github.com/jax-ml/scaling-book, tpus.md"
_PRICES = (
    "USD an hour, on demand: github.com/skypilot-org/skypilot-catalog, "
    "catalogs/v8/{file}, {row}"
)


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """A chip, and the machine that it is in. Rates are a second.

    Attributes:
        name: what `parse_slice` knows it by.
        flops: operations, of bfloat16 numbers multiplied in matrices.
        memory_bytes: of its memory (HBM).
        memory_bandwidth: bytes from and to it.
        num_axes: of the mesh that chips are in; 0: all are at one switch.
        max_axis: chips along an axis, or at the switch.
        rings: which axes are closed to rings: `cubes`: all, if each is a multiple of 4;
            `sixteens`: those of 16 chips.
        link_bandwidth: bytes one way, over a link to a neighbour, or to the switch.
        chips_per_host: chips of a machine.
        host_link_bandwidth: bytes one way between the machine and one chip.
        host_network_bandwidth: bytes that a machine receives.
        price_per_hour: of a chip with its part of the machine, in USD.
        sources: of these figures, a sentence each.
    """

    name: str
    flops: float
    memory_bytes: float
    memory_bandwidth: float
    num_axes: int
    max_axis: int
    rings: str
    link_bandwidth: float
    chips_per_host: int
    host_link_bandwidth: float
    host_network_bandwidth: float
    price_per_hour: float
    sources: tuple[str, ...]


ACCELERATORS: dict[str, Accelerator] = {
    accelerator.name: accelerator
    for accelerator in (
        Accelerator(
            name="v4",
            flops=275e12,
            memory_bytes=32 * 2**30,
            memory_bandwidth=1200e9,
            num_axes=3,
            max_axis=16,
            rings="cubes",
            link_bandwidth=45e9,
            chips_per_host=4,
            host_link_bandwidth=15e9,
            host_network_bandwidth=25e9,
            price_per_hour=3.22,
            sources=(
                f"FLOPs, memory: {_CLOUD}/v4",
                f"links, rings, hosts and their bandwidths: {_BOOK}",
                _PRICES.format(file="gcp/vms.csv", row="tpu-v4-8 in us-central2 ÷ 4"),
            ),
        ),
        Accelerator(
            name="v5e",
            flops=197e12,
            memory_bytes=16e9,
            memory_bandwidth=819e9,
            num_axes=2,
            max_axis=16,
            rings="sixteens",
            link_bandwidth=45e9,
            chips_per_host=8,
            host_link_bandwidth=15e9,
            host_network_bandwidth=25e9,
            price_per_hour=1.20,
            sources=(
                f"FLOPs, memory, hosts, network (2 x 100 Gbit/s): {_CLOUD}/v5e",
                f"links, rings, bandwidth between host and chip: {_BOOK}",
                _PRICES.format(
                    file="gcp/vms.csv", row="tpu-v5litepod-1 in us-central1"
                ),
            ),
        ),
        Accelerator(
            name="v5p",
            flops=459e12,
            memory_bytes=95 * 2**30,
            memory_bandwidth=2765e9,
            num_axes=3,
            max_axis=24,
            rings="cubes",
            link_bandwidth=90e9,
            chips_per_host=4,
            host_link_bandwidth=15e9,
            host_network_bandwidth=25e9,
            price_per_hour=4.20,
            sources=(
                f"FLOPs, memory, network (50 Gbit/s a chip): {_CLOUD}/v5p-training",
                f"links, rings, hosts, bandwidth between host and chip: {_BOOK}",
                _PRICES.format(
                    file="gcp/vms.csv", row="tpu-v5p-12288 in us-central1 ÷ 6144"
                ),
            ),
        ),
        Accelerator(
            name="v6e",
            flops=918e12,
            memory_bytes=32e9,
            memory_bandwidth=1638e9,
            num_axes=2,
            max_axis=16,
            rings="sixteens",
            link_bandwidth=90e9,
            chips_per_host=8,
            host_link_bandwidth=32e9,
            host_network_bandwidth=25e9,
            price_per_hour=2.70,
            sources=(
                f"FLOPs, memory, hosts: {_CLOUD}/v6e",
                f"links, rings, bandwidths of the host: {_BOOK}",
                _PRICES.format(file="gcp/vms.csv", row="tpu-v6e-1 in us-central1"),
            ),
        ),
        Accelerator(
            name="h100",
            flops=989.4e12,
            memory_bytes=80e9,
            memory_bandwidth=3350e9,
            num_axes=0,
            max_axis=8,
            rings="none",
            link_bandwidth=450e9,
            chips_per_host=8,
            host_link_bandwidth=64e9,
            host_network_bandwidth=25e9,
            price_per_hour=3.99,
            sources=(
                "FLOPs (SXM5, not sparse), memory's bandwidth, NVLink (900 GB/s both "
                "ways), PCIe (128 GB/s both ways): "
                "glennklockwood.com/garden/processors/h100, from NVIDIA's white paper; "
                "NVLink also github.com/mlcommons/training_results_v4.1, "
                "NVIDIA/systems/eos_ngc24.04_merlin_hugectr.json",
                "memory: the same file (81559 MiB; 80 GB is taken)",
                "network of the host: assumed, that of the TPUs' hosts",
                _PRICES.format(file="lambda/vms.csv", row="gpu_8x_h100_sxm5 ÷ 8"),
            ),
        ),
    )
}
"""The accelerators by their names: TPUs, and NVIDIA's H100 in a machine of eight."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """Chips that work together.

    Attributes:
        accelerator: what they are.
        shape: how many along each axis; of a switch, one number.
    """

    accelerator: Accelerator
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """As `parse_slice` takes it."""
        return f"{self.accelerator.name}:{'x'.join(map(str, self.shape))}"

    @property
    def num_chips(self) -> int:
        """How many chips."""
        return math.prod(self.shape)

    @property
    def num_hosts(self) -> int:
        """How many machines."""
        return math.ceil(self.num_chips / self.accelerator.chips_per_host)

    def all_to_all_seconds(self, num_bytes: float) -> float:
        """The time in which every chip gives each chip its part of what it holds.

        At a switch D (n - 1) / n / b, of D bytes a chip, n chips and links of b bytes
        a second. In a mesh what crosses the middle of an axis decides: of an axis of a
        chips, with l = floor(a / 2) on one side, D l (a - l) / a / b; half of it if
        the axis is a ring, which is cut in two places. The longest axis counts.

        Args:
            num_bytes: what a chip holds, its own part included.
        """
        link = self.accelerator.link_bandwidth
        if not self.accelerator.num_axes:
            others = (self.num_chips - 1) / self.num_chips
            return num_bytes * others / link
        return max(
            num_bytes * (n // 2) * (n - n // 2) / n / (link * ways)
            for n, ways in zip(self.shape, self._ways(), strict=True)
        )

    def all_reduce_seconds(self, num_bytes: float) -> float:
        """The time in which all chips get the sum of what each holds.

        2 G (n - 1) / n bytes of G leave each chip, over all its axes at once: over one
        link of each, over both where it is a ring. Gathering the parts of G takes half
        of it.

        Args:
            num_bytes: what a chip holds, as much as the sum takes.
        """
        others = (self.num_chips - 1) / self.num_chips
        if not others:
            return 0.0
        links = 1
        if self.accelerator.num_axes:
            axes = zip(self.shape, self._ways(), strict=True)
            links = sum(ways for n, ways in axes if n > 1)
        return 2 * num_bytes * others / (links * self.accelerator.link_bandwidth)

    def _ways(self) -> list[int]:
        """Of each axis 2 if it is a ring, else 1."""
        if self.accelerator.rings == "cubes":
            is_ring = all(n % 4 == 0 for n in self.shape)
            return [2 if is_ring else 1 for _ in self.shape]
        return [2 if n == 16 else 1 for n in self.shape]


def parse_slice(text: str) -> Slice:
    """The chips of a name.

    Args:
        text: an accelerator and the shape of its mesh, `v5e:4x4` or `v4:2x2x4`, or the
            number of GPUs, `h100:8`.

    Raises:
        ValueError: an unknown accelerator, or a shape that it does not have.

    Examples:
        >>> parse_slice("v5e:4x4").num_chips
        16
    """
    name, _, shape = text.partition(":")
    if name not in ACCELERATORS:
        names = ", ".join(ACCELERATORS)
        raise ValueError(
            f"accelerator: expected one of {names}, received {name or text!r}."
        )
    accelerator = ACCELERATORS[name]
    sizes = re.fullmatch(r"\d+(x\d+)*", shape) and [int(n) for n in shape.split("x")]
    num_axes, most = accelerator.num_axes or 1, accelerator.max_axis
    if not sizes or len(sizes) != num_axes or not all(1 <= n <= most for n in sizes):
        example = "x".join("4" * num_axes)
        raise ValueError(
            f"accelerator: expected a shape as in {name}:{example}, numbers from 1 to "
            f"{most}, received {text!r}."
        )
    return Slice(accelerator, tuple(sizes))
