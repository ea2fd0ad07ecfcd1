"""Processes that wait to be told what to do.

What a process cannot change once TensorFlow runs, its number of threads say, is
compared between processes that hold the same data, in turns.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Hashable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)


@contextlib.contextmanager
def started(
    work: Callable[..., None], arguments: Mapping[Key, tuple[Any, ...]]
) -> Iterator[dict[Key, Connection]]:
    """Starts a process for each of several arguments; all end with the context.

    Args:
        work: what a process does: it takes its arguments and a pipe, and ends when
            nobody is at the other end any more.
        arguments: of each process.

    Yields:
        The other ends of their pipes.
    """
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        pipes = {}
        for key, own in arguments.items():
            pipes[key], theirs = context.Pipe()
            process = context.Process(target=work, args=(*own, theirs))
            process.start()
            theirs.close()  # so that its end is noticed here
            stack.callback(process.join)
            stack.callback(pipes[key].close)
        yield pipes


def ask(pipe: Connection, question: Any) -> Any:
    """A process's answer to a question."""
    pipe.send(question)
    return pipe.recv()


def answer(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """Answers whatever is asked, until nobody is there."""
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            pipe.send(function(pipe.recv()))
