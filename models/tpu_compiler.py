"""Compiles TensorFlow programs by the TPU compiler, where there is no TPU.

TensorFlow traces a function to StableHLO, jax hands that to libtpu, which compiles it
for the chips of a topology. Nothing is run, and no weight is read.

This is the one file that knows how the two are put together. It uses no private name,
but of jax the parts that change between versions (`jax.extend`, `jax.interpreters`,
`jax.experimental.topologies`), the text of TensorFlow's StableHLO, and that of the
compiler's programs. Where they no longer fit, `compile_for_tpu` says so in a sentence.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.metadata
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines.files import reason_of

from .tpu_hlo import AllReduces, Fusion, all_reduces, fusions_of

_TESTED = "jax 0.10.2, libtpu 0.0.52 and tensorflow 2.21.0"

_PARTS_OF_JAX = (
    "jax.experimental.topologies",
    "jax.extend.core",
    "jax.extend.mlir.dialects.func",
    "jax.extend.mlir.ir",
    "jax.interpreters.mlir",
)

# libtpu expects the machine of a TPU. What it would ask there, it is told.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",  # or it waits for a cloud's metadata server
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",  # any; the topology's name is what counts
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LOG_DIR": "disabled",  # or it leaves files of logs
    # Or a second process that compiles is refused: a lock is held as if on a chip.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


class TPUCompilerError(Exception):
    """A program that was not compiled, with the reason in one sentence."""


class TPUMemoryError(TPUCompilerError):
    """A program that takes more memory than a chip has."""


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

    Example:
        >>> program = compile_for_tpu(tf.nn.relu, [tf.TensorSpec([8, 128])], "v5e:2x2")
        >>> program.bytes_accessed, program.peak_bytes
        (8192, 8192)
    """
    text = _stablehlo(function, specs)
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
        lowered = _lowered(jax, text, specs, chips[:num_chips])
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


def _stablehlo(function: Callable[..., Any], specs: Sequence[tf.TensorSpec]) -> str:
    """A function as the text of a StableHLO module."""
    unknown = [spec for spec in specs if not spec.shape.is_fully_defined()]
    if unknown:
        raise TPUCompilerError(
            "specs: expected static shapes, the only ones that a TPU program has, "
            f"received {unknown[0].shape}."
        )
    # Of its arguments it is to have those of the specs alone.
    traced = tf.function(
        lambda *values: function(*values), jit_compile=True, autograph=False
    )
    try:
        # "TPU" would be refused for want of a device that holds the variables.
        return traced.experimental_get_compiler_ir(*specs)(
            stage="stablehlo", platform_name="CPU"
        )
    except (ValueError, tf.errors.OpError) as error:
        raise TPUCompilerError(
            f"expected a program that XLA compiles, received another: {_reason(error)}"
        ) from None


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
        for part in _PARTS_OF_JAX:
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
            f"{type(error).__name__}: {_reason(error)}"
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
            f"{topology!r}: {_reason(error)}"
        ) from None
    return list(devices)


def _lowered(
    jax: Any, text: str, specs: Sequence[tf.TensorSpec], chips: list[Any]
) -> Any:
    """A StableHLO module as a jax program for chips, not yet compiled."""
    arguments, results, replaced = _signature(jax, text)
    mesh = jax.sharding.Mesh(np.array(chips), ("batch",))
    on_all, split = (
        jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
        for axes in ((), ("batch",))
    )
    shardings = [split if spec.shape.rank else on_all for spec in specs]
    # Behind the arguments come the variables.
    shardings += [on_all] * (len(arguments) - len(shardings))

    def program(*values: Any) -> Any:
        return _primitive(jax).bind(*values, text=text, results=results)

    jitted = jax.jit(
        program,
        in_shardings=tuple(shardings),
        # Where the batch's results are, is the compiler's choice.
        out_shardings=[on_all if i in replaced else None for i in range(len(results))],
        donate_argnums=tuple(replaced.values()),
        keep_unused=True,
    )
    return jitted.trace(*arguments).lower(lowering_platforms=("tpu",))


def _signature(
    jax: Any, text: str
) -> tuple[list[Any], tuple[Any, ...], dict[int, int]]:
    """A module's arguments and results, and which argument a result replaces."""
    with jax.interpreters.mlir.make_ir_context():
        module = _parsed(jax.extend.mlir.ir, text)
        main = _main(module)
        arguments = [_shape(jax, str(kind)) for kind in main.type.inputs]
        results = tuple(_shape(jax, str(kind)) for kind in main.type.results)
        aliases = ""
        if "mhlo.input_output_alias" in module.operation.attributes:
            aliases = str(module.operation.attributes["mhlo.input_output_alias"])
    pairs = re.findall(
        r"parameter_number = (\d+).*?output_index = array<i64(?:: (\d+))?>", aliases
    )
    return arguments, results, {int(end or 0): int(start) for start, end in pairs}


def _parsed(ir: Any, text: str) -> Any:
    """A module of its text, which TensorFlow's StableHLO may have written otherwise."""
    try:
        return ir.Module.parse(text)
    except ir.MLIRError as error:
        raise NotImplementedError(_reason(error)) from None


def _main(module: Any) -> Any:
    """A module's entry."""
    for operation in module.body.operations:
        if "sym_name" in operation.attributes:
            if operation.attributes["sym_name"].value == "main":
                return operation
    raise AttributeError("a StableHLO module without a function main")


def _shape(jax: Any, kind: str) -> Any:
    """A tensor type's text, as `tensor<8x128xf32>`, as jax's shape and dtype."""
    if "?" in kind:
        raise TPUCompilerError(
            "expected results of static shapes, the only ones that a TPU program has, "
            f"received a {kind}."
        )
    *sizes, element = kind.removeprefix("tensor<").removesuffix(">").split("x")
    name = re.sub(r"^ui", "uint", element)
    name = {"i1": "bool", "bf16": "bfloat16"}.get(name, name)
    name = re.sub(r"^(i|f)(?=\d+$)", lambda m: {"i": "int", "f": "float"}[m[1]], name)
    return jax.ShapeDtypeStruct([int(size) for size in sizes], jax.numpy.dtype(name))


@functools.cache
def _primitive(jax: Any) -> Any:
    """An operation of jax that is a StableHLO module."""
    primitive = jax.extend.core.Primitive("tensorflow")
    primitive.multiple_results = True

    @primitive.def_abstract_eval
    def _(*_: Any, text: str, results: Sequence[Any]) -> list[Any]:
        return [jax.core.ShapedArray(each.shape, each.dtype) for each in results]

    def lower(context: Any, *values: Any, text: str, results: Any) -> Any:
        ir, func = jax.extend.mlir.ir, jax.extend.mlir.dialects.func
        module = _parsed(ir, text)
        _drop_copies(ir, module)
        kinds = _main(module).type.results
        name = jax.interpreters.mlir.merge_mlir_modules(
            context.module_context.module,
            "tensorflow",
            module,
            dst_symtab=context.module_context.symbol_table,
        )
        call = func.CallOp(kinds, ir.FlatSymbolRefAttr.get(name), list(values))
        return call.results

    jax.interpreters.mlir.register_lowering(primitive, lower, platform="tpu")
    return primitive


def _drop_copies(ir: Any, module: Any) -> None:
    """Takes out copies: TensorFlow puts some in that the TPU compiler does not know."""
    copies = []

    def collect(operation: Any) -> Any:
        if operation.name == "mhlo.copy":
            copies.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for copy in copies:
        copy.operation.results[0].replace_all_uses_with(copy.operation.operands[0])
        copy.operation.erase()


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
    return kind(f"{topology}: the TPU compiler refuses the program: {_reason(error)}")


def _reason(error: Exception) -> str:
    """What an error says, without the codes at its front."""
    return re.sub(r"^(([A-Z_]+|E\d+|CompileTime\w+): )+", "", reason_of(error))
