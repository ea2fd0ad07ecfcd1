"""The manifest of a data set of blocks: what it holds, and in which files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from .block_layout import Section, layout_of
from .block_statistics import Statistics
from .dataclass_json import from_json_values, parse_json
from .schema import Schema

VERSION = 1

MANIFEST = "manifest.json"
_CHECKSUM = b'\n "checksum": "'


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of blocks: what it holds, and what it is recognised by."""

    name: str
    num_blocks: int
    num_rows: int
    num_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a data set of blocks holds.

    See `read_manifest`.

    Attributes:
        schema: the schema of the rows.
        fingerprint: the schema's, which every block repeats.
        num_rows: rows of all blocks.
        rows_per_block: rows of every block but the last.
        blocks_per_shard: blocks of every shard but the last.
        layout: how a block's bytes are columns.
        shards: the files, in the order of the rows.
        statistics: what the rows are like.
    """

    schema: Schema
    fingerprint: str
    num_rows: int
    rows_per_block: int
    blocks_per_shard: int
    layout: tuple[Section, ...]
    shards: tuple[Shard, ...]
    statistics: Statistics

    @property
    def rows_per_shard(self) -> int:
        """Rows of every shard but the last."""
        return self.rows_per_block * self.blocks_per_shard

    @property
    def num_blocks(self) -> int:
        """Blocks of all shards."""
        return -(-self.num_rows // self.rows_per_block)

    def to_json(self) -> bytes:
        """The text of the manifest's file: its last line is the others' checksum."""
        values = {"version": VERSION, **dataclasses.asdict(self)}
        values["schema"] = self.schema.to_dict()
        body = json.dumps(values, indent=1).removesuffix("\n}").encode() + b","
        return body + _CHECKSUM + _sha256(body).encode() + b'"\n}\n'

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """The manifest of `to_json`'s text; a ValueError if a byte of it differs."""
        values = parse_json(data, "manifest")
        version = values.pop("version", None)
        if version != VERSION:
            raise ValueError(
                f"expected blocks of version {VERSION}, received {version!r}."
            )
        body, _, end = data.rpartition(_CHECKSUM)
        if end != _sha256(body).encode() + b'"\n}\n':
            raise ValueError(
                f"expected the checksum {_sha256(body)}, "
                f"received {values.get('checksum')!r}: the file is damaged."
            )
        del values["checksum"]
        schema = Schema.from_dict(values.get("schema", {}))
        values["schema"] = dataclasses.asdict(schema)
        return from_json_values(cls, values, "manifest")


def empty_manifest(
    schema: Schema, rows_per_block: int, blocks_per_shard: int
) -> Manifest:
    """The manifest of a data set without rows."""
    return Manifest(
        schema=schema,
        fingerprint=schema.fingerprint(),
        num_rows=0,
        rows_per_block=rows_per_block,
        blocks_per_shard=blocks_per_shard,
        layout=layout_of(schema),
        shards=(),
        statistics=Statistics(0.0, 0.0, (), ()),
    )


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """The manifest of a data set of blocks, its checksum verified.

    Args:
        folder: the data set.

    Returns:
        The manifest.

    Raises:
        ValueError: there is none, it is damaged, or of an unknown version.

    Examples:
        >>> manifest = read_manifest("blocks")
        >>> manifest.num_rows, manifest.num_blocks, manifest.schema.name
        (6000, 2, 'criteo')
        >>> [shard.name for shard in manifest.shards]
        ['shard-00000.blocks']
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise ValueError(f"{path}: expected the manifest of blocks, received none.")
    try:
        return Manifest.from_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def is_blocks(path: Any) -> bool:
    """Whether a path is a folder of blocks that is complete; a list of files is not.

    Args:
        path: anything.

    Examples:
        >>> is_blocks("blocks"), is_blocks("clicks"), is_blocks(["a.tsv", "b.tsv"])
        (True, False, False)
    """
    return isinstance(path, str | os.PathLike) and (Path(path) / MANIFEST).is_file()


def shard_name(number: int) -> str:
    """The name of a shard's file."""
    return f"shard-{number:05}.blocks"


def shard_paths(folder: str | os.PathLike[str], manifest: Manifest) -> list[str]:
    """The paths of the shards; a ValueError if one is absent or of another size."""
    paths = [os.path.join(folder, shard.name) for shard in manifest.shards]
    for path, shard in zip(paths, manifest.shards, strict=True):
        is_file = os.path.isfile(path)
        received = f"{os.path.getsize(path)} bytes" if is_file else "none"
        if received != f"{shard.num_bytes} bytes":
            raise ValueError(
                f"{path}: expected a shard of {shard.num_bytes} bytes, "
                f"received {received}."
            )
    return paths


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
