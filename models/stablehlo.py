"""A TensorFlow function as StableHLO, and StableHLO as a program of jax.

It uses no private name, but of jax the parts that change between versions
(`PARTS_OF_JAX`), and the text of TensorFlow's StableHLO. What no longer fits is an
AttributeError, KeyError, NotImplementedError or TypeError here, and a sentence in
`tpu_compiler`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .tpu_errors import TPUCompilerError, compiler_reason

PARTS_OF_JAX = (
    "jax.extend.core",
    "jax.extend.mlir.dialects.func",
    "jax.extend.mlir.ir",
    "jax.interpreters.mlir",
)
"""What has to be imported of jax, besides jax itself."""


def stablehlo_of(function: Callable[..., Any], specs: Sequence[tf.TensorSpec]) -> str:
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
            "expected a program that XLA compiles, received another: "
            f"{compiler_reason(error)}"
        ) from None


def lowered_for(
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
        raise NotImplementedError(compiler_reason(error)) from None


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
