"""Folders that take long to make, once for all of pytest's workers."""

import fcntl
import os


def made_once(tmp_path_factory, name, make):
    """The folder of a name: made by the worker that asks first, found by the others.

    Args:
        tmp_path_factory: pytest's.
        name: the folder's.
        make: is given the empty folder to fill.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # all workers' of this run
    folder, begun = root / name, root / f"{name}.begun"
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            begun.mkdir()
            make(begun)
            begun.rename(folder)
    return folder
