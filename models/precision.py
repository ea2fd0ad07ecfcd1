"""Which numbers the deep part computes in."""

from __future__ import annotations

import tensorflow as tf

from .config import TrainOptions

# Instructions that multiply matrices of bfloat16 numbers.
_FAST_BFLOAT16 = {"amx_bf16", "avx512_bf16"}


def dtype_policy(compute_dtype: str) -> str:
    """The Keras dtype policy of a `train.compute_dtype`.

    Args:
        compute_dtype: `float32`, `bfloat16`, `float16`, or `auto`: bfloat16 on a TPU,
            on GPUs that have it (compute capability 8 and above), and on processors
            with instructions for it; never float16.

    Returns:
        `float32`, `mixed_bfloat16` or `mixed_float16`: variables are float32 in all.
    """
    if compute_dtype == "auto":
        compute_dtype = "bfloat16" if _has_fast_bfloat16() else "float32"
    return compute_dtype if compute_dtype == "float32" else f"mixed_{compute_dtype}"


def set_numerics(options: TrainOptions) -> None:
    """Has this process compute deterministically, and with TF32, as the options say."""
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    is_allowed = options.tensor_float_32
    tf.config.experimental.enable_tensor_float_32_execution(is_allowed)


def _has_fast_bfloat16() -> bool:
    if tf.config.list_logical_devices("TPU"):
        return True
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get("compute_capability", (0, 0)) >= (8, 0)
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return False
    return not _FAST_BFLOAT16.isdisjoint(flags.split())
