"""A function in a process of its own, whose operations have so many threads."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def in_process(num_threads: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process whose operations have so many threads."""
    pool = concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), _use_threads, (num_threads,)
    )
    try:
        with pool:
            process = pool.submit(os.getpid).result()
            try:
                return pool.submit(function, *arguments).result()
            except BaseException:  # an interrupt waits for no training
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
                raise
    except concurrent.futures.BrokenExecutor:
        raise ChildProcessError(
            f"expected a process of {num_threads} threads to end its training, "
            "received one that was lost (was there memory enough?)."
        ) from None


def _use_threads(number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end without a traceback
    tf.config.threading.set_intra_op_parallelism_threads(number)
