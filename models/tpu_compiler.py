"""Compiles TensorFlow programs by the TPU compiler, where there is no TPU.

TensorFlow traces a function to StableHLO, jax hands that to libtpu, which compiles it
for the chips of a topology. Nothing is run, and no weight is read.

How the two are put together is known here and in `stablehlo` alone. Of what changes
between versions there are the parts of jax that are imported by name, the text of
TensorFlow's StableHLO, and that of the compiler's programs. Where they no longer fit,
`compile_for_tpu` says so in a sentence.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.metadata
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from .stablehlo import PARTS_OF_JAX, lowered_for, stablehlo_of
from .tpu_errors import TPUCompilerError, TPUMemoryError, compiler_reason
from .tpu_hlo import AllReduces, Fusion, all_reduces, fusions_of

_TESTED = "jax 0.10.2, libtpu 0.0.52 and tensorflow 2.21.0"

_TOPOLOGIES = "jax.experimental.topologies"

# libtpu expects the machine of a TPU. What it would ask there, it is told.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",  # or it waits for a cloud's metadata server
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",  # any; the topology's name is what counts
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LOG_DIR": "disabled",  # or it leaves files of logs
    # Or a second process that compiles is refused: a lock is held as if on a chip.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


@dataclasses.dataclass(frozen=True)
class CompiledProgram:
    """What the compiler says of a program. Each figure is of one chip.

    Attributes:
        topology: what it is compiled for.
        num_chips: how many chips share the batch.
        flops: floating-point operations.
        bytes_accessed: bytes that its kernels read and write, on-chip memory included.
        transcendentals: exponentials, roots, logarithms and their kin.
        argument_bytes: what it is given: weights, slots and its part of the batch.
        output_bytes: what it returns, updated weights included.
        aliased_bytes: of these, what takes the place of arguments.
        temp_bytes: what it needs besides. What fits into on-chip memory is not in it.
        fusions: the kernels that hold operations of an activation.
        all_reduces: what the chips exchange.
        compile_seconds: how long the compiler took.
    """

    topology: str
    num_chips: int
    flops: int
    bytes_accessed: int
    transcendentals: int
    argument_bytes: int
    output_bytes: int
    aliased_bytes: int
    temp_bytes: int
    fusions: tuple[Fusion, ...]
    all_reduces: AllReduces
    compile_seconds: float

    @property
    def peak_bytes(self) -> int:
        """HBM taken: arguments, temporaries, and outputs that replace no argument."""
        new = self.output_bytes - self.aliased_bytes
        return self.argument_bytes + self.temp_bytes + new


def compile_for_tpu(
    function: Callable[..., Any],
    specs: Sequence[tf.TensorSpec],
    topology: str,
    *,
    num_chips: int = 1,
    scope: str = "activation",
) -> CompiledProgram:
    """Compiles a function of tensors for one chip of a topology, or several.

    Variables that it captures are arguments of the program; what it assigns to them
    takes their place in memory, as in a training. On several chips the arguments are
    split along their first axis (scalars are given to all), variables are on every
    chip, and the compiler puts in what keeps them equal: the gradients' all-reduces.

    Args:
        function: of tensors, to tensors; a `tf.function` or what one can be made of.
        specs: of the arguments, all chips' together, every shape static.
        topology: the chips, as `v5e:2x2`, `v4:2x2x1`, `v5p:2x2x1` or `v6e:2x2`.
        num_chips: how many of them share the batch.
        scope: the beginning of the name scopes of the operations that
            `CompiledProgram.fusions` looks for.

    Raises:
        TPUCompilerError: TensorFlow or the compiler does not take the program; its
            kind `TPUMemoryError`: it does not fit into a chip's memory.
        ValueError: an unknown topology, or chips that it does not have.
        ImportError: jax or libtpu is not installed (names the command that installs
            them), or of a version that this file does not fit.

    Examples:
        >>> program = compile_for_tpu(tf.nn.relu, [tf.TensorSpec([8, 128])], "v5e:2x2")
        >>> program.bytes_accessed, program.peak_bytes
        (8192, 8192)
    """
    text = stablehlo_of(function, specs)
    with _compiler() as jax:
        chips = _chips(jax, topology)
        if not 1 <= num_chips <= len(chips):
            raise ValueError(
                f"num_chips: expected 1 to {len(chips)}, as {topology} has, received "
                f"{num_chips}."
            )
        for spec in specs:
            if spec.shape.rank and spec.shape[0] % num_chips:
                raise ValueError(
                    f"specs: expected a multiple of {num_chips} rows, a part for each "
                    f"chip, received {spec.shape[0]}."
                )
        lowered = lowered_for(jax, text, specs, chips[:num_chips])
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                # jax cannot read the programs of all chips, so libtpu writes them.
                compiled = lowered.compile(
                    {"xla_dump_to": folder, "xla_dump_hlo_as_text": True}
                )
            except jax.errors.JaxRuntimeError as error:
                raise _refusal(topology, error) from None
            optimized = _dumped(Path(folder))
        seconds = time.monotonic() - start
        cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
        return CompiledProgram(
            topology=topology,
            num_chips=num_chips,
            flops=int(cost["flops"]),
            bytes_accessed=int(cost["bytes accessed"]),
            transcendentals=int(cost.get("transcendentals", 0)),
            argument_bytes=memory.argument_size_in_bytes,
            output_bytes=memory.output_size_in_bytes,
            aliased_bytes=memory.alias_size_in_bytes,
            temp_bytes=memory.temp_size_in_bytes,
            fusions=fusions_of(optimized, scope),
            all_reduces=all_reduces(optimized),
            compile_seconds=seconds,
        )


def num_chips(topology: str) -> int:
    """How many chips a topology has.

    Raises:
        ValueError: an unknown topology.
        ImportError: as `compile_for_tpu`.
    """
    with _compiler() as jax:
        return len(_chips(jax, topology))


@contextlib.contextmanager
def _compiler() -> Iterator[Any]:
    """jax with libtpu, for as long as something is compiled.

    Turns what a change of jax, libtpu or TensorFlow breaks into one sentence.
    """
    for name in ("jax", "libtpu"):
        try:
            importlib.import_module(name)
        except ImportError:
            raise ImportError(
                "expected the packages jax and libtpu to compile for TPUs, received "
                f"no {name}; pip install 'smelu-tf[tpu-preflight]' (libtpu is there "
                "for Linux on x86-64 alone)"
            ) from None
    added = {k: v for k, v in _ENVIRONMENT.items() if k not in os.environ}
    os.environ.update(added)
    try:
        jax = importlib.import_module("jax")
        for part in (_TOPOLOGIES, *PARTS_OF_JAX):
            importlib.import_module(part)
        # TensorFlow counts steps in 64 bits, which jax would cut to 32.
        with jax.enable_x64(True):
            yield jax
    except (
        AttributeError,
        ImportError,
        KeyError,
        NotImplementedError,
        TypeError,
    ) as error:
        versions = ", ".join(
            f"{name} {importlib.metadata.version(name)}"
            for name in ("jax", "libtpu", "tensorflow")
        )
        raise ImportError(
            f"expected versions that work together, as {_TESTED}, received {versions}: "
            f"{type(error).__name__}: {compiler_reason(error)}"
        ) from error
    finally:
        for name in added:
            os.environ.pop(name, None)


def _chips(jax: Any, topology: str) -> list[Any]:
    """The devices of a topology, one a chip."""
    describe = functools.partial(
        jax.experimental.topologies.get_topology_desc, topology, platform="tpu"
    )
    try:
        devices = describe().devices
        if len({tuple(device.coords) for device in devices}) < len(devices):
            # Two cores a chip: here, as on jax's machines, they work as one.
            devices = describe(chip_config_name="megacore").devices
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(
            "topology: expected a name such as v5e:2x2 or v4:2x2x1, received "
            f"{topology!r}: {compiler_reason(error)}"
        ) from None
    return list(devices)


def _dumped(folder: Path) -> str:
    """The text of the compiled program that libtpu has written into a folder."""
    paths = list(folder.glob("*.after_optimizations.txt"))
    if len(paths) != 1:
        raise NotImplementedError(f"{len(paths)} texts of one compiled program")
    return paths[0].read_text(encoding="utf-8")


def _refusal(topology: str, error: Exception) -> TPUCompilerError:
    """The compiler's error, as ours."""
    is_memory = str(error).startswith("RESOURCE_EXHAUSTED")
    kind = TPUMemoryError if is_memory else TPUCompilerError
    return kind(
        f"{topology}: the TPU compiler refuses the program: {compiler_reason(error)}"
    )
