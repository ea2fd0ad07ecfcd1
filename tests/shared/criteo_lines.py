"""Lines of Criteo's format, and what a plain Python parser makes of them."""

import math

import numpy as np

from smelu_tf.pipelines import bad_row_errors

GOOD = "\t".join(["1", *"0123456789", "-2", "", "99", *["0a1b2c3d"] * 25, ""])


def ref_raw(line: str) -> dict:
    """The raw columns of a well-formed Criteo line."""
    fields = line.rstrip("\r\n").split("\t")
    raw = {"label": float(fields[0])}
    for i in range(1, 14):
        raw[f"I{i}"] = float(int(fields[i])) if fields[i] else math.nan
    for i in range(1, 27):
        raw[f"C{i}"] = fields[13 + i].encode()
    return raw


def read_all(dataset) -> dict[str, np.ndarray]:
    with bad_row_errors():
        chunks = list(dataset.as_numpy_iterator())
    return {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}


def write(path, lines, end="\n"):
    path.write_bytes(end.join(lines).encode("utf-8", "surrogateescape"))
    return path


def changed(place: int, value: str) -> str:
    fields = GOOD.split("\t")
    fields[place] = value
    return "\t".join(fields)
