"""Forward and backward pass of activations, relative to ReLU's in the same mode."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

import smelu_tf
from benchmarks.report import Result
from benchmarks.timing import interleaved_seconds, median_ratio
from command_line import aligned
from smelu_tf.functional import DENSITIES

Activation = Callable[[tf.Tensor], tf.Tensor]

DTYPES = ("float32", "bfloat16")
MODES = ("eager", "graph", "xla")
REFERENCE = "relu"
TWIN = "relu (again)"  # the reference once more: how far equal things differ


def activations() -> dict[str, Activation]:
    """The functions compared, by name.

    Raises:
        ImportError: a package of the extra `benchmark` is not installed.
    """
    import keras

    try:
        from tf_smelu import smelu as tf_smelu
    except ImportError as error:
        raise ImportError(
            "the benchmark compares with tf-smelu, which is not installed: "
            "pip install 'smelu-tf[benchmark]'."
        ) from error
    return {
        REFERENCE: tf.nn.relu,
        TWIN: tf.nn.relu,
        "smelu": smelu_tf.smelu,
        "smelu-ops": functools.partial(_with_kernel, "ops"),
        "smelu-xla": functools.partial(_with_kernel, "xla"),
        "gsmelu": functools.partial(smelu_tf.gsmelu, g_minus=0.1),
        **{
            f"rescu-{density}": functools.partial(smelu_tf.rescu, density=density)
            for density in DENSITIES
            if density != "uniform"
        },
        "gelu": tf.nn.gelu,
        "swish": tf.nn.silu,
        "softplus": tf.nn.softplus,
        "keras-sparse_plus": keras.ops.sparse_plus,
        "tf-smelu": tf_smelu,
    }


def settings(sizes: Sequence[int]) -> list[tuple[int, str, str]]:
    """What is timed: each size in each dtype and mode."""
    return [(s, d, m) for s in sizes for d in DTYPES for m in MODES]


def measure(
    sizes: Sequence[int], seconds: float, show: Callable[[int], None]
) -> list[Result]:
    """Times forward and backward passes, and counts the bytes kept between the two.

    Args:
        sizes: numbers of elements.
        seconds: about how long the timing may take.
        show: is told how many of the settings are done.

    Returns:
        `{function}/{mode}/{dtype}/{size}` as a ratio to ReLU's time in the same mode,
        dtype and size, `relu/…` in seconds, and `{function}/kept/{dtype}` in bytes an
        element.
    """
    functions = activations()
    results = []
    todo = settings(sizes)
    for done, (size, dtype, mode) in enumerate(todo):
        show(done)
        calls = {
            name: _call(function, mode, dtype, size)
            for name, function in functions.items()
        }
        for call in calls.values():  # traces and compiles
            call()
            call()
        times = interleaved_seconds(calls, seconds / len(todo), rounds=7)
        where = f"{mode}/{dtype}/{size}"
        reference = times[REFERENCE]
        results.append(
            Result(f"{REFERENCE}/{where}", statistics.median(reference), "s")
        )
        results += [
            Result(f"{name}/{where}", median_ratio(times[name], reference), REFERENCE)
            for name in functions
            if name != REFERENCE
        ]
    return results + list(_kept(functions))


def table(results: Sequence[Result]) -> str:
    """The ratios, a table for each dtype, and the bytes kept."""
    values = {result.name: result.value for result in results}
    names = list(dict.fromkeys(result.name.split("/")[0] for result in results))
    parts = [
        "Time of forward + backward pass: relu's in ms, the others' relative to it."
    ]
    timed = [name.split("/") for name in values if name.startswith(f"{REFERENCE}/")]
    sizes = dict.fromkeys(int(parts[-1]) for parts in timed if len(parts) == 4)
    columns = [(size, mode) for size in sizes for mode in MODES]
    for dtype in DTYPES:
        rows = [
            [dtype, *[f"{size:.3g}" for size, _ in columns], "kept"],
            ["", *[mode for _, mode in columns], "B/element"],
        ]
        for name in names:
            cells = [values[f"{name}/{mode}/{dtype}/{size}"] for size, mode in columns]
            shown = [
                f"{cell * 1e3:.2f}" if name == REFERENCE else f"{cell:.2f}"
                for cell in cells
            ]
            kept = values.get(f"{name}/kept/{dtype}")
            rows.append([name, *shown, "" if kept is None else f"{kept:.0f}"])
        parts.append(aligned(rows))
    return "\n\n".join(parts)


def _call(
    function: Activation, mode: str, dtype: str, size: int
) -> Callable[[], object]:
    x = tf.cast(tf.random.stateless_normal([size], seed=[0, 0]), dtype)
    dy = tf.ones_like(x)
    # A partial, not a closure: TensorFlow would count one closure's code as retraced.
    step: Callable[..., Any] = functools.partial(_step, function)
    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "xla", autograph=False)
    return lambda: step(x, dy)


def _step(function: Activation, x: tf.Tensor, dy: tf.Tensor) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    # The output leaves too, as it does to a next layer.
    return y, tape.gradient(y, x, output_gradients=dy)


def _with_kernel(policy: smelu_tf.kernel.KernelPolicy, x: tf.Tensor) -> tf.Tensor:
    before = smelu_tf.get_kernel()
    smelu_tf.set_kernel(policy)
    try:
        return smelu_tf.smelu(x)
    finally:
        smelu_tf.set_kernel(before)


def _kept(functions: dict[str, Activation]) -> Iterator[Result]:
    for dtype in DTYPES:
        for name, function in functions.items():
            if name != TWIN:
                kept = kept_bytes(function, dtype)
                yield Result(f"{name}/kept/{dtype}", kept, "bytes/element")


def kept_bytes(function: Activation, dtype: str, size: int = 1 << 20) -> float:
    """The bytes an element that are kept between forward and backward pass.

    Of a traced function: the output, which a next layer keeps anyway, and every other
    tensor of the size of x that operations of the gradient take from before them.
    """
    spec = tf.TensorSpec([size], tf.as_dtype(dtype))
    num_forward = 0

    @tf.function(autograph=False)
    def forward_and_backward(x: tf.Tensor, dy: tf.Tensor) -> Any:
        nonlocal num_forward
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        num_forward = len(x.graph.get_operations())
        return y, tape.gradient(y, x, output_gradients=dy)

    graph = forward_and_backward.get_concrete_function(spec, spec).graph
    backward = graph.get_operations()[num_forward:]
    taken = {_source(tensor) for op in backward for tensor in op.inputs}
    given = {tensor.ref() for op in backward for tensor in op.outputs}
    kept = taken | {_source(graph.outputs[0])}
    kept -= given | {graph.inputs[1].ref()}
    tensors = [reference.deref() for reference in kept]
    return sum(t.dtype.size for t in tensors if t.shape.num_elements() == size)


def _source(tensor: tf.Tensor) -> Any:
    """The tensor behind identities, which are no copies."""
    while tensor.op.type in ("Identity", "IdentityN", "StopGradient"):
        index = tensor.value_index if tensor.op.type == "IdentityN" else 0
        tensor = tensor.op.inputs[index]
    return tensor.ref()
